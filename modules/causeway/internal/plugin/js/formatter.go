package js

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

const (
	maxPort   = 255
	maxDevice = 128 // the longest device id of IoT Hub
	// maxNotes bounds the property that warnings become.
	maxNotes = 500
)

// formatterOptions are those of a script in the convention of payload formatters.
type formatterOptions struct {
	FPort     int             `json:"fPort"`
	ID        string          `json:"id"`
	Time      string          `json:"time"`
	Device    string          `json:"device"`
	Encoding  string          `json:"encoding"`
	Variables json.RawMessage `json:"variables"`
}

// formatter is the codec of such a script.
type formatter struct {
	program *Program
	options formatterOptions
}

func newFormatter(p *Program, raw json.RawMessage) (codec.Codec, error) {
	c := &formatter{program: p, options: formatterOptions{FPort: 1, Encoding: "raw"}}
	o := &c.options
	if err := codec.DecodeOptions(raw, o); err != nil {
		return nil, err
	}
	if o.FPort < 0 || o.FPort > maxPort {
		return nil, codec.Optionf("/fPort", "got %d, want 0 to %d", o.FPort, maxPort)
	}
	for _, pointer := range []struct{ at, text string }{{"/id", o.ID}, {"/time", o.Time}} {
		if pointer.text != "" && pointer.text[0] != '/' {
			return nil, codec.Optionf(pointer.at, "got %q, want a JSON pointer, like /deviceId", pointer.text)
		}
	}
	if len(o.Device) > maxDevice || o.Device != "" && o.ID != "" {
		return nil, codec.Optionf("/device", "got %.40q, want at most %d bytes, and no id beside it", o.Device, maxDevice)
	}
	switch o.Encoding {
	case "raw", "hex", "base64":
	default:
		return nil, codec.Optionf("/encoding", "got %q, known are raw, hex, base64", o.Encoding)
	}
	if len(o.Variables) > 0 && o.Variables[0] != '{' {
		return nil, codec.Optionf("/variables", "got %.40s, want an object", o.Variables)
	}
	return c, nil
}

// Begin implements codec.Codec.
func (c *formatter) Begin(codec.Peer) (codec.Dialogue, error) {
	i, err := c.program.enter()
	if err != nil {
		return nil, err
	}
	return &formatted{instance: i, options: &c.options, decode: i.decoder()}, nil
}

// formatted is one link of a payload formatter.
type formatted struct {
	*instance
	options *formatterOptions
	decode  string
	claimed bool
	devices value.Strings
}

// Receive implements codec.Dialogue. A frame of white space only keeps the link alive
// where frames are text.
func (d *formatted) Receive(f codec.Frame, out *codec.Outcome) error {
	payload, err := d.payload(f.Bytes)
	if err != nil || payload == nil {
		return err
	}
	claimed := d.claimed
	err = d.run(d.decode, func() ([]goja.Value, error) { return d.arguments(payload, f) }, func(v goja.Value) error {
		return d.decoded(v, out)
	})
	if err != nil {
		d.claimed = claimed
		out.Identity = codec.Identity{}
	}
	return err
}

// payload undoes the encoding of the frame.
func (d *formatted) payload(frame []byte) ([]byte, error) {
	if d.options.Encoding == "raw" {
		if frame == nil {
			frame = []byte{}
		}
		return frame, nil
	}
	text := bytes.TrimSpace(frame)
	if len(text) == 0 {
		return nil, nil
	}
	var b []byte
	var err error
	if d.options.Encoding == "hex" {
		b, err = hex.DecodeString(string(text))
	} else {
		b, err = base64.StdEncoding.DecodeString(string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: frame %.40q is not %s: %w",
			d.realm.program.name, text, d.options.Encoding, codec.ErrMalformed)
	}
	return b, nil
}

