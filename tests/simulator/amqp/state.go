package amqp

// DeliveryState is one of *Received, *Accepted, *Rejected, *Released and *Modified;
// the last four are outcomes, part 3 section 3.4. A nil one says nothing.
type DeliveryState interface {
	frameBody
	outcome() bool
}

type (
	// Received tells how far a receiver has got.
	Received struct {
		Section uint32
		Offset  uint64
	}
	// Accepted takes a message.
	Accepted struct{}
	// Rejected refuses a message as invalid.
	Rejected struct{ Err *Error }
	// Released gives a message back untouched.
	Released struct{}
	// Modified gives a message back with remarks.
	Modified struct {
		Failed, Undeliverable bool
		Annotations           Map
	}
)

func (*Received) outcome() bool { return false }
func (*Accepted) outcome() bool { return true }
func (*Rejected) outcome() bool { return true }
func (*Released) outcome() bool { return true }
func (*Modified) outcome() bool { return true }

func (s *Received) append(dst []byte) []byte {
	w := newList(dst, descReceived)
	w.uint(s.Section)
	w.ulong(Some(s.Offset))
	return w.done()
}

func (*Accepted) append(dst []byte) []byte { return newList(dst, descAccepted).done() }

func (s *Rejected) append(dst []byte) []byte {
	w := newList(dst, descRejected)
	w.error(s.Err)
	return w.done()
}

func (*Released) append(dst []byte) []byte { return newList(dst, descReleased).done() }

func (s *Modified) append(dst []byte) []byte {
	w := newList(dst, descModified)
	w.flag(s.Failed)
	w.flag(s.Undeliverable)
	w.fieldMap(s.Annotations)
	return w.done()
}

func (w *listWriter) state(s DeliveryState) {
	if s == nil {
		w.null()
		return
	}
	w.buf = s.append(w.buf)
	w.keep()
}

func (w *listWriter) error(e *Error) {
	if e == nil {
		w.null()
		return
	}
	w.buf = e.append(w.buf)
	w.keep()
}

// state reads a delivery state. One that the standard does not know (a transaction's)
// is passed over.
func (l *listReader) state(into *DeliveryState) {
	if !l.next() {
		return
	}
	desc, err := l.in.Descriptor()
	if err != nil {
		l.err = err
		return
	}
	if desc < descReceived || desc > descModified {
		l.err = l.in.Skip()
		return
	}
	f := l.in.fields()
	switch desc {
	case descReceived:
		s := &Received{}
		read(f, &s.Section)
		read(f, &s.Offset)
		*into = s
	case descAccepted:
		*into = &Accepted{}
	case descRejected:
		s := &Rejected{}
		readError(f, &s.Err)
		*into = s
	case descReleased:
		*into = &Released{}
	case descModified:
		s := &Modified{}
		read(f, &s.Failed)
		read(f, &s.Undeliverable)
		read(f, &s.Annotations)
		*into = s
	}
	l.err = f.err
}
