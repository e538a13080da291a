package value

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Number returns the index after the JSON number (RFC 8259, section 6) that
// begins at text[at], or -1 when there is none.
func Number(text []byte, at int) int {
	i := at
	if i < len(text) && text[i] == '-' {
		i++
	}
	if i < len(text) && text[i] == '0' {
		i++
	} else if i = run(text, i); i < 0 {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		if i = run(text, i+1); i < 0 {
			return -1
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		return run(text, i)
	}
	return i
}

// run passes over one digit or more.
func run(text []byte, at int) int {
	i := at
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	if i == at {
		return -1
	}
	return i
}

// AppendString appends text as a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); {
		if i = plain(text, i); i == len(text) {
			break
		}
		b := text[i]
		switch {
		case b >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, text[from:i]...)
				dst = append(dst, "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		case b == '"' || b == '\\':
			dst = append(append(dst, text[from:i]...), '\\', b)
			from = i + 1
		case b < ' ':
			dst = append(append(dst, text[from:i]...), '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
			from = i + 1
		}
		i++
	}
	dst = append(dst, text[from:]...)
	return append(dst, '"')
}

// plain passes over bytes that stand for themselves, eight at a time, and returns
// the index of the first that may not.
func plain(text []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(text)-i >= 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		quote, slash := w^ones*'"', w^ones*'\\'
		// The lowest bit is exact: a borrow only reaches upwards.
		special := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w | w) & highs
		if special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
		i += 8
	}
	return i
}