// arguments are those of the function that the script has.
func (d *formatted) arguments(payload []byte, f codec.Frame) ([]goja.Value, error) {
	r := d.realm
	list := make([]any, len(payload))
	for i, b := range payload {
		list[i] = int64(b)
	}
	array, port := r.vm.NewArray(list...), r.vm.ToValue(d.options.FPort)
	variables, err := r.parse(d.options.Variables)
	if err != nil {
		return nil, err
	}
	switch d.decode {
	case "Decoder":
		return []goja.Value{array, port, variables}, nil
	case "Decode":
		return []goja.Value{port, array, variables}, nil
	}
	at, err := r.date(f.At)
	input := r.vm.NewObject()
	return []goja.Value{input}, errors.Join(err, input.Set("bytes", array), input.Set("fPort", port),
		input.Set("recvTime", at), input.Set("variables", variables))
}

// decoded makes messages of what the script returned.
func (d *formatted) decoded(v goja.Value, out *codec.Outcome) error {
	if o, ok := v.(*goja.Object); ok {
		if o.ExportType() == reflect.TypeFor[*goja.Promise]() {
			return d.realm.program.brokenf("%s is asynchronous, which decoders are not", d.decode)
		}
	}
	if d.decode != "decodeUplink" {
		return d.messages(v, "", out)
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return fmt.Errorf("%s: decodeUplink returned no object: %w", d.realm.program.name, codec.ErrMalformed)
	}
	if errs := notes(o.Get("errors")); errs != "" {
		return fmt.Errorf("%s: %s: %w", d.realm.program.name, errs, codec.ErrMalformed)
	}
	return d.messages(o.Get("data"), notes(o.Get("warnings")), out)
}

// notes joins a list of texts.
func notes(v goja.Value) string {
	if !present(v) {
		return ""
	}
	var list []string
	if o, ok := v.(*goja.Object); ok && o.ClassName() == "Array" {
		for i := range int(min(length(o), maxNotes)) {
			list = append(list, o.Get(decimal(i)).String())
		}
	} else {
		list = []string{v.String()}
	}
	text := strings.Join(list, "; ")
	if len(text) > maxNotes {
		text = strings.ToValidUTF8(text[:maxNotes], "") + "..."
	}
	return text
}

// messages makes one message of the data, or one of each element of an array.
func (d *formatted) messages(data goja.Value, warnings string, out *codec.Outcome) error {
	if !present(data) {
		return nil
	}
	r := reader{d.realm, out}
	one := func(at string, v goja.Value) error {
		m := out.Add()
		body, err := r.json(at, v)
		if err != nil {
			return err
		}
		m.Body, m.ContentType, m.ContentEncoding = body, jsonType, utf8Name
		if warnings != "" {
			m.Set("warnings", warnings)
		}
		return d.describe(v, m, out)
	}
	if o, ok := data.(*goja.Object); ok && o.ClassName() == "Array" {
		return r.list("data", data, one)
	}
	return one("data", data)
}

// describe takes the device and the time of a message from its data.
func (d *formatted) describe(v goja.Value, m *codec.Message, out *codec.Outcome) error {
	claim := d.options.Device
	if d.options.ID != "" {
		id := at(v, d.options.ID)
		if !present(id) && d.claimed {
			return nil
		}
		text := ""
		if present(id) {
			text = id.String()
		}
		if _, object := id.(*goja.Object); object || text == "" || len(text) > maxDevice || !utf8.ValidString(text) {
			return fmt.Errorf("%s: device id %.40q at %s, want a string of 1 to %d bytes or a number: %w",
				d.realm.program.name, text, d.options.ID, maxDevice, codec.ErrMalformed)
		}
		m.Device = d.devices.Of([]byte(text))
		claim = m.Device
	}
	if claim != "" && !d.claimed {
		d.claimed, out.Identity.Device = true, claim
	}
	if d.options.Time == "" {
		return nil
	}
	t, err := reader{d.realm, out}.time(d.options.Time, at(v, d.options.Time))
	if err != nil {
		return fmt.Errorf("%s: time at %s cannot be read: %w", d.realm.program.name, d.options.Time, codec.ErrMalformed)
	}
	m.Time = t
	return nil
}

// at follows a JSON pointer; nil where it leads nowhere.
func at(v goja.Value, pointer string) goja.Value {
	for _, token := range strings.Split(pointer, "/")[1:] {
		o, ok := v.(*goja.Object)
		if !ok {
			return nil
		}
		v = o.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
	}
	return v
}

// Resume implements codec.Resumer: a formatter needs no login to decode.
func (d *formatted) Resume(string) error { return nil }
