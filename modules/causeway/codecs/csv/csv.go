// Package csvcodec is the codec csv: each frame is one line of fields (RFC 4180),
// which becomes a JSON object.
package csvcodec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

const (
	// maxDevice is the longest device id of IoT Hub.
	maxDevice = 128
	// maxProperties keeps the work for a line small.
	maxProperties = 32
)

// options are the listener's.
type options struct {
	Columns    []string          `json:"columns"`
	Header     bool              `json:"header"`
	Types      map[string]string `json:"types"`
	Delimiter  string            `json:"delimiter"`
	Quote      string            `json:"quote"`
	Trim       bool              `json:"trim"`
	ID         string            `json:"id"`
	Time       string            `json:"time"`
	Properties map[string]string `json:"properties"`
	Ack        codec.OptionBytes `json:"ack"`
	Nak        codec.OptionBytes `json:"nak"`
}

// lines is the codec: the compiled options.
type lines struct {
	options
	fixed []column // nil where the first line names the columns, or nobody does
}

// New makes the codec; it is a codec.Factory.
func New(raw json.RawMessage) (codec.Codec, error) {
	c := &lines{options: options{Delimiter: ",", Quote: `"`}}
	if err := codec.DecodeOptions(raw, &c.options); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Columns == nil {
		return c, nil
	}
	var err error
	c.fixed, err = c.columns(c.Columns)
	return c, err
}

// Begin implements codec.Codec.
func (c *lines) Begin(codec.Peer) (codec.Dialogue, error) {
	return &dialogue{lines: c, columns: c.fixed}, nil
}

// dialogue is one link: it knows its columns and the strings that it has seen.
type dialogue struct {
	*lines
	columns []column
	devices value.Strings
	values  []value.Strings // by column
	tmp     []byte          // memory for fields with doubled quotes
	claimed bool
}

// Receive implements codec.Dialogue. An empty line only keeps the link alive.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	line := bytes.TrimRight(f.Bytes, "\r\n")
	if len(line) == 0 {
		return nil
	}
	if d.columns == nil {
		if err := d.name(line); err != nil {
			out.Reply = d.Nak
			return err
		}
		if d.Header {
			out.Ack = d.Ack
			return nil
		}
	}
	if err := d.line(line, out); err != nil {
		out.Reply = d.Nak
		return err
	}
	out.Ack, out.Nak = d.Ack, d.Nak
	return nil
}

// name names the columns by the first line of the link, or, when the options say
// nothing about columns, by number.
func (d *dialogue) name(line []byte) error {
	var names []string
	for at := 0; at >= 0; {
		field, _, next, err := d.field(line, at)
		if err != nil {
			return err
		}
		if d.Header {
			names = append(names, string(field))
		} else {
			names = append(names, made+strconv.Itoa(len(names)+1))
		}
		if at = next; len(names) > maxColumns {
			break
		}
	}
	if !utf8.Valid(line) {
		return fmt.Errorf("csv: not UTF-8: %w", codec.ErrMalformed)
	}
	columns, err := d.lines.columns(names)
	if fault, ok := errors.AsType[*codec.OptionError](err); ok {
		return fmt.Errorf("csv: first line: %s: %w", fault.Error(), codec.ErrProtocol)
	}
	d.columns = columns
	return nil
}

// line makes the message of a line.
func (d *dialogue) line(line []byte, out *codec.Outcome) error {
	if !utf8.Valid(line) {
		return fmt.Errorf("csv: not UTF-8: %w", codec.ErrMalformed)
	}
	m := out.Add()
	m.ContentType, m.ContentEncoding = "application/json", "utf-8"
	if d.values == nil && len(d.Properties) > 0 {
		d.values = make([]value.Strings, len(d.columns))
	}
	from := len(out.Scratch)
	body := append(out.Scratch, '{')
	i, at := 0, 0
	for ; at >= 0 && i < len(d.columns); i++ {
		field, quoted, next, err := d.field(line, at)
		if err == nil {
			body, err = d.columns[i].append(body, field, quoted)
		}
		if err == nil {
			err = d.use(i, field, m)
		}
		if err != nil {
			return fmt.Errorf("csv: column %d %s: %w", i+1, d.columns[i].name, err)
		}
		at = next
	}
	if at >= 0 || i < len(d.columns) {
		return fmt.Errorf("csv: %d fields, want %d: %w", d.count(line), len(d.columns), codec.ErrMalformed)
	}
	if body[len(body)-1] == ',' {
		body = body[:len(body)-1]
	}
	out.Scratch = append(body, '}')
	m.Body = out.Scratch[from:len(out.Scratch):len(out.Scratch)]
	return d.identify(m, out)
}

// use gives a field to the parts of the message that its column names.
func (d *dialogue) use(i int, field []byte, m *codec.Message) error {
	c := &d.columns[i]
	if c.property != "" && len(field) > 0 {
		m.Set(c.property, d.values[i].Of(field))
	}
	if c.id && len(field) > 0 {
		if len(field) > maxDevice {
			return fmt.Errorf("device id of %d bytes, at most %d are allowed: %w", len(field), maxDevice, codec.ErrMalformed)
		}
		m.Device = d.devices.Of(field)
	}
	if c.time && len(field) > 0 {
		t, ok := value.Time(field)
		if !ok {
			return fmt.Errorf("time %.40q is neither RFC 3339 nor Unix time: %w", field, codec.ErrMalformed)
		}
		m.Time = t
	}
	return nil
}

// identify claims the first id of a link for the link; lines without one belong
// to it.
func (d *dialogue) identify(m *codec.Message, out *codec.Outcome) error {
	switch {
	case d.ID == "" || d.claimed:
	case m.Device == "":
		return fmt.Errorf("csv: column %s with the device id is empty: %w", d.ID, codec.ErrMalformed)
	default:
		d.claimed = true
		out.Identity.Device = m.Device
	}
	return nil
}

// count counts the fields of a line, for the error.
func (d *dialogue) count(line []byte) (n int) {
	for at := 0; at >= 0; n++ {
		_, _, next, err := d.field(line, at)
		if err != nil {
			return n
		}
		at = next
	}
	return n
}
