package js

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf16"

	"github.com/dop251/goja"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// host makes the object of the functions behind the prelude. Where one cannot do
// what it was asked for it returns undefined, and the prelude throws the reason.
func (r *realm) host() *goja.Object {
	o := r.vm.NewObject()
	for name, f := range map[string]native{
		"charge": r.charge, "made": r.madeTool, "json": r.json, "shallow": r.shallow, "pattern": r.pattern,
		"crc": r.crc, "xor": r.xor, "sum": r.sum,
		"toText": r.toText, "fromText": r.fromText, "fromBcd": r.fromBCD, "toBcd": r.toBCD,
		"unpack": r.unpack, "pack": r.pack,
		"reason": func(goja.FunctionCall) goja.Value { return r.vm.ToValue(r.failure) },
	} {
		r.replaceNative(o, name, f)
	}
	return o
}

// fails notes why a host function does not do it.
func (r *realm) fails(format string, args ...any) goja.Value {
	r.failure = fmt.Sprintf(format, args...)
	return goja.Undefined()
}

// bytesOf reads bytes: a Uint8Array or Buffer, whose memory it returns, an
// ArrayBuffer, or an array of numbers, which are taken modulo 256 as in a Uint8Array.
func (r *realm) bytesOf(v goja.Value) ([]byte, bool) {
	o, ok := v.(*goja.Object)
	if !ok {
		return nil, false
	}
	switch o.ClassName() {
	case "Array", "Arguments":
		n := length(o)
		if !r.meter.grow(int64(min(n, many))) {
			return nil, false
		}
		b := make([]byte, int(n))
		for i := range b {
			b[i] = byte(o.Get(decimal(i)).ToInteger())
		}
		return b, true
	}
	return memory(o)
}

// memory returns the memory of a Uint8Array, a Buffer or an ArrayBuffer.
func memory(o *goja.Object) ([]byte, bool) {
	switch o.ExportType() { // exporting anything else would copy it, and all that it refers to
	case reflect.TypeFor[[]byte]():
		b, ok := o.Export().([]byte)
		return b, ok
	case reflect.TypeFor[goja.ArrayBuffer]():
		b, ok := o.Export().(goja.ArrayBuffer)
		return b.Bytes(), ok
	}
	return nil, false
}

// span reads the arguments bytes, from, to.
func (r *realm) span(c goja.FunctionCall, at int) ([]byte, bool) {
	b, ok := r.bytesOf(c.Argument(at))
	if !ok {
		r.fails("wants bytes: an array of numbers, a Uint8Array or a Buffer")
		return nil, false
	}
	from, to := 0, len(b)
	if v := c.Argument(at + 1); !goja.IsUndefined(v) {
		from = int(v.ToInteger())
	}
	if v := c.Argument(at + 2); !goja.IsUndefined(v) {
		if to = int(v.ToInteger()); to < 0 { // as slice() counts
			to += len(b)
		}
	}
	if from < 0 || to > len(b) || from > to {
		r.fails("bytes %d to %d of %d", from, to, len(b))
		return nil, false
	}
	r.meter.step(int64(to-from) / 8)
	return b[from:to], true
}

// newBytes makes a Uint8Array that owns b.
func (r *realm) newBytes(b []byte) goja.Value {
	r.meter.grow(int64(len(b)))
	v, err := r.vm.New(r.bytes, r.vm.ToValue(r.vm.NewArrayBuffer(b)))
	if err != nil {
		return r.fails("%v", err)
	}
	return v
}

func (r *realm) xor(c goja.FunctionCall) goja.Value {
	b, ok := r.span(c, 0)
	if !ok {
		return goja.Undefined()
	}
	x := byte(0)
	for _, v := range b {
		x ^= v
	}
	return r.vm.ToValue(int(x))
}

func (r *realm) sum(c goja.FunctionCall) goja.Value {
	b, ok := r.span(c, 0)
	if !ok {
		return goja.Undefined()
	}
	s := 0
	for _, v := range b {
		s += int(v)
	}
	return r.vm.ToValue(s)
}

