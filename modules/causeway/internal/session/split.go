package session

import (
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

const (
	// partProperty tells the parts of a message that was too large: "2/5".
	partProperty = "part"
	// partRoom is what the property adds, in a message of at most 99,999 parts.
	partRoom = len(partProperty) + len("99999/99999") + propertyRoom
	// envelopeRoom is more than what a message takes besides its texts: id, time,
	// and the names of what the gateway adds.
	envelopeRoom = 512
	// propertyRoom is what a property takes besides its texts: two lengths.
	propertyRoom = 10
)

// measure is about the size of a message as the hub counts it, never less.
func measure(m *message.Message) int {
	n := envelopeRoom + len(m.Device) + len(m.Listener) + len(m.Codec) + len(m.Output) +
		len(m.ContentType) + len(m.ContentEncoding) + len(m.Body)
	for i := range m.Properties {
		n += len(m.Properties[i].Name) + len(m.Properties[i].Value) + propertyRoom
	}
	return n
}

// large reports whether a message may be cut: where properties fill half of it, parts
// would be many and carry little.
func (p *Profile) large(whole *codec.Message) bool {
	return p.MessageBytes > 0 && len(whole.Body) >= p.MessageBytes/2
}

// cut cuts a message that is too large for the hub, which m is the envelope of, into
// several, in order; nil where it is not too large, or nothing to cut. Equal
// messages are cut equally.
func (p *Profile) cut(
	splitter codec.Splitter, whole *codec.Message, m *message.Message,
) (parts []codec.Message, err error) {
	if splitter == nil || !p.large(whole) {
		return nil, nil
	}
	size := measure(m)
	room := p.MessageBytes - (size - len(m.Body)) - partRoom
	if size <= p.MessageBytes || room < p.MessageBytes/2 {
		return nil, nil
	}
	defer recovered(&err)
	bodies := splitter.SplitBody(whole, room)
	if len(bodies) < 2 {
		return nil, nil
	}
	parts = make([]codec.Message, len(bodies))
	for i, body := range bodies {
		parts[i] = *whole
		parts[i].Body, parts[i].Properties = body, nil
		for _, property := range whole.Properties { // names are told apart without case
			if !strings.EqualFold(property.Name, partProperty) {
				parts[i].Properties = append(parts[i].Properties, property)
			}
		}
		parts[i].Set(partProperty, strconv.Itoa(i+1)+"/"+strconv.Itoa(len(bodies)))
	}
	return parts, nil
}

// cut is the profile's, in the dialogue's turn.
func (s *Session) cut(whole *codec.Message, m *message.Message) ([]codec.Message, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.over {
		return nil, nil
	}
	return s.profile.cut(s.engaged.Load().splitter, whole, m)
}

// split puts the parts of a message that is too large, the last of l.msgs, in its
// place. They all count for the acknowledgement of the whole.
func (l *lane) split(whole *codec.Message, receipt message.Receipt, at time.Time) error {
	s, last := l.session, len(l.msgs)-1
	// Seen before the turn is taken: every message passes here, and few are large.
	if s.engaged.Load().splitter == nil || !s.profile.large(whole) {
		return nil
	}
	parts, err := s.cut(whole, &l.msgs[last])
	if err != nil || parts == nil {
		return err
	}
	if e, ok := receipt.(*exchange); ok {
		e.expect(len(parts) - 1)
	}
	seq := l.msgs[last].Seq // that of the first part
	l.msgs = l.msgs[:last]
	for i := range parts {
		l.add(&parts[i], receipt, at, seq)
		seq = 0
	}
	return nil
}
