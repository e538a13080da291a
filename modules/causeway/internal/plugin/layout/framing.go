package layout

import (
	"bytes"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxFrame is the highest limit of frames, four times what IoT Hub takes as a message.
	maxFrame = 1 << 20
	// usualFrame is the limit where the layout names none.
	usualFrame = 64 << 10
	// maxMark is above any delimiter in use.
	maxMark = 16
	// maxHead is above what stands before a length field in any known protocol.
	maxHead = 64
)

// framing cuts a stream into frames, and wraps what is sent. It keeps no state.
type framing struct {
	kind  string // length, delimiter, line, delimited, fixed
	limit int
	// start and end are what stands around a frame; a length field has only a start.
	start, end []byte
	// of a length field
	offset     int
	word       word
	adjustment int
	strip      bool
	// of delimited frames: what the byte behind the escape means, or -1, and back.
	escaping       bool
	escape         byte
	decode, encode [256]int16
	size           int
}

func (f *framing) tooLong(n int) error {
	return fmt.Errorf("layout: frame of %d bytes, the limit is %d: %w", n, f.limit, codec.ErrProtocol)
}

// split has the contract of codec.Framer. The frame begins at the returned offset.
func (f *framing) split(data []byte) (advance int, frame []byte, err error) {
	if len(data) == 0 {
		return 0, nil, nil
	}
	switch f.kind {
	case "length":
		return f.splitLength(data)
	case "fixed":
		if len(data) < f.size {
			return 0, nil, nil
		}
		return f.size, data[:f.size:f.size], nil
	case "delimited":
		return f.splitDelimited(data)
	}
	n := bytes.Index(data, f.end)
	if n < 0 {
		if len(data) > f.limit+len(f.end) {
			return 0, nil, f.tooLong(len(data))
		}
		return 0, nil, nil
	}
	if n > f.limit+1 {
		return 0, nil, f.tooLong(n)
	}
	frame = data[:n:n]
	if f.kind == "line" && n > 0 && data[n-1] == '\r' {
		frame = data[: n-1 : n-1]
	}
	return n + len(f.end), frame, nil
}

func (f *framing) splitLength(data []byte) (int, []byte, error) {
	if n := min(len(data), len(f.start)); !bytes.Equal(data[:n], f.start[:n]) {
		return 0, nil, fmt.Errorf("layout: frame begins with %x, want %x: %w", data[:n], f.start, codec.ErrProtocol)
	}
	head := f.offset + f.word.size
	if len(data) < head {
		return 0, nil, nil
	}
	v := f.word.read(data[f.offset:])
	body := int64(maxFrame + 1) // stands for whatever is longer
	if v < maxFrame {
		body = int64(v) + int64(f.adjustment)
	}
	if body < 0 {
		return 0, nil, fmt.Errorf("layout: length field %d, at least %d is needed: %w", v, -f.adjustment, codec.ErrProtocol)
	}
	kept := head
	if f.strip {
		kept = 0
	}
	if body+int64(kept) > int64(f.limit) {
		return 0, nil, f.tooLong(int(body) + kept)
	}
	end := head + int(body)
	if len(data) < end {
		return 0, nil, nil
	}
	if f.strip {
		return end, data[head:end:end], nil
	}
	return end, data[:end:end], nil
}

