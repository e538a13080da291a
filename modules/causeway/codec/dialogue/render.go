package dialogue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

type identityLine struct {
	Device string `json:"device"`
	Secret string `json:"secret,omitempty"`
	Accept string `json:"accept,omitempty"`
	Refuse string `json:"refuse,omitempty"`
}

type messageLine struct {
	Device          string            `json:"device,omitempty"`
	ContentType     string            `json:"contentType,omitempty"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	Time            string            `json:"time,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	Body            json.RawMessage   `json:"body,omitempty"`
	Text            *string           `json:"text,omitempty"`
	Hex             *string           `json:"hex,omitempty"`
}

type resultLine struct {
	Correlation string          `json:"correlation"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// Lines writes an outcome as the lines of a dialogue. What breaks the contract
// becomes a line that no file can expect.
func Lines(out *codec.Outcome, err error) []string {
	var lines []string
	add := func(word, text string) { lines = append(lines, word+" "+text) }
	if id := out.Identity; id.Device != "" {
		add("@", toJSON(identityLine{
			Device: id.Device, Secret: id.Secret,
			Accept: hex.EncodeToString(id.Accept), Refuse: hex.EncodeToString(id.Refuse),
		}))
	}
	if len(out.Reply) > 0 {
		add("<", Show(out.Reply))
	}
	if err == nil {
		for i := range out.Messages {
			add("=", message(&out.Messages[i]))
		}
		if len(out.Ack) > 0 {
			add("<<", Show(out.Ack))
		}
		if len(out.Nak) > 0 {
			add("<!", Show(out.Nak))
		}
	}
	for _, r := range out.Results {
		line := resultLine{Correlation: r.Correlation, Payload: r.Payload}
		if r.Err != nil {
			line.Error = r.Err.Error()
		}
		add("result", toJSON(line))
	}
	if out.Close != "" {
		add("close", out.Close)
	}
	if err != nil {
		add("!", Kind(err)+" "+err.Error())
	}
	return lines
}

func message(m *codec.Message) string {
	line := messageLine{Device: m.Device, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding}
	if !m.Time.IsZero() {
		line.Time = m.Time.UTC().Format(time.RFC3339Nano)
	}
	for _, p := range m.Properties {
		if line.Properties == nil {
			line.Properties = map[string]string{}
		}
		for name := range line.Properties {
			if strings.EqualFold(name, p.Name) {
				return fmt.Sprintf("property %q is set twice", p.Name)
			}
		}
		line.Properties[p.Name] = p.Value
	}
	text := string(m.Body)
	encoded := hex.EncodeToString(m.Body)
	switch isJSON := m.ContentType == "application/json"; {
	case isJSON && (!json.Valid(m.Body) || !utf8.Valid(m.Body) || m.ContentEncoding != "utf-8"):
		return fmt.Sprintf("application/json, %q: %q", m.ContentEncoding, m.Body)
	case isJSON:
		line.Body = m.Body
	case utf8.Valid(m.Body) && !bytes.ContainsFunc(m.Body, func(r rune) bool { return r < ' ' && r != '\t' }):
		line.Text = &text
	default:
		line.Hex = &encoded
	}
	return toJSON(line)
}

func toJSON(v any) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "cannot be shown: " + err.Error()
	}
	return strings.TrimSpace(text.String())
}

// Kind is the word for an error of a dialogue in case files: malformed, protocol,
// refused, broken, unknown, bad, busy or framing.
func Kind(err error) string {
	for _, k := range []struct {
		name string
		err  error
	}{
		{"broken", codec.ErrBroken}, {"protocol", codec.ErrProtocol}, {"refused", codec.ErrRefused},
		{"unknown", codec.ErrUnknownCommand},
		{"bad", codec.ErrBadCommand}, {"busy", codec.ErrBusy}, {"malformed", codec.ErrMalformed},
		{"framing", frame.ErrTooLong}, {"framing", frame.ErrMalformed}, {"framing", frame.ErrNoProgress},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "malformed" // as the contract says
}

// Matches reports whether a line is what a file expects.
func Matches(want, got string) bool {
	word, wanted, _ := strings.Cut(want, " ")
	gotWord, text, _ := strings.Cut(got, " ")
	if word != gotWord {
		return false
	}
	switch word {
	case "!":
		kind, message, _ := strings.Cut(text, " ")
		if first, rest, _ := strings.Cut(wanted, " "); first == kind {
			wanted = rest
		}
		return strings.Contains(message, strings.TrimSpace(wanted))
	case "@", "=", "result":
		return sameJSON(wanted, text)
	case "<", "<<", "<!":
		a, errA := Bytes(wanted)
		b, errB := Bytes(text)
		return errA == nil && errB == nil && bytes.Equal(a, b)
	default:
		return wanted == text
	}
}

// sameJSON compares values without regard to the order of members; numbers are
// compared as they are written.
func sameJSON(a, b string) bool {
	var texts [2]string
	for i, text := range []string{a, b} {
		var v any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return false
		}
		texts[i] = toJSON(v)
	}
	return texts[0] == texts[1]
}

// AllMatch reports whether the lines are those that a file expects, in order.
func AllMatch(want, got []string) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !Matches(want[i], got[i]) {
			return false
		}
	}
	return true
}
