package frame

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// delimited cuts frames between a start and an end, and undoes their escaping.
// Without a start the end alone separates the frames. Empty frames are the flags
// of an idle line and are passed over. Checksums are the codec's business.
type delimited struct {
	start, end []byte
	writeStart []byte // start on the way back
	escaping   bool
	escape     byte
	decode     [256]int16 // byte after the escape -> byte meant, or -1
	encode     [256]int16 // byte -> byte after the escape, or -1 where none is needed
	limit      int
}

// spec of the type delimited; a preset is one that others have fixed.
type delimitedSpec struct {
	Type   string      `json:"type"`
	Preset string      `json:"preset"`
	Start  string      `json:"start"`
	End    string      `json:"end"`
	Escape *escapeSpec `json:"escape"`
}

type escapeSpec struct {
	Byte string            `json:"byte"`
	Xor  string            `json:"xor"`
	Map  map[string]string `json:"map"`
}

// preset returns the framing of a known protocol.
func preset(name string) (s delimitedSpec, ok bool) {
	switch name {
	case "hdlc": // RFC 1662, section 4: one flag may both end a frame and begin the next
		s = delimitedSpec{End: "7e", Escape: &escapeSpec{Byte: "7d", Xor: "20"}}
	case "slip": // RFC 1055
		s = delimitedSpec{End: "c0", Escape: &escapeSpec{Map: map[string]string{"dbdc": "c0", "dbdd": "db"}}}
	case "jt808": // JT/T 808, section 4.4.2
		s = delimitedSpec{Start: "7e", End: "7e"}
		s.Escape = &escapeSpec{Map: map[string]string{"7d02": "7e", "7d01": "7d"}}
	case "mllp": // HL7 transport specification, minimal lower layer protocol
		s = delimitedSpec{Start: "0b", End: "1c0d"}
	default:
		return s, false
	}
	return s, true
}

func (f *Framing) parseDelimited(spec json.RawMessage) error {
	var s delimitedSpec
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	if name := s.Preset; name != "" {
		if s.Start != "" || s.End != "" || s.Escape != nil {
			return codec.Optionf("/preset", "got %q together with start, end or escape", name)
		}
		var ok bool
		if s, ok = preset(name); !ok {
			return codec.Optionf("/preset", "got %q, allowed are hdlc, slip, jt808, mllp", name)
		}
	}
	c, err := newDelimited(s, f.limit)
	if err != nil {
		return err
	}
	f.cutter = c
	// All bytes of a frame may be escaped.
	f.window = len(c.start) + f.limit + len(c.end)
	if c.escaping {
		f.window += f.limit
	}
	return nil
}

func newDelimited(s delimitedSpec, limit int) (*delimited, error) {
	start, err := parseHex("/start", s.Start, 0, maxDelimiter)
	if err != nil {
		return nil, err
	}
	end, err := parseHex("/end", s.End, 1, maxDelimiter)
	if err != nil {
		return nil, err
	}
	c := &delimited{start: start, end: end, writeStart: start, limit: limit}
	if len(start) == 0 && s.Escape != nil {
		c.writeStart = end // a flag before the frame ends any noise on the line
	}
	if s.Escape == nil {
		return c, nil
	}
	c.escaping = true
	for i := range 256 {
		c.decode[i], c.encode[i] = -1, -1
	}
	if s.Escape.Map != nil {
		return c, c.escapeByMap(s.Escape)
	}
	return c, c.escapeByXor(s.Escape)
}

// escapeByXor: the escape is followed by the byte meant, xor a constant.
func (c *delimited) escapeByXor(s *escapeSpec) error {
	escape, err := parseHex("/escape/byte", s.Byte, 1, 1)
	if err != nil {
		return err
	}
	xor, err := parseHex("/escape/xor", s.Xor, 1, 1)
	if err != nil {
		return err
	}
	c.escape = escape[0]
	if xor[0] == 0 || len(c.end) != 1 || len(c.start) > 1 {
		return codec.Optionf("/escape/xor", "got %q, works with a start and an end of one byte, and not with 00", s.Xor)
	}
	flags := []byte{c.escape, c.end[0]}
	flags = append(flags, c.start...)
	for i := range 256 {
		c.decode[i] = int16(byte(i) ^ xor[0])
	}
	for _, flag := range flags[1:] {
		c.decode[flag] = -1 // an escaped flag aborts the frame
	}
	for _, flag := range flags {
		if c.encode[flag] = int16(flag ^ xor[0]); c.decode[flag^xor[0]] < 0 || c.escape == c.end[0] {
			return codec.Optionf("/escape", "byte %s xor %s makes a flag out of %02x", s.Byte, s.Xor, flag)
		}
	}
	return nil
}

