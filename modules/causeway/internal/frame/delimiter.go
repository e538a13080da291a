package frame

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// delimiter ends each frame with the same bytes. Frames between two delimiters
// may be empty: devices send them to keep the link alive.
type delimiter struct {
	end   []byte // what ends a frame
	write []byte // what ends a frame on the way back
	cr    bool   // drop a CR before the end
	limit int
}

// maxDelimiter is far above any delimiter in use; it keeps the window near the limit.
const maxDelimiter = 16

func (f *Framing) parseLine(spec json.RawMessage) error {
	var s struct {
		Type string `json:"type"`
		CRLF bool   `json:"crlf"`
	}
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	d := &delimiter{end: []byte("\n"), write: []byte("\n"), cr: true, limit: f.limit}
	if s.CRLF {
		d.write = []byte("\r\n")
	}
	f.cutter, f.window = d, f.limit+2
	return nil
}

func (f *Framing) parseDelimiter(spec json.RawMessage) error {
	var s struct {
		Type string  `json:"type"`
		Hex  *string `json:"hex"`
		Text *string `json:"text"`
	}
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	var end []byte
	switch {
	case (s.Hex == nil) == (s.Text == nil):
		return codec.Optionf("", "a delimiter needs either hex or text")
	case s.Text != nil:
		end = []byte(*s.Text)
		if len(end) == 0 || len(end) > maxDelimiter {
			return codec.Optionf("/text", "got %q, want 1 to %d bytes", *s.Text, maxDelimiter)
		}
	default:
		var err error
		if end, err = parseHex("/hex", *s.Hex, 1, maxDelimiter); err != nil {
			return err
		}
	}
	f.cutter, f.window = &delimiter{end: end, write: end, limit: f.limit}, f.limit+len(end)
	return nil
}

// parseHex reads min to max bytes in hexadecimal.
func parseHex(at, text string, least, most int) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) < least || len(b) > most {
		return nil, codec.Optionf(at, "got %q, want %d to %d bytes in hexadecimal", text, least, most)
	}
	return b, nil
}

func (d *delimiter) split(data []byte, _ bool) (int, []byte, error) {
	n := bytes.Index(data, d.end)
	if n < 0 {
		content := len(data)
		if d.cr && data[content-1] == '\r' {
			content--
		}
		if content > d.limit+len(d.end)-1 { // less may be the head of the delimiter
			return 0, nil, tooLong(content, d.limit)
		}
		return 0, nil, nil
	}
	frame := data[:n:n]
	if d.cr && n > 0 && data[n-1] == '\r' {
		frame = data[: n-1 : n-1]
	}
	return n + len(d.end), frame, nil
}

// wrap leaves a payload that already ends with the delimiter as it is, because
// writers of text replies put the line's end there by habit.
func (d *delimiter) wrap(dst, payload []byte) ([]byte, error) {
	out := append(dst, payload...)
	if !bytes.HasSuffix(payload, d.end) {
		out = append(out, d.write...)
	}
	body := out[len(dst):]
	if n := bytes.Index(body, d.end); n+len(d.end) != len(body) {
		return nil, fmt.Errorf("frame: the delimiter %q stands at offset %d: %w", d.end, n, ErrPayload)
	}
	return out, nil
}
