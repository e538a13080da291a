package amqp

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// startCap is the room made before elements are seen: a count is only a claim.
const startCap = 64

// Value builds the next value. See types.go for the Go types it may be of. It
// refuses nesting deeper than 32 and documents with far more values than bytes.
func (r *Reader) Value() (any, error) { return r.value(maxDepth) }

func (r *Reader) spend(n int) error {
	if n > r.budget {
		return malformed("more values than %d bytes can stand for", len(r.data))
	}
	r.budget -= n
	return nil
}

func (r *Reader) value(depth int) (any, error) {
	code, err := r.code()
	if err != nil {
		return nil, err
	}
	return r.valueOf(code, depth)
}

func (r *Reader) valueOf(code byte, depth int) (any, error) {
	if depth == 0 {
		return nil, malformed("nested deeper than %d", maxDepth)
	}
	if err := r.spend(1); err != nil {
		return nil, err
	}
	if code == codeDescribed {
		descriptor, err := r.value(depth - 1)
		if err != nil {
			return nil, err
		}
		v, err := r.value(depth - 1)
		return Described{descriptor, v}, err
	}
	switch code {
	case codeList8, codeList32, codeMap8, codeMap32:
		return r.compound(code, depth)
	case codeArray8, codeArray32:
		return r.array(code, depth)
	}
	raw, err := r.raw(code)
	if err != nil {
		return nil, err
	}
	switch code >> 4 {
	case 0x4, 0x5:
		return narrow(code, raw)
	case 0xa, 0xb:
		return r.variable(code, raw)
	}
	return fixed(code, raw)
}

// narrow makes values of no byte and of one.
func narrow(code byte, raw []byte) (any, error) {
	switch code {
	case codeNull:
		return nil, nil
	case codeTrue:
		return true, nil
	case codeFalse:
		return false, nil
	case codeUint0:
		return uint32(0), nil
	case codeUlong0:
		return uint64(0), nil
	case codeList0:
		return []any{}, nil
	case codeUbyte:
		return raw[0], nil
	case codeByte:
		return int8(raw[0]), nil
	case codeSmallUint:
		return uint32(raw[0]), nil
	case codeSmallUlong:
		return uint64(raw[0]), nil
	case codeSmallInt:
		return int32(int8(raw[0])), nil
	case codeSmallLong:
		return int64(int8(raw[0])), nil
	case codeBool:
		if raw[0] > 1 {
			return nil, malformed("boolean of value %d", raw[0])
		}
		return raw[0] == 1, nil
	}
	return nil, malformed("unknown constructor 0x%02x", code)
}

// fixed makes values of two bytes and more.
func fixed(code byte, raw []byte) (any, error) {
	switch code {
	case codeUshort:
		return binary.BigEndian.Uint16(raw), nil
	case codeShort:
		return int16(binary.BigEndian.Uint16(raw)), nil
	case codeUint:
		return binary.BigEndian.Uint32(raw), nil
	case codeInt:
		return int32(binary.BigEndian.Uint32(raw)), nil
	case codeFloat:
		return math.Float32frombits(binary.BigEndian.Uint32(raw)), nil
	case codeChar:
		c := rune(binary.BigEndian.Uint32(raw))
		if !utf8.ValidRune(c) {
			return nil, malformed("0x%x is no character", uint32(c))
		}
		return Char(c), nil
	case codeDecimal32:
		return Decimal32(raw), nil
	case codeUlong:
		return binary.BigEndian.Uint64(raw), nil
	case codeLong:
		return int64(binary.BigEndian.Uint64(raw)), nil
	case codeDouble:
		return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
	case codeTimestamp:
		return time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC(), nil
	case codeDecimal64:
		return Decimal64(raw), nil
	case codeDecimal128:
		return Decimal128(raw), nil
	case codeUUID:
		return UUID(raw), nil
	}
	return nil, malformed("unknown constructor 0x%02x", code)
}

func (r *Reader) variable(code byte, raw []byte) (any, error) {
	switch code {
	case codeBinary8, codeBinary32:
		// A copy: values outlive the buffer they were read from.
		return append(make([]byte, 0, len(raw)), raw...), nil
	case codeString8, codeString32:
		return r.textOf(raw, code)
	case codeSymbol8, codeSymbol32:
		s, err := r.textOf(raw, code)
		return Symbol(s), err
	}
	return nil, malformed("unknown constructor 0x%02x", code)
}

// textOf checks the content of the string or symbol that was read last.
func (r *Reader) textOf(raw []byte, code byte) (string, error) {
	if !utf8.Valid(raw) {
		return "", malformed("text of constructor 0x%02x is not UTF-8", code)
	}
	if r.text != "" {
		return r.text[r.off-len(raw) : r.off], nil
	}
	return string(raw), nil
}

func (r *Reader) compound(code byte, depth int) (any, error) {
	in, n, err := r.items(code)
	if err != nil {
		return nil, err
	}
	isMap := code&0x0f == codeMap8&0x0f
	list := make([]any, 0, min(n, startCap))
	for range n {
		v, err := in.value(depth - 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	r.budget = in.budget
	if in.More() {
		return nil, malformed("%d bytes behind the last of %d items", len(in.Rest()), n)
	}
	if !isMap {
		return list, nil
	}
	m := make(Map, 0, n/2)
	for i := 0; i < n; i += 2 {
		m = append(m, Pair{list[i], list[i+1]})
	}
	return m, nil
}

func (r *Reader) array(code byte, depth int) (any, error) {
	raw, err := r.raw(code)
	if err != nil {
		return nil, err
	}
	in := Reader{data: raw, budget: r.budget}
	if r.text != "" {
		in.text = r.text[r.off-len(raw) : r.off]
	}
	b, err := in.take(1 + 3*int(code>>4&1))
	if err != nil {
		return nil, err
	}
	n := int(b[0])
	if len(b) == 4 {
		n = int(binary.BigEndian.Uint32(b))
	}
	element, err := in.code()
	if err != nil {
		return nil, err
	}
	var descriptor any
	described := element == codeDescribed
	if described {
		if descriptor, err = in.value(depth - 1); err != nil {
			return nil, err
		}
		if element, err = in.code(); err != nil {
			return nil, err
		}
		if element == codeDescribed {
			return nil, malformed("array with two descriptors")
		}
	}
	list := make(Array, 0, min(n, startCap))
	for range n {
		v, err := in.valueOf(element, depth-1)
		if err != nil {
			return nil, err
		}
		if described {
			v = Described{descriptor, v}
		}
		list = append(list, v)
	}
	r.budget = in.budget
	if in.More() {
		return nil, malformed("%d bytes behind the last of %d elements", len(in.Rest()), n)
	}
	return list, nil
}
