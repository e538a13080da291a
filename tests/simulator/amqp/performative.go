package amqp

// frameBody is a performative or SASL body that can be written.
type frameBody interface {
	append(dst []byte) []byte
}

// Open is the first performative of a connection, part 2 section 2.7.1.
type Open struct {
	ContainerID, Hostname string
	// MaxFrame in bytes and ChannelMax are the peer's limits; IdleTimeout is in
	// milliseconds, zero for none.
	MaxFrame        uint32
	ChannelMax      uint16
	IdleTimeout     uint32
	OutgoingLocales []Symbol
	IncomingLocales []Symbol
	Offered         []Symbol
	Desired         []Symbol
	Properties      Map
}

func (o *Open) append(dst []byte) []byte {
	w := newList(dst, descOpen)
	w.mustText(o.ContainerID)
	w.text(o.Hostname)
	w.uint(o.MaxFrame)
	w.ushort(Some(o.ChannelMax))
	w.optUint(Optional[uint32]{o.IdleTimeout, o.IdleTimeout != 0})
	w.symbols(o.OutgoingLocales)
	w.symbols(o.IncomingLocales)
	w.symbols(o.Offered)
	w.symbols(o.Desired)
	w.fieldMap(o.Properties)
	return w.done()
}

func readOpen(l *listReader) *Open {
	o := &Open{MaxFrame: 1<<32 - 1, ChannelMax: 1<<16 - 1}
	l.text(&o.ContainerID)
	l.text(&o.Hostname)
	read(l, &o.MaxFrame)
	read(l, &o.ChannelMax)
	read(l, &o.IdleTimeout)
	l.symbols(&o.OutgoingLocales)
	l.symbols(&o.IncomingLocales)
	l.symbols(&o.Offered)
	l.symbols(&o.Desired)
	read(l, &o.Properties)
	return o
}

// Begin starts a session, section 2.7.2.
type Begin struct {
	RemoteChannel  Optional[uint16]
	NextOutgoingID uint32
	IncomingWindow uint32
	OutgoingWindow uint32
	HandleMax      uint32
	Offered        []Symbol
	Desired        []Symbol
	Properties     Map
}

func (b *Begin) append(dst []byte) []byte {
	w := newList(dst, descBegin)
	w.ushort(b.RemoteChannel)
	w.uint(b.NextOutgoingID)
	w.uint(b.IncomingWindow)
	w.uint(b.OutgoingWindow)
	w.uint(b.HandleMax)
	w.symbols(b.Offered)
	w.symbols(b.Desired)
	w.fieldMap(b.Properties)
	return w.done()
}

func readBegin(l *listReader) *Begin {
	b := &Begin{HandleMax: 1<<32 - 1}
	optional(l, &b.RemoteChannel)
	read(l, &b.NextOutgoingID)
	read(l, &b.IncomingWindow)
	read(l, &b.OutgoingWindow)
	read(l, &b.HandleMax)
	l.symbols(&b.Offered)
	l.symbols(&b.Desired)
	read(l, &b.Properties)
	return b
}

// Flow updates a session's windows and a link's credit, section 2.7.4.
type Flow struct {
	NextIncomingID Optional[uint32]
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	Handle         Optional[uint32]
	DeliveryCount  Optional[uint32]
	LinkCredit     Optional[uint32]
	Available      Optional[uint32]
	Drain, Echo    bool
	Properties     Map
}

func (f *Flow) append(dst []byte) []byte {
	w := newList(dst, descFlow)
	w.optUint(f.NextIncomingID)
	w.uint(f.IncomingWindow)
	w.uint(f.NextOutgoingID)
	w.uint(f.OutgoingWindow)
	w.optUint(f.Handle)
	w.optUint(f.DeliveryCount)
	w.optUint(f.LinkCredit)
	w.optUint(f.Available)
	w.flag(f.Drain)
	w.flag(f.Echo)
	w.fieldMap(f.Properties)
	return w.done()
}

func readFlow(l *listReader) *Flow {
	f := &Flow{}
	optional(l, &f.NextIncomingID)
	read(l, &f.IncomingWindow)
	read(l, &f.NextOutgoingID)
	read(l, &f.OutgoingWindow)
	optional(l, &f.Handle)
	optional(l, &f.DeliveryCount)
	optional(l, &f.LinkCredit)
	optional(l, &f.Available)
	read(l, &f.Drain)
	read(l, &f.Echo)
	read(l, &f.Properties)
	return f
}

