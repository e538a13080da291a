package hub

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// refusal makes the error of a batch of one message that the hub refuses: the
// message is read back from its bytes, since nobody else has kept it.
func refusal(b *batch, reason error) *message.Refused { return refusalOf(b.bytes, reason) }

func refusalOf(encoded []byte, reason error) *message.Refused {
	m, err := readMessage(encoded)
	if err != nil {
		reason = fmt.Errorf("%w (and it cannot be read back: %w)", reason, err)
		m = &message.Message{Body: slices.Clone(encoded)}
	}
	return &message.Refused{Message: m, Reason: reason}
}

// readMessage reads what an encoder has written.
func readMessage(encoded []byte) (*message.Message, error) {
	var wire amqp.Message
	if err := wire.UnmarshalBinary(encoded); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	m := &message.Message{Body: slices.Clone(wire.GetData())}
	for name, value := range wire.ApplicationProperties {
		plain, _ := value.(string) // the gateway writes no other
		assign(m, name, plain)
	}
	if i := slices.IndexFunc(m.Properties, isDeviceOutput); m.Output == "" && i >= 0 { // of an identity without outputs
		m.Output = m.Properties[i].Value
		m.Properties = slices.Delete(m.Properties, i, i+1)
	}
	slices.SortFunc(m.Properties, func(a, b message.Property) int { return strings.Compare(a.Name, b.Name) })
	if p := wire.Properties; p != nil {
		id, _ := p.MessageID.(string)
		var err error
		if m.Epoch, m.Seq, err = message.ParseID(m.Device, id); err != nil {
			return nil, fmt.Errorf("read message: %w", err)
		}
		m.ContentType, m.ContentEncoding = text(p.ContentType), text(p.ContentEncoding)
	}
	return m, nil
}

func isDeviceOutput(p message.Property) bool { return p.Name == propertyDeviceOutput }

// assign gives a property back its place in the envelope.
func assign(m *message.Message, name, value string) {
	switch name {
	case propertyDevice:
		m.Device = value
	case propertyOutput:
		m.Output = value
	case propertyListener:
		m.Listener = value
	case propertyCodec:
		m.Codec = value
	case propertyCreated:
		m.Created, _ = time.Parse(createdLayout, value) // zero when it is none
	default:
		m.Properties = append(m.Properties, message.Property{Name: name, Value: value})
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
