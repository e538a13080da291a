package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that are not AMQP.
var ErrMalformed = errors.New("malformed amqp data")

// maxDepth bounds nesting. The deepest thing the standard itself needs (a described
// filter in a source in an attach) is five.
const maxDepth = 32

// spareValues is how many more values than bytes a document may hold: arrays of
// null, true or zero take no byte for an element, and must not be a way to make
// a few bytes fill the memory.
const spareValues = 1024

// Reader walks encoded values without building them. Its slices point into the
// data it was made from.
type Reader struct {
	data []byte
	text string // the same bytes when Share was called, so that strings cost nothing
	off  int
	// budget is how many more values may be built.
	budget int
}

// NewReader returns a Reader of data.
func NewReader(data []byte) Reader {
	return Reader{data: data, budget: len(data) + spareValues}
}

// Share copies the data once, so that each later Text is a part of that copy and
// needs no memory of its own. It suits documents whose texts are mostly kept.
func (r *Reader) Share() { r.text = string(r.data) }

// More tells whether anything is left.
func (r *Reader) More() bool { return r.off < len(r.data) }

// Rest returns what has not been read yet.
func (r *Reader) Rest() []byte { return r.data[r.off:] }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func (r *Reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.data)-r.off {
		return nil, malformed("%d bytes wanted at offset %d, %d are left", n, r.off, len(r.data)-r.off)
	}
	b := r.data[r.off : r.off+n : r.off+n]
	r.off += n
	return b, nil
}

func (r *Reader) code() (byte, error) {
	if r.off >= len(r.data) {
		return 0, malformed("a value is wanted at the end")
	}
	c := r.data[r.off]
	r.off++
	return c, nil
}

// size reads a length field of one or four bytes.
func (r *Reader) size(wide bool) (int, error) {
	if !wide {
		b, err := r.take(1)
		if err != nil {
			return 0, err
		}
		return int(b[0]), nil
	}
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(r.data)) {
		return 0, malformed("length %d over the %d bytes there are", n, len(r.data))
	}
	return int(n), nil
}

// raw returns the bytes that follow a constructor: the value of a fixed-width type,
// the content of a text or binary, all after the size for lists, maps and arrays.
func (r *Reader) raw(code byte) ([]byte, error) {
	switch code >> 4 {
	case 0x4:
		return nil, nil
	case 0x5:
		return r.take(1)
	case 0x6:
		return r.take(2)
	case 0x7:
		return r.take(4)
	case 0x8:
		return r.take(8)
	case 0x9:
		return r.take(16)
	case 0xa, 0xc, 0xe, 0xb, 0xd, 0xf:
		n, err := r.size(code&0x10 != 0)
		if err != nil {
			return nil, err
		}
		return r.take(n)
	}
	return nil, malformed("unknown constructor 0x%02x", code)
}

// Skip passes over one value of any type.
func (r *Reader) Skip() error {
	code, err := r.code()
	for depth := 0; err == nil && code == codeDescribed; depth++ {
		if depth == maxDepth {
			return malformed("nested deeper than %d", maxDepth)
		}
		if err = r.skipDescriptor(); err == nil {
			code, err = r.code()
		}
	}
	if err != nil {
		return err
	}
	_, err = r.raw(code)
	return err
}

// skipDescriptor passes over a descriptor, which must not be described itself: no
// standard type has such a descriptor.
func (r *Reader) skipDescriptor() error {
	code, err := r.code()
	if err != nil {
		return err
	}
	if code == codeDescribed {
		return malformed("described descriptor")
	}
	_, err = r.raw(code)
	return err
}

// Null consumes a null and returns true, or leaves the value alone.
func (r *Reader) Null() bool {
	if r.off < len(r.data) && r.data[r.off] == codeNull {
		r.off++
		return true
	}
	return false
}

// Descriptor reads the start of a described value up to its inner value, and
// returns the numeric descriptor. A symbolic one of the standard is translated.
func (r *Reader) Descriptor() (uint64, error) {
	code, err := r.code()
	if err != nil {
		return 0, err
	}
	if code != codeDescribed {
		return 0, malformed("constructor 0x%02x where a described value is wanted", code)
	}
	if code, err = r.code(); err != nil {
		return 0, err
	}
	raw, err := r.raw(code)
	if err != nil {
		return 0, err
	}
	switch code {
	case codeUlong0:
		return 0, nil
	case codeSmallUlong:
		return uint64(raw[0]), nil
	case codeUlong:
		return binary.BigEndian.Uint64(raw), nil
	case codeSymbol8, codeSymbol32:
		return symbolicDescriptor(string(raw))
	}
	return 0, malformed("constructor 0x%02x is no descriptor", code)
}

// Items opens a list or map and returns a Reader of its items and their number
// (twice the number of entries for a map). Null counts as empty.
func (r *Reader) Items() (Reader, int, error) {
	code, err := r.code()
	if err != nil {
		return Reader{}, 0, err
	}
	switch code {
	case codeNull, codeList0:
		return Reader{budget: r.budget}, 0, nil
	case codeList8, codeMap8, codeList32, codeMap32:
		return r.items(code)
	}
	return Reader{}, 0, malformed("constructor 0x%02x where a list or map is wanted", code)
}

func (r *Reader) items(code byte) (Reader, int, error) {
	raw, err := r.raw(code)
	if err != nil {
		return Reader{}, 0, err
	}
	in := Reader{data: raw, budget: r.budget}
	if r.text != "" {
		in.text = r.text[r.off-len(raw) : r.off]
	}
	n, err := in.size(code&0x10 != 0)
	if err != nil {
		return Reader{}, 0, err
	}
	if code&0x0f == codeMap8&0x0f && n%2 != 0 {
		return Reader{}, 0, malformed("map of %d items", n)
	}
	// Every item takes a byte at least.
	if n > len(raw) {
		return Reader{}, 0, malformed("%d items in %d bytes", n, len(raw))
	}
	return in, n, nil
}

// Binary reads a binary value; null is an empty one.
func (r *Reader) Binary() ([]byte, error) {
	code, err := r.code()
	if err != nil {
		return nil, err
	}
	switch code {
	case codeNull:
		return nil, nil
	case codeBinary8, codeBinary32:
		return r.raw(code)
	}
	return nil, malformed("constructor 0x%02x where binary is wanted", code)
}

// Text reads a string or symbol. Any other value is passed over, and ok is false.
func (r *Reader) Text() (s string, symbol, ok bool, err error) {
	code, err := r.code()
	if err != nil {
		return "", false, false, err
	}
	switch code {
	case codeString8, codeString32, codeSymbol8, codeSymbol32:
		raw, err := r.raw(code)
		if err != nil {
			return "", false, false, err
		}
		s, err := r.textOf(raw, code)
		return s, code&0x0f == codeSymbol8&0x0f, err == nil, err
	}
	r.off--
	return "", false, false, r.Skip()
}

// Embedded reads a binary value that is itself encoded AMQP, and returns a Reader
// of it which shares the copy that Share made.
func (r *Reader) Embedded() (Reader, error) {
	b, err := r.Binary()
	in := NewReader(b)
	if r.text != "" {
		in.text = r.text[r.off-len(b) : r.off]
	}
	return in, err
}