// Transfer carries a part of a message, section 2.7.5. Payload is what follows the
// performative in its frame.
type Transfer struct {
	Handle     uint32
	DeliveryID Optional[uint32]
	Tag        []byte
	Format     Optional[uint32]
	Settled    Optional[bool]
	More       bool
	RcvSettle  Optional[uint8]
	State      DeliveryState
	Resume     bool
	Aborted    bool
	Batchable  bool
	Payload    []byte
}

func (t *Transfer) append(dst []byte) []byte {
	w := newList(dst, descTransfer)
	w.uint(t.Handle)
	w.optUint(t.DeliveryID)
	w.binary(t.Tag)
	w.optUint(t.Format)
	if t.Settled.Set {
		w.value(t.Settled.Value)
	} else {
		w.null()
	}
	w.flag(t.More)
	if t.RcvSettle.Set {
		w.value(t.RcvSettle.Value)
	} else {
		w.null()
	}
	w.state(t.State)
	w.flag(t.Resume)
	w.flag(t.Aborted)
	w.flag(t.Batchable)
	return append(w.done(), t.Payload...)
}

func readTransfer(l *listReader) *Transfer {
	t := &Transfer{}
	read(l, &t.Handle)
	optional(l, &t.DeliveryID)
	read(l, &t.Tag)
	optional(l, &t.Format)
	optional(l, &t.Settled)
	read(l, &t.More)
	optional(l, &t.RcvSettle)
	l.state(&t.State)
	read(l, &t.Resume)
	read(l, &t.Aborted)
	read(l, &t.Batchable)
	return t
}

// Disposition tells the state of deliveries First to Last, section 2.7.6.
type Disposition struct {
	// Receiver tells that the receiving end of the link speaks.
	Receiver  bool
	First     uint32
	Last      Optional[uint32]
	Settled   bool
	State     DeliveryState
	Batchable bool
}

func (d *Disposition) append(dst []byte) []byte {
	w := newList(dst, descDisposition)
	w.bool(d.Receiver)
	w.uint(d.First)
	w.optUint(d.Last)
	w.flag(d.Settled)
	w.state(d.State)
	w.flag(d.Batchable)
	return w.done()
}

func readDisposition(l *listReader) *Disposition {
	d := &Disposition{}
	read(l, &d.Receiver)
	read(l, &d.First)
	optional(l, &d.Last)
	read(l, &d.Settled)
	l.state(&d.State)
	read(l, &d.Batchable)
	return d
}

// Detach ends a link's attachment, section 2.7.7.
type Detach struct {
	Handle uint32
	Closed bool
	Err    *Error
}

func (d *Detach) append(dst []byte) []byte {
	w := newList(dst, descDetach)
	w.uint(d.Handle)
	w.flag(d.Closed)
	w.error(d.Err)
	return w.done()
}

func readDetach(l *listReader) *Detach {
	d := &Detach{}
	read(l, &d.Handle)
	read(l, &d.Closed)
	readError(l, &d.Err)
	return d
}

// End ends a session, section 2.7.8.
type End struct{ Err *Error }

func (e *End) append(dst []byte) []byte {
	w := newList(dst, descEnd)
	w.error(e.Err)
	return w.done()
}

// Close ends a connection, section 2.7.9.
type Close struct{ Err *Error }

func (c *Close) append(dst []byte) []byte {
	w := newList(dst, descClose)
	w.error(c.Err)
	return w.done()
}

// parseBody reads the performative of a frame; of a Transfer, Payload points into
// body.
func parseBody(body []byte) (any, error) {
	r := NewReader(body)
	desc, err := r.Descriptor()
	if err != nil {
		return nil, err
	}
	l := r.fields()
	var p any
	switch desc {
	case descOpen:
		p = readOpen(l)
	case descBegin:
		p = readBegin(l)
	case descAttach:
		p = readAttach(l)
	case descFlow:
		p = readFlow(l)
	case descTransfer:
		t := readTransfer(l)
		t.Payload = r.Rest()
		p = t
	case descDisposition:
		p = readDisposition(l)
	case descDetach:
		p = readDetach(l)
	case descEnd:
		e := &End{}
		readError(l, &e.Err)
		p = e
	case descClose:
		c := &Close{}
		readError(l, &c.Err)
		p = c
	default:
		return nil, malformed("descriptor 0x%x is no performative", desc)
	}
	return p, l.err
}
