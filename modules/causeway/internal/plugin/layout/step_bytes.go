package layout

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// span is a range of the frame.
type span struct{ from, to int }

// sizing says how many bytes belong to a field.
type sizing struct {
	fixed  int              // -1 where another way is used
	count  func(*run) int64 // an expression
	prefix word             // a length before the bytes
	until  []byte           // what ends them
	rest   bool             // all that is left
}

// take finds the bytes and moves past them and what marks their end.
func (z *sizing) take(r *run, f *field) (span, error) {
	n := z.fixed
	switch {
	case z.rest:
		n = r.end - r.pos
	case z.until != nil:
		i := bytes.Index(r.frame[r.pos:r.end], z.until)
		if i < 0 {
			return span{}, r.malformed("%s has no end %x from offset %d", f.label(), z.until, r.pos)
		}
		s := span{r.pos, r.pos + i}
		r.pos += i + len(z.until)
		return s, nil
	case z.count != nil:
		v := z.count(r)
		if r.fault != nil {
			return span{}, r.fault
		}
		if v < 0 || v > int64(r.end-r.pos) {
			return span{}, r.malformed("%s has a size of %d at offset %d, %d bytes are left", f.label(), v, r.pos, r.end-r.pos)
		}
		n = int(v)
	case z.prefix.size > 0:
		if r.end-r.pos < z.prefix.size {
			return span{}, r.short(f, z.prefix.size)
		}
		v := z.prefix.read(r.frame[r.pos:r.end])
		if v > uint64(r.end-r.pos-z.prefix.size) {
			return span{}, r.malformed("%s has a length of %d at offset %d, %d bytes are left",
				f.label(), v, r.pos, r.end-r.pos-z.prefix.size)
		}
		r.pos += z.prefix.size
		n = int(v)
	}
	if n > r.end-r.pos {
		return span{}, r.short(f, n)
	}
	s := span{r.pos, r.pos + n}
	r.pos += n
	return s, nil
}

// bytesStep reads text, hexadecimal digits, packed digits, or passes over bytes.
type bytesStep struct {
	f    *field
	size sizing
	as   reader
}

// reader turns bytes into the text of a field.
type reader struct {
	kind     string // text, hex, digits, skip
	encoding string
	trim     string
}

func (s *bytesStep) decode(r *run) error {
	start := r.pos
	at, err := s.size.take(r, s.f)
	if err != nil {
		return err
	}
	b, err := s.as.read(r, s.f, at)
	if err != nil {
		return err
	}
	r.set(s.f, at.from, at.to-at.from).b = b
	if r.trace != nil {
		r.trace.add(start, r.pos-start, s.f.name, r.shown(s.f))
	}
	return nil
}

func (a *reader) read(r *run, f *field, at span) ([]byte, error) {
	raw := r.frame[at.from:at.to:at.to]
	switch a.kind {
	case "hex":
		from := len(r.aux)
		r.aux = hex.AppendEncode(r.aux, raw)
		return r.aux[from:len(r.aux):len(r.aux)], r.spend(2 * len(raw))
	case "digits":
		return a.digits(r, f, raw)
	case "skip":
		return nil, nil
	}
	text, err := r.decodeText(a.encoding, raw, f)
	return trimmed(text, a.trim), err
}

// digits are packed decimal digits as text; a half byte of f fills up an odd number.
func (a *reader) digits(r *run, f *field, raw []byte) ([]byte, error) {
	from := len(r.aux)
	for i, c := range raw {
		for shift := 4; shift >= 0; shift -= 4 {
			d := c >> shift & 15
			if d == 15 && i == len(raw)-1 && shift == 0 {
				break
			}
			if d > 9 {
				return nil, r.malformed("%s: %02x is no pair of decimal digits", f.label(), c)
			}
			r.aux = append(r.aux, '0'+d)
		}
	}
	return trimmed(r.aux[from:len(r.aux):len(r.aux)], a.trim), r.spend(2 * len(raw))
}

// trimmed cuts off what fills a field of fixed size up.
func trimmed(b []byte, how string) []byte {
	switch how {
	case "nul":
		return bytes.TrimRight(b, "\x00")
	case "space":
		return bytes.TrimSpace(b)
	case "both":
		return bytes.TrimSpace(bytes.TrimRight(b, "\x00 "))
	case "zeros":
		if t := bytes.TrimLeft(b, "0"); len(t) > 0 || len(b) == 0 {
			return t
		}
		return b[len(b)-1:]
	}
	return b
}

// encodings are the character sets of text.
const encodings = "ascii utf-8 latin1 gbk utf-16le utf-16be"

// coders are the parts of a run that keep state while they convert text.
type coders struct {
	from *encoding.Decoder
	to   *encoding.Encoder
}

// decodeText turns text of a character set into UTF-8.
func (r *run) decodeText(set string, raw []byte, f *field) ([]byte, error) {
	from := len(r.aux)
	switch set {
	case "utf-8":
		return raw, nil
	case "ascii":
		for i, c := range raw {
			if c >= utf8.RuneSelf {
				return nil, r.malformed("%s: byte %02x at %d is no ASCII", f.label(), c, i)
			}
		}
		return raw, nil
	case "latin1":
		for _, c := range raw {
			r.aux = utf8.AppendRune(r.aux, rune(c))
		}
	case "gbk":
		if r.coder.from == nil {
			r.coder.from = simplifiedchinese.GBK.NewDecoder()
		}
		const widest = 3 // bytes of UTF-8 for each byte of GBK, at most
		for range widest * len(raw) {
			r.aux = append(r.aux, 0)
		}
		n, _, err := r.coder.from.Transform(r.aux[from:], raw, true)
		r.aux = r.aux[:from+n]
		if err != nil {
			return nil, r.malformed("%s is no GBK: %v", f.label(), err)
		}
	default:
		if len(raw)%2 != 0 {
			return nil, r.malformed("%s: %d bytes are no UTF-16", f.label(), len(raw))
		}
		r.aux = appendUTF16(r.aux, raw, word{size: 2, little: set == "utf-16le"})
	}
	return r.aux[from:len(r.aux):len(r.aux)], r.spend(len(r.aux) - from)
}

func appendUTF16(dst, raw []byte, w word) []byte {
	for ; len(raw) >= 2; raw = raw[2:] {
		c := rune(w.read(raw))
		if utf16.IsSurrogate(c) && len(raw) >= 4 {
			if pair := utf16.DecodeRune(c, rune(w.read(raw[2:]))); pair != utf8.RuneError {
				dst = utf8.AppendRune(dst, pair)
				raw = raw[2:]
				continue
			}
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}

// encodeText appends UTF-8 in another character set, and reports whether it can.
func (r *run) encodeText(dst []byte, set string, text []byte) ([]byte, bool) {
	switch set {
	case "utf-8":
		return append(dst, text...), true
	case "ascii", "latin1":
		most := rune(utf8.RuneSelf - 1)
		if set == "latin1" {
			most = 0xff
		}
		for _, c := range string(text) {
			if c > most {
				return dst, false
			}
			dst = append(dst, byte(c))
		}
		return dst, true
	case "gbk":
		if r.coder.to == nil {
			r.coder.to = simplifiedchinese.GBK.NewEncoder()
		}
		b, err := r.coder.to.Bytes(text)
		return append(dst, b...), err == nil
	}
	w := word{size: 2, little: strings.HasSuffix(set, "le")}
	var two [2]byte
	for _, c := range utf16.Encode([]rune(string(text))) {
		w.put(two[:], uint64(c))
		dst = append(dst, two[:]...)
	}
	return dst, true
}
