package layout

import (
	"encoding/binary"
	"math"
)

// step is one instruction of a compiled layout. It reads at the place where the
// run stands and moves it on.
type step interface {
	decode(r *run) error
}

// word is an integer of 1 to 8 bytes as it stands in a frame.
type word struct {
	size   int
	little bool
}

// read reads the word at the front of b, which is long enough.
func (w word) read(b []byte) uint64 {
	if w.little {
		switch w.size {
		case 1:
			return uint64(b[0])
		case 2:
			return uint64(binary.LittleEndian.Uint16(b))
		case 4:
			return uint64(binary.LittleEndian.Uint32(b))
		case 8:
			return binary.LittleEndian.Uint64(b)
		}
		var v uint64
		for i := w.size - 1; i >= 0; i-- {
			v = v<<8 | uint64(b[i])
		}
		return v
	}
	switch w.size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for _, c := range b[:w.size] {
		v = v<<8 | uint64(c)
	}
	return v
}

// put writes the low bytes of v over the front of b.
func (w word) put(b []byte, v uint64) {
	switch {
	case w.size == 1:
		b[0] = byte(v)
		return
	case w.size == 2 && !w.little:
		b[1], b[0] = byte(v), byte(v>>8)
		return
	}
	for i := range w.size {
		at := w.size - 1 - i
		if w.little {
			at = i
		}
		b[at] = byte(v)
		v >>= 8
	}
}

// fits reports whether a value can be written with so many bits.
func fits(v int64, width int, signed bool) bool {
	switch {
	case width >= 64:
		return true
	case signed:
		return v>>(width-1) == 0 || v>>(width-1) == -1
	}
	return uint64(v)>>width == 0
}

// extend gives the sign of the highest of width bits to the whole.
func extend(v uint64, width int) int64 {
	shift := 64 - width
	return int64(v<<shift) >> shift
}

// intStep reads an integer of whole bytes.
type intStep struct {
	f      *field
	word   word
	signed bool
}

func (s *intStep) decode(r *run) error {
	if r.end-r.pos < s.word.size {
		return r.short(s.f, s.word.size)
	}
	v := int64(s.word.read(r.frame[r.pos:r.end]))
	if s.signed {
		v = extend(uint64(v), 8*s.word.size)
	}
	r.set(s.f, r.pos, s.word.size).n = v
	if r.trace != nil {
		r.show(s.f)
	}
	r.pos += s.word.size
	return nil
}

// bitsStep reads several fields out of the bits of one word.
type bitsStep struct {
	word   word
	fields []bitField
}

type bitField struct {
	f      *field
	shift  int
	width  int
	signed bool
}

func (s *bitsStep) decode(r *run) error {
	if r.end-r.pos < s.word.size {
		return r.short(s.fields[0].f, s.word.size)
	}
	v := s.word.read(r.frame[r.pos:r.end])
	for i := range s.fields {
		b := &s.fields[i]
		n := int64(v >> b.shift & (1<<b.width - 1))
		if b.signed {
			n = extend(uint64(n), b.width)
		}
		r.set(b.f, r.pos, s.word.size).n = n
		if r.trace != nil {
			r.show(b.f)
		}
	}
	r.pos += s.word.size
	return nil
}

// flagsStep makes truth values of the bits of an integer that was just read.
type flagsStep struct {
	from  *field
	flags []bitField
}

func (s *flagsStep) decode(r *run) error {
	from := &r.cells[s.from.slot]
	n, off, size := from.n, from.off, from.len
	for i := range s.flags {
		b := &s.flags[i]
		r.set(b.f, off, size).n = n >> b.shift & 1
		if r.trace != nil {
			r.show(b.f)
		}
	}
	return nil
}

// floatStep reads a number of IEEE 754.
type floatStep struct {
	f    *field
	word word
}

func (s *floatStep) decode(r *run) error {
	if r.end-r.pos < s.word.size {
		return r.short(s.f, s.word.size)
	}
	v := s.word.read(r.frame[r.pos:r.end])
	c := r.set(s.f, r.pos, s.word.size)
	if s.word.size == 4 {
		c.f = float64(math.Float32frombits(uint32(v)))
	} else {
		c.f = math.Float64frombits(v)
	}
	if s.f.scale.ratio != 0 {
		c.f = c.f*s.f.scale.ratio + s.f.scale.offset
	}
	if r.trace != nil {
		r.show(s.f)
	}
	r.pos += s.word.size
	return nil
}

// bcdStep reads decimal digits, two a byte, as an integer.
type bcdStep struct {
	f    *field
	word word
}

func (s *bcdStep) decode(r *run) error {
	if r.end-r.pos < s.word.size {
		return r.short(s.f, s.word.size)
	}
	v := int64(0)
	for i := range s.word.size {
		at := r.pos + i
		if s.word.little {
			at = r.pos + s.word.size - 1 - i
		}
		hi, lo := r.frame[at]>>4, r.frame[at]&15
		if hi > 9 || lo > 9 {
			return r.malformed("%s: %02x at offset %d is no pair of decimal digits", s.f.label(), r.frame[at], at)
		}
		v = v*100 + int64(hi)*10 + int64(lo)
	}
	r.set(s.f, r.pos, s.word.size).n = v
	if r.trace != nil {
		r.show(s.f)
	}
	r.pos += s.word.size
	return nil
}

// valueStep computes a field.
type valueStep struct {
	f *field
	e expr
}

func (s *valueStep) decode(r *run) error {
	c := r.set(s.f, r.pos, 0)
	switch s.e.t {
	case typeInt:
		c.n = s.e.i(r)
	case typeFloat:
		c.f = s.e.f(r)
	case typeBool:
		if s.e.b(r) {
			c.n = 1
		}
	case typeText:
		c.b = s.e.s(r)
	}
	return r.fault
}

// checkStep refuses a frame whose condition does not hold.
type checkStep struct {
	holds  func(*run) bool
	f      *field
	reason string
}

func (s *checkStep) decode(r *run) error {
	if s.holds(r) {
		return nil
	}
	if s.f == nil {
		return r.malformed("%s", s.reason)
	}
	c := &r.cells[s.f.slot]
	return r.malformed("%s is %s at offset %d, want %s", s.f.label(), string(c.appendPlain(nil)), c.off, s.reason)
}

// whenStep decodes a part that not every frame has.
type whenStep struct {
	holds func(*run) bool
	steps []step
}

func (s *whenStep) decode(r *run) error {
	if !s.holds(r) {
		return r.fault
	}
	return r.steps(s.steps)
}
