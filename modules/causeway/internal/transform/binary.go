package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// newCBOR makes JSON of CBOR (RFC 8949): one data item.
func newCBOR(write jsonWriter) (func(dst, data []byte) ([]byte, error), error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: maxDepth,
		MaxArrayElements: maxBody, MaxMapPairs: maxBody,
		DefaultByteStringType: reflect.TypeFor[[]byte](),
	}.DecMode()
	if err != nil {
		return nil, codec.Optionf("/format", "%v", err)
	}
	return func(dst, data []byte) ([]byte, error) {
		var v any
		if err := mode.Unmarshal(data, &v); err != nil {
			return dst, err
		}
		return write.append(dst, v)
	}, nil
}

// newMsgpack makes JSON of MessagePack: one object.
func newMsgpack(write jsonWriter) func(dst, data []byte) ([]byte, error) {
	return func(dst, data []byte) ([]byte, error) {
		rest, err := checkMsgpack(data, 0, false)
		if err != nil {
			return dst, err
		}
		if len(rest) > 0 {
			return dst, fmt.Errorf("%d bytes follow the data", len(rest))
		}
		d := msgpack.NewDecoder(bytes.NewReader(data))
		d.SetMapDecoder(func(d *msgpack.Decoder) (any, error) { return d.DecodeUntypedMap() })
		v, err := d.DecodeInterface()
		if err != nil {
			return dst, err
		}
		return write.append(dst, v)
	}
}

var (
	errDeep  = fmt.Errorf("nested deeper than %d", maxDepth)
	errShort = errors.New("cut off")
)

// checkMsgpack walks over one object and returns what follows it. The decoder behind
// it trusts counts and depth, and panics at keys that no Go map takes; so a count that
// cannot be true, more depth than maxDepth, and keys that are not scalars are refused
// before it.
func checkMsgpack(b []byte, depth int, key bool) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	if len(b) == 0 {
		return nil, errShort
	}
	c := b[0]
	b = b[1:]
	switch {
	case c <= 0x7f, c >= 0xe0, c == 0xc2, c == 0xc3: // small integers, false, true
		return b, nil
	case c >= 0xa0 && c <= 0xbf:
		return after(b, int(c&0x1f))
	case c >= 0xd9 && c <= 0xdb: // str 8, 16, 32
		return sized(b, 1<<(c-0xd9), 0)
	case c >= 0xcc && c <= 0xd3: // uint 8 to 64, int 8 to 64
		return after(b, 1<<((c-0xcc)%4))
	case key:
		return nil, fmt.Errorf("a key of type 0x%02x, want text or a whole number", c)
	case c == 0xc0: // nil
		return b, nil
	case c <= 0x8f:
		return checkMembers(b, 2*int(c&0xf), depth, true)
	case c <= 0x9f:
		return checkMembers(b, int(c&0xf), depth, false)
	case c >= 0xc4 && c <= 0xc6: // bin 8, 16, 32
		return sized(b, 1<<(c-0xc4), 0)
	case c >= 0xc7 && c <= 0xc9: // ext 8, 16, 32, with a byte of type
		return sized(b, 1<<(c-0xc7), 1)
	case c == 0xca || c == 0xcb: // float 32, 64
		return after(b, 4<<(c-0xca))
	case c >= 0xd4 && c <= 0xd8: // fixext 1 to 16
		return after(b, 1+1<<(c-0xd4))
	case c >= 0xdc && c <= 0xdf: // array 16, 32, map 16, 32
		n, rest, err := count(b, 2<<((c-0xdc)%2))
		if err != nil {
			return nil, err
		}
		if c >= 0xde {
			return checkMembers(rest, 2*n, depth, true)
		}
		return checkMembers(rest, n, depth, false)
	default:
		return nil, fmt.Errorf("type 0x%02x does not exist", c)
	}
}

// checkMembers walks over n objects; of a map every second is a value.
func checkMembers(b []byte, n, depth int, keys bool) ([]byte, error) {
	if n > len(b) { // each takes at least a byte
		return nil, errShort
	}
	for i := range n {
		var err error
		if b, err = checkMsgpack(b, depth+1, keys && i%2 == 0); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// count reads a big-endian count of that many bytes.
func count(b []byte, size int) (int, []byte, error) {
	if len(b) < size {
		return 0, nil, errShort
	}
	var wide [8]byte
	copy(wide[8-size:], b[:size])
	n := binary.BigEndian.Uint64(wide[:])
	if n > uint64(len(b)) {
		return 0, nil, errShort
	}
	return int(n), b[size:], nil
}

// sized steps over a count, so many bytes, and more.
func sized(b []byte, size, more int) ([]byte, error) {
	n, rest, err := count(b, size)
	if err != nil {
		return nil, err
	}
	return after(rest, n+more)
}

func after(b []byte, n int) ([]byte, error) {
	if n > len(b) {
		return nil, errShort
	}
	return b[n:], nil
}

// fixed returns the bytes of an array of bytes, as Avro's fixed is decoded.
func fixed(v any) ([]byte, bool) {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Array || r.Type().Elem().Kind() != reflect.Uint8 {
		return nil, false
	}
	b := make([]byte, r.Len())
	reflect.Copy(reflect.ValueOf(b), r)
	return b, true
}
