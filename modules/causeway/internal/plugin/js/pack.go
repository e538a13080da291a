package js

import (
	"encoding/binary"
	"math"
	"math/big"

	"github.com/dop251/goja"
)

// The formats of unpack and pack are those of Python's struct without padding: an
// order (> big endian, the default, or <), then letters with counts:
//
//	x a byte to pass over      b B  8 bits    h H  16 bits    t T  24 bits
//	i I  32 bits               q Q  64 bits, as a number      n N  64 bits, as a BigInt
//	e f d  floats of 16, 32, 64 bits          ?  true or false
//	4s  4 bytes of text (ASCII, ends at a zero)               4p  4 bytes as they are

// item is one letter of a format.
type item struct {
	letter byte
	count  int
	little bool
}

// maxItems bounds what one format makes.
const maxItems = 4096

// items reads a format and calls f for each value.
func (r *realm) items(format string, f func(item) bool) bool {
	little, count, total := false, -1, 0
	for i := range len(format) {
		c := format[i]
		switch {
		case c == '<':
			little = true
		case c == '>' || c == '!':
			little = false
		case c == ' ':
		case c >= '0' && c <= '9':
			count = max(count, 0)*10 + int(c-'0')
			if count > maxItems {
				r.fails("format %.40q: a count over %d", format, maxItems)
				return false
			}
			continue
		case c == 's' || c == 'p':
			if total += max(count, 1); !f(item{c, max(count, 1), little}) {
				return false
			}
		case width(c) > 0:
			n := count
			if n < 0 {
				n = 1
			}
			if total += n; total > maxItems {
				r.fails("format %.40q: more than %d values", format, maxItems)
				return false
			}
			for range n {
				if !f(item{c, 1, little}) {
					return false
				}
			}
		default:
			r.fails("format %.40q: letter %q, known are x b B h H t T i I q Q n N e f d ? s p", format, c)
			return false
		}
		count = -1
	}
	return true
}

func width(letter byte) int {
	switch letter {
	case 'x', 'b', 'B', '?':
		return 1
	case 'h', 'H', 'e':
		return 2
	case 't', 'T':
		return 3
	case 'i', 'I', 'f':
		return 4
	case 'q', 'Q', 'n', 'N', 'd':
		return 8
	}
	return 0
}

// unpack is the helper unpack(format, bytes, offset); it returns an array.
func (r *realm) unpack(c goja.FunctionCall) goja.Value {
	b, ok := r.bytesOf(c.Argument(1))
	if !ok {
		return r.fails("wants bytes: an array of numbers, a Uint8Array or a Buffer")
	}
	at := int(c.Argument(2).ToInteger())
	format := c.Argument(0).String()
	var values []any
	ok = r.items(format, func(it item) bool {
		n := width(it.letter)
		if n == 0 {
			n = it.count
		}
		if at < 0 || at+n > len(b) {
			r.fails("format %.40q: %d bytes at offset %d, and there are %d", format, n, at, len(b))
			return false
		}
		if it.letter != 'x' {
			values = append(values, r.read(it, b[at:at+n]))
		}
		at += n
		return true
	})
	if !ok || !r.meter.grow(int64(len(values))*elementBytes) {
		return goja.Undefined()
	}
	return r.vm.NewArray(values...)
}

func (r *realm) read(it item, b []byte) any {
	switch it.letter {
	case 's':
		for i, c := range b {
			if c == 0 {
				b = b[:i]
				break
			}
		}
		units := make([]uint16, len(b))
		for i, c := range b {
			units[i] = uint16(c)
		}
		return goja.StringFromUTF16(units)
	case 'p':
		return r.newBytes(append([]byte(nil), b...))
	}
	u, bits := word(b, it.little), 8*len(b)
	signed := int64(u<<(64-bits)) >> (64 - bits)
	switch it.letter {
	case '?':
		return u != 0
	case 'b', 'h', 't', 'i', 'q':
		return signed
	case 'Q':
		if u > math.MaxInt64 {
			return float64(u)
		}
		return int64(u)
	case 'n':
		return big.NewInt(signed)
	case 'N':
		return new(big.Int).SetUint64(u)
	case 'e':
		return half(uint16(u))
	case 'f':
		return float64(math.Float32frombits(uint32(u)))
	case 'd':
		return math.Float64frombits(u)
	}
	return int64(u)
}

// word reads an unsigned integer of up to 8 bytes.
func word(b []byte, little bool) uint64 {
	var whole [8]byte
	if little {
		copy(whole[:], b)
		return binary.LittleEndian.Uint64(whole[:])
	}
	copy(whole[8-len(b):], b)
	return binary.BigEndian.Uint64(whole[:])
}

// half is a float of 16 bits.
func half(u uint16) float64 {
	sign, exponent, fraction := float64(1), int(u>>10&31), float64(u&0x3ff)
	if u>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// pack is the helper pack(format, values...); it returns a Uint8Array.
func (r *realm) pack(c goja.FunctionCall) goja.Value {
	format := c.Argument(0).String()
	list, ok := c.Argument(1).(*goja.Object)
	if !ok {
		return r.fails("wants values")
	}
	var out []byte
	next := 0
	ok = r.items(format, func(it item) bool {
		if it.letter == 'x' {
			out = append(out, 0)
			return true
		}
		v := list.Get(decimal(next))
		if v == nil {
			r.fails("format %.40q: value %d is missing", format, next+1)
			return false
		}
		next++
		var fits bool
		if out, fits = r.write(out, it, v); !fits {
			r.fails("format %.40q: value %d, %.40s, does not fit %q", format, next, v.String(), it.letter)
		}
		return fits
	})
	if !ok {
		return goja.Undefined()
	}
	if n := int(length(list)); n > next {
		return r.fails("format %.40q takes %d values, not %d", format, next, n)
	}
	return r.newBytes(out)
}

// write appends one value; numbers out of range do not fit.
func (r *realm) write(out []byte, it item, v goja.Value) ([]byte, bool) {
	switch it.letter {
	case 's', 'p':
		var b []byte
		if it.letter == 's' {
			b = []byte(v.String())
		} else {
			b, _ = r.bytesOf(v)
		}
		if len(b) > it.count {
			return out, false
		}
		out = append(out, b...)
		return append(out, make([]byte, it.count-len(b))...), true
	case '?':
		if v.ToBoolean() {
			return append(out, 1), true
		}
		return append(out, 0), true
	case 'f':
		return appendWord(out, uint64(math.Float32bits(float32(v.ToFloat()))), 4, it.little), true
	case 'd':
		return appendWord(out, math.Float64bits(v.ToFloat()), 8, it.little), true
	case 'e':
		return out, false // nothing that is written has one
	}
	n := bigInt(v)
	if n == nil {
		f := v.ToFloat()
		if f != math.Trunc(f) || math.IsInf(f, 0) { // NaN too
			return out, false
		}
		n, _ = big.NewFloat(f).Int(nil)
	}
	size := width(it.letter)
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	if it.letter >= 'a' { // signed
		high.Rsh(high, 1)
		low.Neg(high)
	}
	if n.Cmp(low) < 0 || n.Cmp(high) >= 0 {
		return out, false
	}
	u := n.Uint64()
	if n.Sign() < 0 {
		u = uint64(n.Int64())
	}
	return appendWord(out, u, size, it.little), true
}

func appendWord(out []byte, u uint64, size int, little bool) []byte {
	var whole [8]byte
	if little {
		binary.LittleEndian.PutUint64(whole[:], u)
		return append(out, whole[:size]...)
	}
	binary.BigEndian.PutUint64(whole[:], u)
	return append(out, whole[8-size:]...)
}