func (f *framing) splitDelimited(data []byte) (int, []byte, error) {
	at := bytes.Index(data, f.start)
	if at > f.limit || at < 0 && len(data) > f.limit+len(f.start)-1 {
		return 0, nil, fmt.Errorf("layout: no start %x within %d bytes: %w", f.start, f.limit, codec.ErrProtocol)
	}
	if at < 0 {
		return 0, nil, nil
	}
	if len(f.start) == 0 || bytes.Equal(f.start, f.end) {
		// Of the flags in a row the last one begins the frame; without a start none does.
		for bytes.HasPrefix(data[at+len(f.start):], f.end) {
			at += len(f.end)
		}
	}
	if at > 0 {
		return at, nil, nil
	}
	body := data[len(f.start):]
	if !bytes.Contains(body, f.end) { // quick, so that a trickle of bytes costs little
		if len(body) > 2*f.limit {
			return 0, nil, f.tooLong(len(body))
		}
		return 0, nil, nil
	}
	raw, decoded, bad := f.find(body)
	switch {
	case decoded > f.limit:
		return 0, nil, f.tooLong(decoded)
	case raw < 0:
		return 0, nil, nil
	}
	advance := len(f.start) + raw + len(f.end)
	if bad >= 0 {
		return advance, nil, fmt.Errorf("layout: %x at offset %d is no escape: %w", body[bad:bad+2], bad, codec.ErrMalformed)
	}
	if decoded < raw {
		f.unescape(body[:raw])
	}
	return advance, body[:decoded:decoded], nil
}

// find walks to the end of the body: raw is its length, or -1 where it has no end yet,
// decoded that without escapes, bad the offset of what is no escape, or -1.
func (f *framing) find(body []byte) (raw, decoded, bad int) {
	bad = -1
	if !f.escaping {
		raw = bytes.Index(body, f.end)
		return raw, raw, bad
	}
	for i := 0; i < len(body) && decoded <= f.limit; decoded++ {
		b := body[i]
		if b == f.escape {
			if i+1 == len(body) {
				return -1, decoded, bad
			}
			if f.decode[body[i+1]] >= 0 {
				i += 2
				continue
			}
			if !bytes.HasPrefix(body[i:], f.end) && bad < 0 {
				bad = i
			}
		}
		if b == f.end[0] && bytes.HasPrefix(body[i:], f.end) {
			return i, decoded, bad
		}
		i++
	}
	return -1, decoded, bad
}

func (f *framing) unescape(raw []byte) {
	n := bytes.IndexByte(raw, f.escape)
	for i := n; i < len(raw); i++ {
		if raw[i] == f.escape {
			i++
			raw[n] = byte(f.decode[raw[i]])
		} else {
			raw[n] = raw[i]
		}
		n++
	}
}

// open appends what stands before a frame that is sent.
func (f *framing) open(dst []byte) []byte {
	switch f.kind {
	case "length":
		if f.strip {
			return f.word.append(append(dst, f.start...), 0)
		}
	case "delimited":
		if len(f.start) == 0 && f.escaping {
			return append(dst, f.end...) // a flag ends what noise there was
		}
		return append(dst, f.start...)
	}
	return dst
}

// close finishes a frame that begins at start and whose content begins at body.
func (f *framing) close(dst []byte, start, body int) ([]byte, error) {
	content := dst[body:]
	switch f.kind {
	case "length":
		if !f.strip {
			return dst, nil
		}
		v := int64(len(content) - f.adjustment)
		if !fits(v, 8*f.word.size, false) {
			return dst[:start], fmt.Errorf("layout: frame of %d bytes to send, its length field cannot say that: %w",
				len(content), codec.ErrBroken)
		}
		f.word.put(dst[body-f.word.size:], uint64(v))
		return dst, nil
	case "fixed":
		if len(content) != f.size {
			return dst[:start], fmt.Errorf("layout: frame of %d bytes to send, want %d: %w",
				len(content), f.size, codec.ErrBroken)
		}
		return dst, nil
	}
	if f.escaping {
		for _, b := range content {
			if code := f.encode[b]; code >= 0 {
				dst = append(dst, f.escape, byte(code))
			} else {
				dst = append(dst, b)
			}
		}
		n := copy(dst[body:], dst[body+len(content):])
		return append(dst[:body+n], f.end...), nil
	}
	if bytes.Contains(content, f.end) {
		return dst[:start], fmt.Errorf("layout: what is to be sent has the end of a frame, %x, in it: %w",
			f.end, codec.ErrBadCommand)
	}
	return append(dst, f.end...), nil
}
