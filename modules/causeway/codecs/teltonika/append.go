package teltonika

import (
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// maxDecimals is the finest scale of the dictionary, and of a coordinate.
const maxDecimals = 9

// pow10 holds the powers of ten that a scale can need.
func pow10(n uint8) uint64 {
	return [maxDecimals + 1]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}[n]
}

// appendUnsigned appends n*mul/10^decimals, exactly and without trailing zeros.
func appendUnsigned(b []byte, n, mul uint64, decimals uint8) []byte {
	n *= mul
	for decimals > 0 && n%10 == 0 {
		n /= 10
		decimals--
	}
	if decimals == 0 {
		return strconv.AppendUint(b, n, 10)
	}
	p := pow10(decimals)
	whole, part := n/p, n%p
	b = strconv.AppendUint(b, whole, 10)
	b = append(b, ".000000000"[:decimals+1]...)
	for i := len(b) - 1; part > 0; i-- {
		b[i] = byte('0' + part%10)
		part /= 10
	}
	return b
}

// appendSigned is appendUnsigned for a signed number.
func appendSigned(b []byte, n int64, mul uint64, decimals uint8) []byte {
	if n < 0 {
		return appendUnsigned(append(b, '-'), uint64(-n), mul, decimals)
	}
	return appendUnsigned(b, uint64(n), mul, decimals)
}

// appendTime appends milliseconds since 1970, at most maxMillis, as RFC 3339 in
// UTC. The standard library's formatting would be a fifth of a record's time.
func appendTime(b []byte, millis uint64) []byte {
	days, ms := millis/86400000, millis%86400000
	year, month, day := civil(days)
	sec := ms / 1000
	b = append(b, byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	b = append2(b, month, '-')
	b = append2(b, day, 'T')
	b = append2(b, sec/3600, ':')
	b = append2(b, sec/60%60, ':')
	b = append2(b, sec%60, '.')
	return append(b, byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// append2 appends two digits and a separator.
func append2(b []byte, n uint64, sep byte) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10), sep)
}

// civil turns days since 1970-01-01 into a date of the Gregorian calendar, by
// counting 400-year eras whose years begin in March, so that the leap day is the
// last of its year.
func civil(days uint64) (year, month, day uint64) {
	const eraDays, marchZero = 146097, 719468 // days from 0000-03-01 to 1970-01-01
	days += marchZero
	era, d := days/eraDays, days%eraDays
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153
	day = d - (153*m+2)/5 + 1
	year = era*400 + y
	if m < 10 {
		return year, m + 3, day
	}
	return year + 1, m - 9, day
}

// appendHex appends the bytes as a JSON string of lower-case hexadecimal digits.
func appendHex(b, value []byte) []byte {
	b = append(b, '"')
	b = hex.AppendEncode(b, value)
	return append(b, '"')
}

// appendASCII appends text of a device without the zero bytes that fill it up.
func appendASCII(b, value []byte) []byte {
	for len(value) > 0 && value[len(value)-1] == 0 {
		value = value[:len(value)-1]
	}
	return appendString(b, value)
}

// appendString appends text as a JSON string; bytes that are no UTF-8 become the
// replacement character.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c == 0x7F:
			b = append(b, `\u00`...)
			b = hex.AppendEncode(b, []byte{c})
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