// toText decodes bytes.
func (r *realm) toText(c goja.FunctionCall) goja.Value {
	b, ok := r.bytesOf(c.Argument(0))
	if !ok {
		return r.fails("wants bytes: an array of numbers, a Uint8Array or a Buffer")
	}
	if !r.meter.grow(int64(len(b)) * charBytes) {
		return goja.Undefined()
	}
	switch e := encodingName(c.Argument(1)); e {
	case "hex":
		return r.vm.ToValue(hex.EncodeToString(b))
	case "base64":
		return r.vm.ToValue(base64.StdEncoding.EncodeToString(b))
	case "base64url":
		return r.vm.ToValue(base64.RawURLEncoding.EncodeToString(b))
	case "utf8":
		return r.vm.ToValue(strings.ToValidUTF8(string(b), "\uFFFD"))
	case "latin1", "ascii":
		units := make([]uint16, len(b))
		for i, v := range b {
			if units[i] = uint16(v); e == "ascii" {
				units[i] &= 0x7f
			}
		}
		return goja.StringFromUTF16(units)
	case "utf16le":
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
		}
		return goja.StringFromUTF16(units)
	case "gbk":
		text, err := simplifiedchinese.GBK.NewDecoder().Bytes(b)
		if err != nil {
			return r.fails("%v", err)
		}
		return r.vm.ToValue(string(text))
	default:
		return r.fails("%s", unknownEncoding(e))
	}
}

// fromText encodes text.
func (r *realm) fromText(c goja.FunctionCall) goja.Value {
	text := c.Argument(0).String()
	if !r.meter.grow(int64(len(text))) {
		return goja.Undefined()
	}
	switch e := encodingName(c.Argument(1)); e {
	case "hex":
		b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return r.fails("%.40q is not hexadecimal", text)
		}
		return r.newBytes(b)
	case "base64", "base64url":
		plain := strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "", " ", "").Replace(text)
		plain = strings.TrimRight(plain, "=")
		b, err := base64.RawStdEncoding.DecodeString(plain)
		if err != nil {
			return r.fails("%.40q is not base64", text)
		}
		return r.newBytes(b)
	case "utf8":
		return r.newBytes([]byte(text))
	case "latin1", "ascii":
		units := utf16.Encode([]rune(text))
		b := make([]byte, len(units))
		for i, u := range units {
			b[i] = byte(u)
		}
		return r.newBytes(b)
	case "utf16le":
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return r.newBytes(b)
	case "gbk":
		b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
		if err != nil {
			return r.fails("%.40q cannot be written in GBK", text)
		}
		return r.newBytes(b)
	default:
		return r.fails("%s", unknownEncoding(e))
	}
}

func unknownEncoding(name string) string {
	return fmt.Sprintf("encoding %q, known are utf8, hex, base64, base64url, ascii, latin1, utf16le, gbk", name)
}

// encodingName folds the spellings of Node and of the web.
func encodingName(v goja.Value) string {
	switch e := strings.ToLower(v.String()); e {
	case "utf-8":
		return "utf8"
	case "binary", "iso-8859-1":
		return "latin1"
	case "us-ascii":
		return "ascii"
	case "utf-16le", "ucs2", "ucs-2":
		return "utf16le"
	case "gb2312", "gb-2312":
		return "gbk"
	default:
		return e
	}
}

// fromBCD reads two digits a byte, the high one first; a nibble that is no digit
// ends the text (0xF pads).
func (r *realm) fromBCD(c goja.FunctionCall) goja.Value {
	b, ok := r.span(c, 0)
	if !ok {
		return goja.Undefined()
	}
	var digits strings.Builder
	for _, v := range b {
		for _, nibble := range [2]byte{v >> 4, v & 15} {
			if nibble > 9 {
				return r.vm.ToValue(digits.String())
			}
			digits.WriteByte('0' + nibble)
		}
	}
	return r.vm.ToValue(digits.String())
}

// toBCD writes digits into so many bytes (as many as needed without a number),
// zeroes in front.
func (r *realm) toBCD(c goja.FunctionCall) goja.Value {
	digits := c.Argument(0).String()
	size := (len(digits) + 1) / 2
	if n := c.Argument(1); !goja.IsUndefined(n) {
		size = int(n.ToInteger())
	}
	const most = 1024 // no field is as long
	if size > most || len(digits) > 2*size || strings.Trim(digits, "0123456789") != "" {
		return r.fails("%.40q is not 0 to %d decimal digits", digits, 2*min(size, most))
	}
	digits = strings.Repeat("0", 2*size-len(digits)) + digits
	b, err := hex.DecodeString(digits)
	if err != nil {
		return r.fails("%v", err)
	}
	return r.newBytes(b)
}
