package dialogue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Entry is one part of an outcome, for programs: it marshals to one line of JSON in
// which only the fields of its kind stand.
type Entry struct {
	// Frame is the number of the frame that led to it, from 1; 0 for none.
	Frame int `json:"frame,omitempty"`
	// Kind is identity, reply, message, ack, nak, result, close or error.
	Kind string `json:"kind"`
	// Device is that of an identity or a message; Secret, Accept and Refuse are those of
	// an identity, the latter in hexadecimal.
	Device string `json:"device,omitempty"`
	Secret string `json:"secret,omitempty"`
	Accept string `json:"accept,omitempty"`
	Refuse string `json:"refuse,omitempty"`
	// What belongs to a message; its body is in Body where it is JSON, in Text where it
	// is printable, otherwise in Hex.
	ContentType     string            `json:"contentType,omitempty"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	Time            string            `json:"time,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	Body            json.RawMessage   `json:"body,omitempty"`
	// Hex is what is written to the device (reply, ack, nak), and Text the same where it
	// is printable.
	Hex  string  `json:"hex,omitempty"`
	Text *string `json:"text,omitempty"`
	// Correlation and Payload are those of a result.
	Correlation string          `json:"correlation,omitempty"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	// Error is the word for an error, see Kind; Reason is its text, that of a result's
	// error, or why the link is closed.
	Error  string `json:"error,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Entries is what Lines says, for programs. Nothing of the outcome is kept.
func Entries(frame int, out *codec.Outcome, err error) []Entry {
	var list []Entry
	add := func(e Entry) {
		e.Frame = frame
		list = append(list, e)
	}
	if id := out.Identity; id.Device != "" {
		add(Entry{
			Kind: "identity", Device: id.Device, Secret: id.Secret,
			Accept: hex.EncodeToString(id.Accept), Refuse: hex.EncodeToString(id.Refuse),
		})
	}
	written := func(kind string, b []byte) {
		if len(b) > 0 {
			add(Entry{Kind: kind, Hex: hex.EncodeToString(b), Text: Printable(b)})
		}
	}
	written("reply", out.Reply)
	if err == nil {
		for i := range out.Messages {
			add(messageEntry(&out.Messages[i]))
		}
		written("ack", out.Ack)
		written("nak", out.Nak)
	}
	for _, r := range out.Results {
		e := Entry{Kind: "result", Correlation: r.Correlation}
		if json.Valid(r.Payload) {
			e.Payload = bytes.Clone(r.Payload)
		}
		if r.Err != nil {
			e.Reason = r.Err.Error()
		}
		add(e)
	}
	if out.Close != "" {
		add(Entry{Kind: "close", Reason: out.Close})
	}
	if err != nil {
		add(Entry{Kind: "error", Error: Kind(err), Reason: err.Error()})
	}
	return list
}

func messageEntry(m *codec.Message) Entry {
	e := Entry{Kind: "message", Device: m.Device, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding}
	if !m.Time.IsZero() {
		e.Time = m.Time.UTC().Format(time.RFC3339Nano)
	}
	for _, p := range m.Properties {
		if e.Properties == nil {
			e.Properties = make(map[string]string, len(m.Properties))
		}
		e.Properties[p.Name] = p.Value
	}
	switch {
	case m.ContentType == "application/json" && json.Valid(m.Body):
		e.Body = bytes.Clone(m.Body)
	default:
		if e.Text = Printable(m.Body); e.Text == nil {
			e.Hex = hex.EncodeToString(m.Body)
		}
	}
	return e
}

// Printable returns the bytes as text, nil where they are none or cannot be shown.
func Printable(b []byte) *string {
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == '\x7f'
	}) {
		return nil
	}
	text := string(b)
	return &text
}
