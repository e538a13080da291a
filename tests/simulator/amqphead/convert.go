package amqphead

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// batchFormat is the message format of a transfer whose data sections are messages.
const batchFormat = 0x80013700

// maxGuess bounds the room made for a batch before its members are counted.
const maxGuess = 4096

var (
	errTooLarge  = errors.New("message too large")
	errDuplicate = errors.New("duplicate property name")
	errBody      = errors.New("body is not of data sections")
)

// decodeTransfer returns the messages of a transfer in order. On an error it
// returns those before the bad one. All texts are parts of one copy of the data,
// and the bodies parts of the data itself.
func decodeTransfer(from edge.Identity, format uint32, data []byte) ([]edge.Message, error) {
	r := amqp.NewReader(data)
	r.Share()
	var c converter
	if format != batchFormat {
		m, err := c.message(from, &r)
		if err != nil {
			return nil, err
		}
		return []edge.Message{m}, nil
	}
	var batch []edge.Message
	for r.More() {
		section, err := r.Descriptor()
		if err != nil {
			return batch, err
		}
		if section != amqp.SectionData {
			if err := r.Skip(); err != nil {
				return batch, err
			}
			continue
		}
		member, err := r.Embedded()
		if err != nil {
			return batch, err
		}
		if batch == nil {
			// Members are mostly alike in size; the bound is against a small first one.
			batch = make([]edge.Message, 0, min(len(data)/(len(member.Rest())+1)+1, maxGuess))
		}
		m, err := c.message(from, &member)
		if err != nil {
			return batch, fmt.Errorf("message %d of the batch: %w", len(batch), err)
		}
		batch = append(batch, m)
	}
	return batch, nil
}

// converter reads messages one after the other.
type converter struct {
	m    edge.Message
	size int      // of texts and body, as the hub counts
	keys []string // of the message's application properties
}

func (c *converter) message(from edge.Identity, r *amqp.Reader) (edge.Message, error) {
	c.m, c.size = edge.Message{From: from}, 0
	for r.More() {
		section, err := r.Descriptor()
		if err != nil {
			return edge.Message{}, err
		}
		if err := c.section(section, r); err != nil {
			return edge.Message{}, err
		}
	}
	if c.size += len(c.m.Body) + len(c.m.Output); c.size > maxOne {
		return edge.Message{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", errTooLarge, c.size, maxOne)
	}
	return c.m, nil
}

func (c *converter) section(section uint64, r *amqp.Reader) error {
	switch section {
	case amqp.SectionProperties:
		return c.properties(r)
	case amqp.SectionAnnotations:
		return c.annotations(r)
	case amqp.SectionApplicationProperties:
		return c.applicationProperties(r)
	case amqp.SectionData:
		b, err := r.Binary()
		if c.m.Body == nil {
			c.m.Body = b
		} else {
			c.m.Body = append(c.m.Body[:len(c.m.Body):len(c.m.Body)], b...)
		}
		return err
	case amqp.SectionValue, amqp.SectionSequence:
		return errBody
	}
	return r.Skip()
}

// system sets a system property; empty texts count as absent.
func (c *converter) system(name, value string) {
	if value == "" {
		return
	}
	if c.m.System == nil {
		c.m.System = make(map[string]string, 4)
	}
	c.m.System[name] = value
	c.size += len(name) + len(value)
}

// propertyName is the hub's name for field i of the properties section; fields that
// the hub does not read have none.
func propertyName(i int) string {
	switch i {
	case 0:
		return "messageId"
	case 1:
		return "userId"
	case 2:
		return "to"
	case 5:
		return "cid"
	case 6:
		return "contentType"
	case 7:
		return "contentEncoding"
	case 8:
		return "absolute-expiry-time"
	}
	return ""
}

func (c *converter) properties(r *amqp.Reader) error {
	in, n, err := r.Items()
	if err != nil {
		return err
	}
	for i := range n {
		name := propertyName(i)
		if name == "" {
			err = in.Skip()
		} else {
			var value string
			value, err = scalar(&in)
			c.system(name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// annotations are read for few keys only.
func (c *converter) annotations(r *amqp.Reader) error {
	in, n, err := r.Items()
	if err != nil {
		return err
	}
	for range n / 2 {
		key, _, _, err := in.Text()
		if err != nil {
			return err
		}
		name := ""
		switch key {
		case "iothub-enqueuedtime":
			name = "enqueuedTime"
		case "iothub-deliverycount":
			name = "deliveryCount"
		case "x-opt-sequence-number":
			name = "sequenceNumber"
		case "x-opt-lock-token":
			name = "lockToken"
		case "iothub-interface-id", "dt-subject":
			name = key
		}
		if name == "" {
			err = in.Skip()
		} else {
			var value string
			value, err = scalar(&in)
			c.system(name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applicationProperties keeps values that are strings. Others are null for the real
// hub; here they are left out, which conditions of routes cannot tell apart.
func (c *converter) applicationProperties(r *amqp.Reader) error {
	in, n, err := r.Items()
	if err != nil {
		return err
	}
	c.keys = c.keys[:0]
	for range n / 2 {
		key, _, _, err := in.Text()
		if err != nil {
			return err
		}
		value, symbol, ok, err := in.Text()
		if err != nil {
			return err
		}
		if err := c.unique(key); err != nil {
			return err
		}
		if !ok || symbol {
			continue
		}
		switch key {
		case "iothub-outputname":
			c.m.Output = value
		case "iothub-message-schema":
			c.system("messageSchema", value)
		case "iothub-creation-time-utc":
			c.system("creationTime", value)
		case "iothub-operation":
			c.system("operation", value)
		default:
			if c.m.Properties == nil {
				c.m.Properties = make(map[string]string, n/2)
			}
			c.m.Properties[key] = value
			c.size += len(key) + len(value)
		}
	}
	return nil
}

// maxProperties bounds the comparison of names with each other. The real hub's only
// bound is the message's size.
const maxProperties = 1024

// unique refuses names that differ in case only.
func (c *converter) unique(key string) error {
	if len(c.keys) >= maxProperties {
		return fmt.Errorf("over %d application properties", maxProperties)
	}
	for _, k := range c.keys {
		if len(k) == len(key) && strings.EqualFold(k, key) {
			return fmt.Errorf("%w: %.64q", errDuplicate, key)
		}
	}
	c.keys = append(c.keys, key)
	return nil
}

// scalar reads a value and returns its text; an id may be of several types.
func scalar(r *amqp.Reader) (string, error) {
	before := *r
	s, _, ok, err := r.Text()
	if ok || err != nil {
		return s, err
	}
	*r = before
	v, err := r.Value()
	if err != nil {
		return "", err
	}
	return textOf(v), nil
}

// textOf returns the text of an id or another simple value; ids that were sent as
// UUID or as text of one are equal then.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case amqp.Symbol:
		return string(v)
	case []byte:
		return string(v)
	case amqp.UUID:
		return v.String()
	case uint64:
		return strconv.FormatUint(v, 10)
	case time.Time:
		return v.Format("2006-01-02T15:04:05.0000000Z07:00")
	}
	return fmt.Sprint(v)
}
