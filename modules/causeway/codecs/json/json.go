// Package jsoncodec is the codec json: each frame is one JSON document, which is
// checked and passed on as it is. The device's id, the time and properties are
// picked out of it by JSON pointers, in the pass that checks it.
package jsoncodec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

const (
	// maxDevice is the longest device id of IoT Hub.
	maxDevice = 128
	// maxProperties keeps a message's properties far within IoT Hub's 256 KiB, and
	// the work for a document small.
	maxProperties = 32
)

// options are the listener's.
type options struct {
	ID         *string           `json:"id"`
	Time       *string           `json:"time"`
	Properties map[string]string `json:"properties"`
	Ack        codec.OptionBytes `json:"ack"`
	Nak        codec.OptionBytes `json:"nak"`
}

// slots of the tree of pointers; the properties follow.
const (
	slotID = iota
	slotTime
	slotProperties
)

// documents is the codec: the compiled options.
type documents struct {
	root       *node
	hasID      bool
	properties []string // names, by slot
	ack, nak   []byte
}

// New makes the codec; it is a codec.Factory.
func New(raw json.RawMessage) (codec.Codec, error) {
	var o options
	if err := codec.DecodeOptions(raw, &o); err != nil {
		return nil, err
	}
	c := &documents{root: &node{}, hasID: o.ID != nil, ack: o.Ack, nak: o.Nak}
	if o.ID != nil {
		if err := c.root.add("/id", *o.ID, slotID); err != nil {
			return nil, err
		}
	}
	if o.Time != nil {
		if err := c.root.add("/time", *o.Time, slotTime); err != nil {
			return nil, err
		}
	}
	if err := value.CheckProperties("/properties", o.Properties, maxProperties); err != nil {
		return nil, err
	}
	for name := range o.Properties {
		c.properties = append(c.properties, name)
	}
	slices.Sort(c.properties) // so that equal documents make equal messages
	for i, name := range c.properties {
		if err := c.root.add("/properties/"+name, o.Properties[name], slotProperties+i); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Begin implements codec.Codec.
func (c *documents) Begin(codec.Peer) (codec.Dialogue, error) {
	n := len(c.properties)
	return &dialogue{
		documents: c,
		scan:      scan{spans: make([]span, slotProperties+n)},
		values:    make([]value.Strings, n),
	}, nil
}

// dialogue is one link: it knows the strings that it has seen.
type dialogue struct {
	*documents
	scan    scan
	devices value.Strings
	values  []value.Strings // by property
	tmp     []byte          // memory for strings with escapes
	claimed bool
}

// Receive implements codec.Dialogue. A frame of white space only keeps the link
// alive.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	if blank(f.Bytes) {
		return nil
	}
	err := d.document(f.Bytes, out)
	d.scan.data = nil // a link that rests does not keep the buffer that held it
	if err != nil {
		out.Reply = d.nak
		return err
	}
	out.Ack, out.Nak = d.ack, d.nak
	return nil
}

func (d *dialogue) document(doc []byte, out *codec.Outcome) error {
	if err := d.scan.document(doc, d.root); err != nil {
		return err
	}
	m := out.Add()
	m.Body, m.ContentType, m.ContentEncoding = doc, "application/json", "utf-8"
	if d.hasID {
		if err := d.identify(m, out); err != nil {
			return err
		}
	}
	if text := d.at(slotTime); text != nil {
		t, ok := value.Time(text)
		if !ok {
			return fmt.Errorf("json: time %.40q is neither RFC 3339 nor Unix time: %w", text, codec.ErrMalformed)
		}
		m.Time = t
	}
	for i, name := range d.properties {
		if text := d.at(slotProperties + i); text != nil {
			m.Set(name, d.values[i].Of(text))
		}
	}
	return nil
}

// identify names the device of the message. The first id of a link is the link's
// own; documents without one belong to it.
func (d *dialogue) identify(m *codec.Message, out *codec.Outcome) error {
	text := d.at(slotID)
	if text == nil && d.claimed {
		return nil
	}
	if len(text) == 0 || len(text) > maxDevice || !d.scalar(slotID) {
		return fmt.Errorf("json: device id %.40q, want a string of 1 to %d bytes or a number: %w",
			text, maxDevice, codec.ErrMalformed)
	}
	m.Device = d.devices.Of(text)
	if !d.claimed {
		d.claimed = true
		out.Identity.Device = m.Device
	}
	return nil
}

// scalar reports whether the value of a slot is a string or a number.
func (d *dialogue) scalar(slot int) bool {
	b := d.scan.data[d.scan.spans[slot].from]
	return b == '"' || b == '-' || b-'0' <= 9
}

// at returns the value of a slot as text: the meaning of a string, and other
// values as they are written. It is nil for null and where there is none, and
// valid until the next call.
func (d *dialogue) at(slot int) []byte {
	s := d.scan.spans[slot]
	raw := d.scan.data[s.from:s.to]
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return nil
	case raw[0] != '"':
		return raw
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	d.tmp = unescape(d.tmp[:0], raw)
	return d.tmp
}

func blank(frame []byte) bool {
	for _, b := range frame {
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return false
		}
	}
	return true
}
