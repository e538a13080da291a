package layout

import (
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// form is how the value of a cell is written.
type form uint8

const (
	formInt     form = iota // n
	formEnum                // n, by its name
	formUint                // n, as 64 bits without a sign
	formDecimal             // n, scaled exactly
	formRatio               // n, scaled by a quotient
	formFloat32             // f, of 32 bits
	formFloat               // f
	formBool                // n
	formText                // b
	formNumber              // b, a number as the device wrote it, and f
	formTime                // n, nanoseconds since 1970
	formJSON                // b, written already
)

// field is a compiled field: where its value is kept and how it is written.
type field struct {
	name string
	slot int
	typ  typ
	form form
	hide bool
	// hex is set for text that is bytes in hexadecimal digits.
	hex  bool
	unit string
	// branch is the case of a switch that declares the field: the same name in
	// another case shares the slot.
	branch int
	// decimals round a number that is not exact; -1 writes all digits.
	decimals int
	scale    scale
	// enum are the names of numbers; enumJSON the same, quoted.
	enum     map[int64]string
	enumJSON map[int64][]byte
	// inner are the fields of a group or of the elements of a repeat.
	inner *scope
	// wanted is set where a body shows the field, so that a repeat is written at all.
	wanted *bool
}

// cell is the value of a field in the frame at hand. A def of nil says that the
// frame has none.
type cell struct {
	def      *field
	n        int64
	f        float64
	b        []byte
	off, len int
}

// scale is (n*mul + add) / 10^places, or with a ratio n*ratio + offset.
type scale struct {
	mul, add int64
	places   uint8
	ratio    float64
	offset   float64
	// unsigned is set where n has all 64 bits.
	unsigned bool
}

// maxPlaces is the finest scale: a coordinate has seven decimals.
const maxPlaces = 9

func pow10(n uint8) int64 {
	return [maxPlaces + 1]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}[n]
}

// exact returns the scaled mantissa, or false when it leaves 64 bits.
func (s *scale) exact(n int64) (int64, bool) {
	magnitude := uint64(n)
	switch {
	case n < 0 && s.unsigned:
		return 0, false
	case s.mul == 1 && s.add == 0:
		return n, true
	}
	if n < 0 {
		magnitude = -magnitude
	}
	hi, lo := bits.Mul64(magnitude, uint64(s.mul))
	if hi != 0 || lo > math.MaxInt64/2 {
		return 0, false
	}
	v := int64(lo)
	if n < 0 {
		v = -v
	}
	return v + s.add, true // both are below 2^62
}

// float is the value as a number.
func (c *cell) float() float64 {
	if c.def == nil {
		return 0
	}
	n := float64(c.n)
	if c.def.scale.unsigned {
		n = float64(uint64(c.n))
	}
	switch c.def.form {
	case formDecimal:
		return (n*float64(c.def.scale.mul) + float64(c.def.scale.add)) / float64(pow10(c.def.scale.places))
	case formRatio:
		return n*c.def.scale.ratio + c.def.scale.offset
	case formFloat, formFloat32, formNumber:
		return c.f
	case formUint:
		return float64(uint64(c.n))
	}
	return n
}

// appendJSON appends the value.
func (c *cell) appendJSON(dst []byte) []byte {
	switch c.def.form {
	case formInt:
		return strconv.AppendInt(dst, c.n, 10)
	case formDecimal:
		if v, ok := c.def.scale.exact(c.n); ok {
			return appendDecimal(dst, v, c.def.scale.places)
		}
	case formText:
		return value.AppendString(dst, c.b)
	case formTime:
		dst = append(dst, '"')
		return append(appendTime(dst, c.n), '"')
	case formEnum:
		if name, ok := c.def.enumJSON[c.n]; ok {
			return append(dst, name...)
		}
	}
	return c.appendPlain(dst)
}

// appendPlain appends the value without the quotes of JSON.
func (c *cell) appendPlain(dst []byte) []byte {
	d := c.def
	switch d.form {
	case formEnum:
		if name, ok := d.enum[c.n]; ok {
			return append(dst, name...)
		}
		return strconv.AppendInt(dst, c.n, 10)
	case formInt:
		return strconv.AppendInt(dst, c.n, 10)
	case formUint:
		return strconv.AppendUint(dst, uint64(c.n), 10)
	case formDecimal:
		if v, ok := d.scale.exact(c.n); ok {
			return appendDecimal(dst, v, d.scale.places)
		}
		return appendFloat(dst, c.float(), -1, 64)
	case formRatio, formFloat:
		return appendFloat(dst, c.float(), d.decimals, 64)
	case formFloat32:
		return appendFloat(dst, c.f, d.decimals, 32)
	case formBool:
		if c.n != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case formTime:
		return appendTime(dst, c.n)
	}
	return append(dst, c.b...) // formText, formNumber, formJSON
}

// appendDecimal appends v/10^places without trailing zeros.
func appendDecimal(dst []byte, v int64, places uint8) []byte {
	n := uint64(v)
	if v < 0 {
		n = -n
		dst = append(dst, '-')
	}
	for places > 0 && n%10 == 0 {
		n /= 10
		places--
	}
	if places == 0 {
		return strconv.AppendUint(dst, n, 10)
	}
	if places == 1 { // the usual one
		return append(strconv.AppendUint(dst, n/10, 10), '.', byte('0'+n%10))
	}
	var digits [24]byte
	at := len(digits)
	for range places {
		at--
		digits[at] = byte('0' + n%10)
		n /= 10
	}
	at--
	digits[at] = '.'
	for {
		at--
		digits[at] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(dst, digits[at:]...)
		}
	}
}

// appendFloat appends a number as encoding/json does, rounded unless decimals is
// negative; what JSON cannot say becomes null.
func appendFloat(dst []byte, f float64, decimals, size int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	const least, most = 1e-6, 1e21 // between them without an exponent
	magnitude := math.Abs(f)
	if magnitude >= most || decimals < 0 && magnitude != 0 && magnitude < least {
		return strconv.AppendFloat(dst, f, 'e', -1, size)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', decimals, size)
	if decimals > 0 {
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
		if dst[len(dst)-1] == '.' {
			dst = dst[:len(dst)-1]
		}
	}
	if string(dst[from:]) == "-0" {
		dst = append(dst[:from], '0')
	}
	return dst
}

// appendTime appends nanoseconds since 1970 as RFC 3339 in UTC.
func appendTime(dst []byte, nanos int64) []byte {
	return time.Unix(0, nanos).UTC().AppendFormat(dst, time.RFC3339Nano)
}

func quoted(text string) []byte { return value.AppendString(nil, []byte(text)) }
