package meter

import (
	"errors"
	"fmt"
)

// ErrModule says that the bytes are no module that can be metered.
var ErrModule = errors.New("not a usable wasm module")

// reader reads the binary format. The first error sticks; then everything is zero.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, ErrModule)...)
	}
}

func (r *reader) more() bool { return r.err == nil && r.at < len(r.b) }

func (r *reader) byte() byte {
	b := r.bytes(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil || uint64(n) > uint64(len(r.b)-r.at) {
		r.fail("ends early, at byte %d", r.at)
		return nil
	}
	from := r.at
	r.at += int(n)
	return r.b[from:r.at:r.at]
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	const most = 5 // bytes for 32 bits
	var v uint32
	for i := range most {
		b := r.byte()
		if i == most-1 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v
		}
	}
	r.fail("a number over 32 bits at byte %d", r.at)
	return 0
}

// skipSigned passes over a signed LEB128 of at most most bytes.
func (r *reader) skipSigned(most int) {
	for range most {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail("a number that is too long at byte %d", r.at)
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }

// sub reads a length and that many bytes, as a reader of their own.
func (r *reader) sub() *reader {
	return &reader{b: r.bytes(r.u32()), err: r.err}
}

func appendU32(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c < 0x40 || v == -1 && c >= 0x40 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendSection(b []byte, id byte, content []byte) []byte {
	b = appendU32(append(b, id), uint32(len(content)))
	return append(b, content...)
}