// escapeByMap: pairs of bytes stand for single ones.
func (c *delimited) escapeByMap(s *escapeSpec) error {
	if s.Byte != "" || s.Xor != "" {
		return codec.Optionf("/escape", "wants either a map, or byte and xor")
	}
	first := -1
	for pair, meant := range s.Map {
		at := "/escape/map/" + pair
		from, err := hex.DecodeString(pair)
		if err != nil || len(from) != 2 || first >= 0 && int(from[0]) != first {
			return codec.Optionf(at, "want two bytes in hexadecimal, the first the same in all pairs")
		}
		to, err := parseHex(at, meant, 1, 1)
		if err != nil {
			return err
		}
		if c.encode[to[0]] >= 0 || c.decode[from[1]] >= 0 {
			return codec.Optionf(at, "stands for %s, as another pair does", meant)
		}
		first = int(from[0])
		c.decode[from[1]], c.encode[to[0]] = int16(to[0]), int16(from[1])
	}
	if first < 0 {
		return codec.Optionf("/escape/map", "got no pair")
	}
	c.escape = byte(first)
	if c.encode[c.escape] < 0 || c.encode[c.end[0]] < 0 && c.end[0] != c.escape {
		return codec.Optionf("/escape/map", "must have pairs for %02x and %02x", c.escape, c.end[0])
	}
	if c.end[0] == c.escape && (len(c.end) == 1 || c.decode[c.end[1]] >= 0) {
		return codec.Optionf("/escape/map", "has a pair that begins like the end %x", c.end)
	}
	return nil
}

func (c *delimited) split(data []byte, _ bool) (int, []byte, error) {
	at, err := c.seek(data)
	if err != nil || at < 0 {
		return 0, nil, err
	}
	if at > 0 {
		return at, nil, nil // what was passed over need not wait for the frame
	}
	body := data[len(c.start):]
	if !bytes.Contains(body, c.end) { // quick, so that a trickle of bytes costs little
		return 0, nil, c.overlong(body)
	}
	raw, decoded, bad := c.scan(body)
	switch {
	case decoded > c.limit:
		return 0, nil, tooLong(decoded, c.limit)
	case raw < 0:
		return 0, nil, nil
	}
	advance := len(c.start) + raw + len(c.end)
	if bad >= 0 {
		return advance, nil, fmt.Errorf("frame: %x at offset %d is no escape: %w", body[bad:bad+2], bad, ErrMalformed)
	}
	if decoded < raw {
		c.unescape(body[:raw])
	}
	return advance, body[:decoded:decoded], nil
}

// seek finds where the frame begins, past garbage and empty frames; -1 asks for
// more data.
func (c *delimited) seek(data []byte) (int, error) {
	at := 0
	if len(c.start) > 0 {
		n := bytes.Index(data, c.start)
		if n > c.limit || n < 0 && len(data) > c.limit+len(c.start)-1 {
			return 0, fmt.Errorf("frame: no start %x within %d bytes: %w", c.start, c.limit, ErrMalformed)
		}
		if n < 0 {
			return -1, nil
		}
		at = n
	}
	if len(c.start) == 0 || bytes.Equal(c.start, c.end) {
		// Of the flags in a row the last one begins the frame; without a start none does.
		for bytes.HasPrefix(data[at+len(c.start):], c.end) {
			at += len(c.end)
		}
	}
	return at, nil
}

// scan walks over the body to its end: raw is its length (-1: the end is not
// there yet), decoded its length without escapes so far, bad the offset of a
// wrong escape, or -1.
func (c *delimited) scan(body []byte) (raw, decoded, bad int) {
	bad = -1
	if !c.escaping {
		raw = bytes.Index(body, c.end)
		return raw, raw, bad
	}
	for i := 0; i < len(body); decoded++ {
		b := body[i]
		if b == c.escape {
			if i+1 == len(body) {
				return -1, decoded, bad
			}
			if c.decode[body[i+1]] >= 0 {
				i += 2
				continue
			}
			if !bytes.HasPrefix(body[i:], c.end) && bad < 0 {
				bad = i
			}
		}
		if b == c.end[0] && bytes.HasPrefix(body[i:], c.end) {
			return i, decoded, bad
		}
		if decoded > c.limit {
			return -1, decoded, bad
		}
		i++
	}
	return -1, decoded, bad
}

// overlong refuses a body without an end that cannot be within the limit.
func (c *delimited) overlong(body []byte) error {
	n := len(body)
	if n <= c.limit {
		return nil
	}
	n -= len(c.end) - 1 // may be the head of the end
	if c.escaping {
		n = max(n-bytes.Count(body, []byte{c.escape}), (n+1)/2) // an escape makes one byte of two
	}
	if n > c.limit {
		return tooLong(n, c.limit)
	}
	return nil
}

func (c *delimited) unescape(raw []byte) {
	n := bytes.IndexByte(raw, c.escape)
	for i := n; i < len(raw); i++ {
		if raw[i] == c.escape {
			i++
			raw[n] = byte(c.decode[raw[i]])
		} else {
			raw[n] = raw[i]
		}
		n++
	}
}

func (c *delimited) wrap(dst, payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return nil, fmt.Errorf("frame: empty payload: %w", ErrPayload)
	}
	dst = append(dst, c.writeStart...)
	if !c.escaping {
		body := len(dst)
		dst = append(append(dst, payload...), c.end...)
		if n := bytes.Index(dst[body:], c.end); n != len(payload) {
			return nil, fmt.Errorf("frame: the end %x stands at offset %d: %w", c.end, n, ErrPayload)
		}
		return dst, nil
	}
	for _, b := range payload {
		if code := c.encode[b]; code >= 0 {
			dst = append(dst, c.escape, byte(code))
		} else {
			dst = append(dst, b)
		}
	}
	return append(dst, c.end...), nil
}
