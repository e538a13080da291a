package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// length cuts frames that carry their own length.
type length struct {
	prefix     []byte // constant bytes before the field; nil where they vary
	offset     int    // where the field stands
	size       int    // bytes of the field; 0 for a varint
	little     bool
	encoding   string
	adjustment int // field value + adjustment = bytes after the field
	strip      bool
	limit      int
}

const (
	// maxOffset keeps the head of a frame bounded; known protocols need at most 8.
	maxOffset = 64
	// maxAdjustment is far above any header or trailer in use.
	maxAdjustment = 1 << 16
	// maxASCII digits hold every length up to MaxLimit, and zeros before it.
	maxASCII = 10
	// maxBinary bytes fill the 64 bits of the value.
	maxBinary = 8
)

// fieldSize is a number of bytes, or "varint".
type fieldSize struct {
	bytes  int
	varint bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *fieldSize) UnmarshalJSON(raw []byte) error {
	s.varint = string(raw) == `"varint"`
	if s.varint {
		return nil
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 1 || n > maxASCII {
		return codec.Optionf("", `got %s, want a number of bytes (1 to 8) or "varint"`, raw)
	}
	s.bytes = n
	return nil
}

func (f *Framing) parseLength(spec json.RawMessage) error {
	s := struct {
		Type       string    `json:"type"`
		Prefix     string    `json:"prefix"`
		Offset     *int      `json:"offset"`
		Size       fieldSize `json:"size"`
		Endian     string    `json:"endian"`
		Encoding   string    `json:"encoding"`
		Adjustment int       `json:"adjustment"`
		Strip      *bool     `json:"strip"`
	}{Size: fieldSize{bytes: 2}, Endian: "big", Encoding: "binary"}
	if err := codec.DecodeOptions(spec, &s); err != nil {
		return err
	}
	prefix, err := parseHex("/prefix", s.Prefix, 0, maxOffset)
	if err != nil {
		return err
	}
	c := &length{
		prefix: prefix, offset: len(prefix), size: s.Size.bytes, little: s.Endian == "little",
		encoding: s.Encoding, adjustment: s.Adjustment, limit: f.limit,
	}
	if s.Size.varint {
		c.size = 0
	}
	if s.Offset != nil {
		c.offset = *s.Offset
	}
	c.strip = c.offset == len(prefix)
	if s.Strip != nil {
		c.strip = *s.Strip
	}
	if err := c.check(s.Endian, s.Size.varint); err != nil {
		return err
	}
	f.cutter, f.window = c, f.limit+c.head()
	return nil
}

// check refuses what cannot work together.
func (c *length) check(endian string, varint bool) error {
	switch {
	case c.offset < 0 || c.offset > maxOffset:
		return codec.Optionf("/offset", "got %d, allowed are 0 to %d", c.offset, maxOffset)
	case len(c.prefix) > 0 && len(c.prefix) != c.offset:
		return codec.Optionf("/offset", "got %d, the prefix before the field has %d bytes", c.offset, len(c.prefix))
	case c.strip && c.offset != len(c.prefix):
		return codec.Optionf("/strip", "got true, but the %d bytes before the field are not given as prefix", c.offset)
	case endian != "big" && endian != "little":
		return codec.Optionf("/endian", "got %q, allowed are big, little", endian)
	case c.encoding != "binary" && c.encoding != "ascii" && c.encoding != "bcd":
		return codec.Optionf("/encoding", "got %q, allowed are binary, ascii, bcd", c.encoding)
	case varint && c.encoding != "binary":
		return codec.Optionf("/encoding", "got %q, a varint is binary", c.encoding)
	case c.encoding != "ascii" && c.size > maxBinary:
		return codec.Optionf("/size", "got %d, allowed are 1 to %d", c.size, maxBinary)
	case c.adjustment < -maxAdjustment || c.adjustment > maxAdjustment:
		return codec.Optionf("/adjustment", "got %d, allowed are %d to %d", c.adjustment, -maxAdjustment, maxAdjustment)
	default:
		return nil
	}
}

// head is the most bytes that stand before the body.
func (c *length) head() int {
	if c.size == 0 {
		return c.offset + binary.MaxVarintLen64
	}
	return c.offset + c.size
}

func (c *length) split(data []byte, _ bool) (int, []byte, error) {
	if n := min(len(data), len(c.prefix)); !bytes.Equal(data[:n], c.prefix[:n]) {
		return 0, nil, fmt.Errorf("frame: begins with %x, want %x: %w", data[:n], c.prefix, ErrMalformed)
	}
	if len(data) <= c.offset {
		return 0, nil, nil
	}
	value, size, err := c.read(data[c.offset:])
	if err != nil || size == 0 {
		return 0, nil, err
	}
	body := int64(math.MaxInt32) // stands for every length over MaxLimit
	if value < math.MaxInt32 {
		body = int64(value) + int64(c.adjustment)
	}
	if body < 0 {
		return 0, nil, fmt.Errorf("frame: length field %d and adjustment %d: %w", value, c.adjustment, ErrMalformed)
	}
	head, kept := c.offset+size, 0
	if !c.strip {
		kept = head
	}
	if body+int64(kept) > int64(c.limit) {
		return 0, nil, fmt.Errorf("frame: length field %d, the limit is %d: %w", value, c.limit, ErrTooLong)
	}
	end := head + int(body)
	if len(data) < end {
		return 0, nil, nil
	}
	return end, data[head-kept : end : end], nil
}

// read reads the length field at the front of data; size 0 asks for more.
func (c *length) read(data []byte) (value uint64, size int, err error) {
	if c.size == 0 {
		value, size = binary.Uvarint(data)
		if size < 0 || size == 0 && len(data) >= binary.MaxVarintLen64 {
			return 0, 0, fmt.Errorf("frame: length field is no varint of 64 bits: %w", ErrMalformed)
		}
		return value, size, nil
	}
	if len(data) < c.size {
		return 0, 0, nil
	}
	for i := range c.size {
		b := data[i]
		if c.little {
			b = data[c.size-1-i]
		}
		switch {
		case c.encoding == "binary":
			value = value<<8 | uint64(b)
		case c.encoding == "ascii" && '0' <= b && b <= '9':
			value = value*10 + uint64(b-'0')
		case c.encoding == "bcd" && b>>4 <= 9 && b&15 <= 9:
			value = value*100 + uint64(b>>4)*10 + uint64(b&15)
		default:
			return 0, 0, fmt.Errorf("frame: length field %x is not %s: %w", data[:c.size], c.encoding, ErrMalformed)
		}
	}
	return value, c.size, nil
}

// wrap writes the header before the payload. Where frames are delivered with
// their header, payloads have it too, and it must be right.
func (c *length) wrap(dst, payload []byte) ([]byte, error) {
	if !c.strip {
		own := *c
		own.limit = math.MaxInt32
		n, _, err := own.split(payload, true)
		if err != nil || n == 0 || n != len(payload) {
			return nil, fmt.Errorf("frame: %d bytes whose header says otherwise: %w", len(payload), ErrPayload)
		}
		return append(dst, payload...), nil
	}
	value := len(payload) - c.adjustment
	if value < 0 {
		return nil, fmt.Errorf("frame: %d bytes, at least %d are needed: %w", len(payload), c.adjustment, ErrPayload)
	}
	dst = append(dst, c.prefix...)
	if c.size == 0 {
		return append(binary.AppendUvarint(dst, uint64(value)), payload...), nil
	}
	var field [maxASCII]byte
	if !c.write(field[:c.size], uint64(value)) {
		return nil, fmt.Errorf("frame: %d bytes, a length field of %d bytes cannot say that: %w",
			len(payload), c.size, ErrPayload)
	}
	return append(append(dst, field[:c.size]...), payload...), nil
}

// write writes the length field, and reports whether the value fits.
func (c *length) write(field []byte, value uint64) bool {
	for i := range field {
		at := len(field) - 1 - i
		if c.little {
			at = i
		}
		switch c.encoding {
		case "ascii":
			field[at], value = '0'+byte(value%10), value/10
		case "bcd":
			field[at], value = byte(value/10%10<<4|value%10), value/100
		default:
			field[at], value = byte(value), value>>8
		}
	}
	return value == 0
}
