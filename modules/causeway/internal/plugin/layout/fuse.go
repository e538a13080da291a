package layout

import (
	"encoding/binary"
	"time"
)

// fusedStep reads neighbouring fields of fixed size in one go: most frames are made
// of them, and a call for each would be half of the decoding. It does what its steps
// do, and leaves what is out of the ordinary to them.
type fusedStep struct {
	size  int
	ops   []fusedOp
	steps []step
}

// opKind is how a fused field is read.
type opKind uint8

const (
	opWord opKind = iota
	opU8
	opU16
	opU32
	opU16le
	opU32le
	opUnix
	opFlag
)

type fusedOp struct {
	f    *field
	slot int
	kind opKind
	// off and size are the bytes within the fused part.
	off, size int
	word      word
	// width is that of a signed number, 0 of one without a sign.
	width int
	// add is the zone and the epoch of a time.
	add int64
	// from and shift are those of a flag.
	from, shift int
}

func (s *fusedStep) decode(r *run) error {
	if r.trace != nil || r.end-r.pos < s.size {
		return r.steps(s.steps)
	}
	r.budget -= len(s.ops)
	b := r.frame[r.pos : r.pos+s.size]
	for i := range s.ops {
		op := &s.ops[i]
		var v int64
		switch op.kind {
		case opU8:
			v = int64(b[op.off])
		case opU16:
			v = int64(binary.BigEndian.Uint16(b[op.off:]))
		case opU32:
			v = int64(binary.BigEndian.Uint32(b[op.off:]))
		case opU16le:
			v = int64(binary.LittleEndian.Uint16(b[op.off:]))
		case opU32le:
			v = int64(binary.LittleEndian.Uint32(b[op.off:]))
		case opFlag:
			v = r.cells[op.from].n >> op.shift & 1
		case opUnix:
			v = int64(op.word.read(b[op.off:]))*int64(time.Second) + op.add
		default:
			v = int64(op.word.read(b[op.off:]))
		}
		if op.width > 0 {
			v = extend(uint64(v), op.width)
		}
		c := &r.cells[op.slot]
		c.def, c.n, c.off, c.len = op.f, v, r.pos+op.off, op.size
	}
	r.pos += s.size
	return nil
}

// fuse puts runs of neighbours together.
func fuse(steps []step) []step {
	var out []step
	for i := 0; i < len(steps); {
		s := &fusedStep{}
		n := i
		for n < len(steps) && s.take(steps[n]) {
			n++
		}
		if n-i < 2 {
			out = append(out, steps[i])
			i++
			continue
		}
		s.steps = steps[i:n:n]
		out = append(out, s)
		i = n
	}
	return out
}

// take adds a step, and reports whether it can.
func (s *fusedStep) take(st step) bool {
	switch st := st.(type) {
	case *intStep:
		op := fusedOp{f: st.f, slot: st.f.slot, kind: kindOfWord(st.word), off: s.size, size: st.word.size, word: st.word}
		if st.signed {
			op.width = 8 * st.word.size
		}
		s.ops = append(s.ops, op)
		s.size += st.word.size
	case *timeStep:
		k := &st.clock
		if k.unit != int64(time.Second) || k.word.size > 4 {
			return false // may be no time at all
		}
		s.ops = append(s.ops, fusedOp{
			f: st.f, slot: st.f.slot, kind: opUnix, off: s.size, size: k.word.size, word: k.word,
			add: k.epoch*int64(time.Second) - int64(k.zone),
		})
		s.size += k.word.size
	case *flagsStep:
		last := len(s.ops) - 1
		if last < 0 || s.ops[last].f != st.from {
			return false
		}
		from := s.ops[last]
		for _, b := range st.flags {
			s.ops = append(s.ops, fusedOp{
				f: b.f, slot: b.f.slot, kind: opFlag, off: from.off, size: from.size, from: st.from.slot, shift: b.shift,
			})
		}
	default:
		return false
	}
	return true
}

func kindOfWord(w word) opKind {
	switch {
	case w.size == 1:
		return opU8
	case w.size == 2 && w.little:
		return opU16le
	case w.size == 2:
		return opU16
	case w.size == 4 && w.little:
		return opU32le
	case w.size == 4:
		return opU32
	}
	return opWord
}

// certain reports whether the steps set all their fields each time, so that those of
// the element before need not be forgotten.
func certain(steps []step) bool {
	for _, s := range steps {
		switch s := s.(type) {
		case *fusedStep, *intStep, *bitsStep, *flagsStep, *floatStep, *bcdStep, *bytesStep:
		case *checkStep, *checksumStep, *valueStep:
		case *timeStep:
			if s.clock.lenient {
				return false
			}
		default:
			return false
		}
	}
	return true
}
