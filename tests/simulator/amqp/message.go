package amqp

import "time"

// Message is a bare message with its annotations, part 3 section 3.2. A section
// that is nil is left out.
type Message struct {
	Header                *Header
	DeliveryAnnotations   Map
	Annotations           Map
	Properties            *Properties
	ApplicationProperties Map
	// The body is any number of Data sections, or of Sequence sections, or one Value
	// (which may be null, hence the Optional).
	Data     [][]byte
	Sequence [][]any
	Value    Optional[any]
	Footer   Map
}

// Header tells how to transport a message. TTL is in milliseconds.
type Header struct {
	Durable       bool
	Priority      Optional[uint8]
	TTL           Optional[uint32]
	FirstAcquirer bool
	DeliveryCount uint32
}

// Properties are the standard properties of a message. MessageID and CorrelationID
// are of type uint64, UUID, []byte or string, or nil.
type Properties struct {
	MessageID          any
	UserID             []byte
	To                 string
	Subject            string
	ReplyTo            string
	CorrelationID      any
	ContentType        Symbol
	ContentEncoding    Symbol
	AbsoluteExpiryTime time.Time
	CreationTime       time.Time
	GroupID            string
	GroupSequence      Optional[uint32]
	ReplyToGroupID     string
}

// Append appends the encoded message. It fails when a map or value holds something
// that AppendValue refuses.
func (m *Message) Append(dst []byte) ([]byte, error) {
	if m.Header != nil {
		dst = m.Header.append(dst)
	}
	var err error
	if dst, err = appendMap(dst, SectionDeliveryAnnotations, m.DeliveryAnnotations); err != nil {
		return dst, err
	}
	if dst, err = appendMap(dst, SectionAnnotations, m.Annotations); err != nil {
		return dst, err
	}
	if m.Properties != nil {
		if dst, err = m.Properties.append(dst); err != nil {
			return dst, err
		}
	}
	if dst, err = appendMap(dst, SectionApplicationProperties, m.ApplicationProperties); err != nil {
		return dst, err
	}
	for _, d := range m.Data {
		dst = appendBinary(appendUlong(append(dst, codeDescribed), SectionData), d)
	}
	for _, s := range m.Sequence {
		if dst, err = appendDescribed(dst, Described{SectionSequence, s}); err != nil {
			return dst, err
		}
	}
	if m.Value.Set {
		if dst, err = appendDescribed(dst, Described{SectionValue, m.Value.Value}); err != nil {
			return dst, err
		}
	}
	return appendMap(dst, SectionFooter, m.Footer)
}

func appendMap(dst []byte, section uint64, m Map) ([]byte, error) {
	if m == nil {
		return dst, nil
	}
	return appendDescribed(dst, Described{section, m})
}

func (h *Header) append(dst []byte) []byte {
	w := newList(dst, SectionHeader)
	w.flag(h.Durable)
	if h.Priority.Set {
		w.value(h.Priority.Value)
	} else {
		w.null()
	}
	w.optUint(h.TTL)
	w.flag(h.FirstAcquirer)
	w.optUint(Optional[uint32]{h.DeliveryCount, h.DeliveryCount != 0})
	return w.done()
}

func (p *Properties) append(dst []byte) ([]byte, error) {
	w := newList(dst, SectionProperties)
	w.value(p.MessageID)
	w.binary(p.UserID)
	w.text(p.To)
	w.text(p.Subject)
	w.text(p.ReplyTo)
	w.value(p.CorrelationID)
	w.symbol(p.ContentType)
	w.symbol(p.ContentEncoding)
	w.time(p.AbsoluteExpiryTime)
	w.time(p.CreationTime)
	w.text(p.GroupID)
	w.optUint(p.GroupSequence)
	w.text(p.ReplyToGroupID)
	return w.done(), w.err
}

// Unmarshal reads a message. Data sections point into data, everything else is
// copied. Sections of kinds the standard does not know are errors.
func (m *Message) Unmarshal(data []byte) error {
	*m = Message{}
	r := NewReader(data)
	for r.More() {
		section, err := r.Descriptor()
		if err != nil {
			return err
		}
		if err := m.section(&r, section); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) section(r *Reader, section uint64) error {
	switch section {
	case SectionHeader:
		l, h := r.fields(), &Header{}
		read(l, &h.Durable)
		optional(l, &h.Priority)
		optional(l, &h.TTL)
		read(l, &h.FirstAcquirer)
		read(l, &h.DeliveryCount)
		m.Header = h
		return l.err
	case SectionProperties:
		l := r.fields()
		m.Properties = readProperties(l)
		return l.err
	case SectionDeliveryAnnotations:
		return readMap(r, &m.DeliveryAnnotations)
	case SectionAnnotations:
		return readMap(r, &m.Annotations)
	case SectionApplicationProperties:
		return readMap(r, &m.ApplicationProperties)
	case SectionFooter:
		return readMap(r, &m.Footer)
	case SectionData:
		b, err := r.Binary()
		if b == nil {
			b = []byte{}
		}
		m.Data = append(m.Data, b)
		return err
	case SectionSequence:
		v, err := r.Value()
		if err != nil {
			return err
		}
		list, ok := v.([]any)
		if !ok {
			return malformed("sequence section of type %T", v)
		}
		m.Sequence = append(m.Sequence, list)
		return nil
	case SectionValue:
		v, err := r.Value()
		m.Value = Some(v)
		return err
	}
	return malformed("section 0x%x is unknown", section)
}

func readMap(r *Reader, into *Map) error {
	v, err := r.Value()
	if err != nil {
		return err
	}
	m, ok := v.(Map)
	if !ok && v != nil {
		return malformed("section of type %T where a map is wanted", v)
	}
	*into = m
	return nil
}

func readProperties(l *listReader) *Properties {
	p := &Properties{}
	l.id(&p.MessageID)
	read(l, &p.UserID)
	l.text(&p.To)
	l.text(&p.Subject)
	l.text(&p.ReplyTo)
	l.id(&p.CorrelationID)
	read(l, &p.ContentType)
	read(l, &p.ContentEncoding)
	read(l, &p.AbsoluteExpiryTime)
	read(l, &p.CreationTime)
	l.text(&p.GroupID)
	optional(l, &p.GroupSequence)
	l.text(&p.ReplyToGroupID)
	return p
}

// id reads a message id, which is of one of four types.
func (l *listReader) id(into *any) {
	switch v := l.value().(type) {
	case nil, uint64, UUID, []byte, string:
		*into = v
	default:
		l.err = malformed("message id of type %T", v)
	}
}
