package jsoncodec

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape appends the meaning of a scanned string, given without its quotes.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		switch b := raw[i]; b {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := unit(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := utf8.RuneError
				if len(raw)-i > 6 && raw[i+1] == '\\' && raw[i+2] == 'u' {
					low = unit(raw[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // the quote, the backslash, the slash
			dst = append(dst, b)
		}
	}
	return dst
}

// unit reads the four digits of \u.
func unit(raw []byte) (r rune) {
	for _, b := range raw[:4] {
		switch {
		case b <= '9':
			r = r<<4 | rune(b-'0')
		default:
			r = r<<4 | rune(b|0x20-'a'+10)
		}
	}
	return r
}
