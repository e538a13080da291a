// Package frame cuts a byte stream into frames, and wraps frames for the way
// back, as a listener's configuration says.
//
// [Parse] makes a [Framing] from the configuration; a [Reader] reads a link
// through the Split of a Framing, or through the Split of a codec that cuts its
// stream itself. Neither allocates for a frame.
//
// A specification is a JSON object with a type:
//
//	{"type": "line"}                      text lines: LF, a CR before it is dropped; "crlf": true writes CR LF
//	{"type": "delimiter", "hex": "0d0a"}  or "text"; the delimiter is dropped
//	{"type": "length", "offset": 0, "size": 2, "endian": "big", "adjustment": 0, "encoding": "binary", "strip": true}
//	{"type": "length", "prefix": "68", "size": "varint"}   constant bytes before the field are dropped with it
//	{"type": "fixed", "size": 64}
//	{"type": "delimited", "preset": "hdlc"}  or slip, jt808, mllp
//	{"type": "delimited", "start": "02", "end": "03", "escape": {"byte": "10", "xor": "20"}}
//	{"type": "gap", "milliseconds": 50}   silence ends a frame
//	{"type": "datagram"}                  each datagram is a frame
//	{"type": "none"}                      each chunk that was read is a frame
//
// A length field's value and the adjustment make the bytes that follow the field;
// its encoding may be ascii or bcd. Escapes may be a map of pairs instead, as in
// {"map": {"dbdc": "c0", "dbdd": "db"}}. Without a start the end alone separates.
//
// A frame over the limit is refused as soon as that is certain, and what is left
// of a frame when the stream ends is never taken for a frame.
package frame

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

var (
	// ErrTooLong says that a frame is, or would be, over the limit. The stream
	// cannot be followed any further.
	ErrTooLong = errors.New("frame too long")
	// ErrMalformed says that the bytes are not a frame. When Split consumed bytes
	// with it, the stream can be followed from there; otherwise it cannot.
	ErrMalformed = errors.New("malformed framing")
	// ErrPayload says that Append was given bytes that this framing cannot carry.
	ErrPayload = errors.New("payload does not fit the framing")
)

// Framing cuts and wraps frames of one configuration. It keeps no state about a
// stream, so that one value serves all links of a listener at once.
type Framing struct {
	// Gap is the silence that ends a frame; zero for all types but gap.
	Gap time.Duration

	kind          string
	limit, window int
	cutter        cutter
}

// cutter is one type of framing.
type cutter interface {
	split(data []byte, atEOF bool) (advance int, frame []byte, err error)
	wrap(dst, payload []byte) ([]byte, error)
}

// Kind is the type that the specification named.
func (f *Framing) Kind() string { return f.kind }

// Window is the most bytes that Split can need at once to find a frame within the
// limit. With so many bytes it never asks for more.
func (f *Framing) Window() int { return f.window }

// Split has the contract of bufio.SplitFunc. The frame is a part of the bytes that it
// consumes, and may have been unescaped within them. Errors wrap ErrTooLong or ErrMalformed. At
// the end of the stream it still returns complete frames only.
func (f *Framing) Split(data []byte, atEOF bool) (advance int, frame []byte, err error) {
	if len(data) == 0 {
		return 0, nil, nil
	}
	advance, frame, err = f.cutter.split(data, atEOF)
	if len(frame) > f.limit {
		return 0, nil, tooLong(len(frame), f.limit)
	}
	return advance, frame, err
}

// Append appends the payload as a frame: with its delimiter, length header or
// escaping. An error wraps ErrPayload, and dst is returned as it was.
func (f *Framing) Append(dst, payload []byte) ([]byte, error) {
	out, err := f.cutter.wrap(dst, payload)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// MaxLimit is the highest frame limit that Parse takes: 16 MiB, far above the
// 256 KiB that IoT Hub accepts in one message, so that no frame length overflows.
const MaxLimit = 16 << 20

// Parse makes a framing from its specification. Limit is the longest frame in
// bytes, from 1 to MaxLimit. Faults of the specification are
// [*codec.OptionError], with a pointer into it.
func Parse(spec json.RawMessage, limit int) (*Framing, error) {
	if limit < 1 || limit > MaxLimit {
		return nil, fmt.Errorf("frame: limit %d, allowed are 1 to %d", limit, MaxLimit)
	}
	kind, err := specType(spec)
	if err != nil {
		return nil, err
	}
	f := &Framing{kind: kind, limit: limit, window: limit}
	switch kind {
	case "line":
		err = f.parseLine(spec)
	case "delimiter":
		err = f.parseDelimiter(spec)
	case "length":
		err = f.parseLength(spec)
	case "fixed":
		err = f.parseFixed(spec)
	case "delimited":
		err = f.parseDelimited(spec)
	case "gap":
		err = f.parseGap(spec)
	case "datagram", "none":
		err = f.parseWhole(spec)
	default:
		err = codec.Optionf("/type", "got %q, want one of %s", kind, kinds)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

const kinds = "line, delimiter, length, fixed, delimited, gap, datagram, none"

// specType reads the type, before the fields that it allows are known.
func specType(spec json.RawMessage) (string, error) {
	var head map[string]json.RawMessage
	if err := json.Unmarshal(spec, &head); err != nil || head == nil {
		return "", codec.Optionf("", "want an object with a type, one of %s", kinds)
	}
	var kind string
	if err := json.Unmarshal(head["type"], &kind); err != nil || kind == "" {
		return "", codec.Optionf("/type", "want one of %s", kinds)
	}
	return kind, nil
}

func tooLong(n, limit int) error {
	return fmt.Errorf("frame: %d bytes, the limit is %d: %w", n, limit, ErrTooLong)
}
