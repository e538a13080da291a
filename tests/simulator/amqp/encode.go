package amqp

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"time"
)

// AppendValue appends the encoding of v, in the shortest form of its type. It fails
// for Go types that stand for no AMQP type, Go's int among them: whether that is an
// AMQP int or a long has to be said.
func AppendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, codeNull), nil
	case bool:
		return appendBool(dst, v), nil
	case uint32:
		return appendUint(dst, v), nil
	case uint64:
		return appendUlong(dst, v), nil
	case int32:
		if v == int32(int8(v)) {
			return append(dst, codeSmallInt, byte(v)), nil
		}
	case int64:
		if v == int64(int8(v)) {
			return append(dst, codeSmallLong, byte(v)), nil
		}
	case string:
		return appendText(dst, codeString8, v), nil
	case Symbol:
		return appendText(dst, codeSymbol8, string(v)), nil
	case []byte:
		return appendBinary(dst, v), nil
	case Described:
		return appendDescribed(dst, v)
	case []any:
		if len(v) == 0 {
			return append(dst, codeList0), nil
		}
	}
	code, err := wideCode(v)
	if err != nil {
		return dst, err
	}
	return appendWide(append(dst, code), v)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, codeTrue)
	}
	return append(dst, codeFalse)
}

func appendUint(dst []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(dst, codeUint0)
	case v <= math.MaxUint8:
		return append(dst, codeSmallUint, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, codeUint), v)
}

func appendUlong(dst []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(dst, codeUlong0)
	case v <= math.MaxUint8:
		return append(dst, codeSmallUlong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeUlong), v)
}

// appendText takes the eight-bit code of the type.
func appendText(dst []byte, code byte, s string) []byte {
	if len(s) <= math.MaxUint8 {
		return append(append(dst, code, byte(len(s))), s...)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, code|0x10), uint32(len(s)))
	return append(dst, s...)
}

func appendBinary(dst, b []byte) []byte {
	if len(b) <= math.MaxUint8 {
		return append(append(dst, codeBinary8, byte(len(b))), b...)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, codeBinary32), uint32(len(b)))
	return append(dst, b...)
}

func appendDescribed(dst []byte, v Described) ([]byte, error) {
	dst, err := AppendValue(append(dst, codeDescribed), v.Descriptor)
	if err != nil {
		return dst, err
	}
	return AppendValue(dst, v.Value)
}

// wideCode is the constructor that fits every value of v's type; arrays use it, for
// their elements share one.
func wideCode(v any) (byte, error) {
	switch v.(type) {
	case nil:
		return codeNull, nil
	case bool:
		return codeBool, nil
	case uint8:
		return codeUbyte, nil
	case int8:
		return codeByte, nil
	case uint16:
		return codeUshort, nil
	case int16:
		return codeShort, nil
	case uint32:
		return codeUint, nil
	case int32:
		return codeInt, nil
	case float32:
		return codeFloat, nil
	case Char:
		return codeChar, nil
	case Decimal32:
		return codeDecimal32, nil
	case uint64:
		return codeUlong, nil
	case int64:
		return codeLong, nil
	case float64:
		return codeDouble, nil
	case time.Time:
		return codeTimestamp, nil
	case Decimal64:
		return codeDecimal64, nil
	case Decimal128:
		return codeDecimal128, nil
	case UUID:
		return codeUUID, nil
	case []byte:
		return codeBinary32, nil
	case string:
		return codeString32, nil
	case Symbol:
		return codeSymbol32, nil
	case []any:
		return codeList32, nil
	case Map:
		return codeMap32, nil
	case Array:
		return codeArray32, nil
	}
	return 0, fmt.Errorf("encode amqp value: no amqp type for %T", v)
}

// appendWide appends what follows the constructor of wideCode.
func appendWide(dst []byte, v any) ([]byte, error) {
	be := binary.BigEndian
	switch v := v.(type) {
	case nil:
		return dst, nil
	case bool:
		if v {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case uint8:
		return append(dst, v), nil
	case int8:
		return append(dst, byte(v)), nil
	case uint16:
		return be.AppendUint16(dst, v), nil
	case int16:
		return be.AppendUint16(dst, uint16(v)), nil
	case uint32:
		return be.AppendUint32(dst, v), nil
	case int32:
		return be.AppendUint32(dst, uint32(v)), nil
	case float32:
		return be.AppendUint32(dst, math.Float32bits(v)), nil
	case Char:
		return be.AppendUint32(dst, uint32(v)), nil
	case uint64:
		return be.AppendUint64(dst, v), nil
	case int64:
		return be.AppendUint64(dst, uint64(v)), nil
	case float64:
		return be.AppendUint64(dst, math.Float64bits(v)), nil
	case time.Time:
		return be.AppendUint64(dst, uint64(v.UnixMilli())), nil
	}
	return appendLong(dst, v)
}

func appendLong(dst []byte, v any) ([]byte, error) {
	be := binary.BigEndian
	switch v := v.(type) {
	case Decimal32:
		return append(dst, v[:]...), nil
	case Decimal64:
		return append(dst, v[:]...), nil
	case Decimal128:
		return append(dst, v[:]...), nil
	case UUID:
		return append(dst, v[:]...), nil
	case []byte:
		return append(be.AppendUint32(dst, uint32(len(v))), v...), nil
	case string:
		return append(be.AppendUint32(dst, uint32(len(v))), v...), nil
	case Symbol:
		return append(be.AppendUint32(dst, uint32(len(v))), v...), nil
	case []any:
		return appendItems(dst, len(v), func(dst []byte, i int) ([]byte, error) { return AppendValue(dst, v[i]) })
	case Map:
		return appendItems(dst, 2*len(v), func(dst []byte, i int) ([]byte, error) {
			if i%2 == 0 {
				return AppendValue(dst, v[i/2].Key)
			}
			return AppendValue(dst, v[i/2].Value)
		})
	case Array:
		return appendArray(dst, v)
	}
	return dst, fmt.Errorf("encode amqp value: no amqp type for %T", v)
}

// appendItems appends size, count and content of a list or map.
func appendItems(dst []byte, n int, item func([]byte, int) ([]byte, error)) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	var err error
	for i := range n {
		if dst, err = item(dst, i); err != nil {
			return dst, err
		}
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst, nil
}

func appendArray(dst []byte, v Array) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	element := any(nil)
	if len(v) > 0 {
		element = v[0]
	}
	descriptor, described := any(nil), false
	if d, ok := element.(Described); ok {
		var err error
		descriptor, described, element = d.Descriptor, true, d.Value
		if dst, err = AppendValue(append(dst, codeDescribed), descriptor); err != nil {
			return dst, err
		}
	}
	code, err := wideCode(element)
	if err != nil {
		return dst, err
	}
	dst = append(dst, code)
	for i, e := range v {
		if d, ok := e.(Described); ok == described && described {
			if !reflect.DeepEqual(d.Descriptor, descriptor) {
				return dst, fmt.Errorf("encode amqp array: element %d has another descriptor than the first", i)
			}
			e = d.Value
		}
		if c, err := wideCode(e); err != nil || c != code {
			return dst, fmt.Errorf("encode amqp array: element %d is %T, the first is %T", i, e, element)
		}
		if dst, err = appendWide(dst, e); err != nil {
			return dst, err
		}
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst, nil
}
