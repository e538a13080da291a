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
	opI16
	opU32
	opUnix
	opFlag
)

// fusedOp is small, so that those of a record stand in few lines of the cache.
type fusedOp struct {
	f *field
	// add is the zone and the epoch of a time.
	add int64
	// off and size are the bytes within the fused part.
	slot, off int32
	size      uint8
	kind      opKind
	little    bool
	// width is that of a signed number, 0 of one without a sign.
	width uint8
	// shift is that of a flag in the number before.
	shift uint8
}

func (s *fusedStep) decode(r *run) error {
	if r.trace != nil || r.end-r.pos < s.size {
		return r.steps(s.steps)
	}
	if r.budget -= len(s.ops); r.budget < 0 {
		return r.exhausted()
	}
	cells, pos := r.cells, r.pos
	b := r.frame[pos : pos+s.size]
	var number int64 // the last one, whose bits are flags
	for i := range s.ops {
		op := &s.ops[i]
		v := number
		switch op.kind {
		case opFlag:
			v = v >> op.shift & 1
		case opU8:
			v = int64(b[op.off])
		case opU16:
			v = int64(binary.BigEndian.Uint16(b[op.off:]))
		case opI16:
			v = int64(int16(binary.BigEndian.Uint16(b[op.off:])))
		case opU32:
			v = int64(binary.BigEndian.Uint32(b[op.off:]))
		case opUnix:
			v = int64(binary.BigEndian.Uint32(b[op.off:]))*int64(time.Second) + op.add
		default:
			v = op.other(b[op.off:])
		}
		if op.kind != opFlag {
			number = v
		}
		c := &cells[op.slot]
		c.def, c.n, c.off, c.len = op.f, v, pos+int(op.off), int(op.size)
	}
	r.pos = pos + s.size
	return nil
}

// other reads what is rarer than the kinds above.
func (op *fusedOp) other(b []byte) int64 {
	v := word{int(op.size), op.little}.read(b)
	if op.width > 0 {
		return extend(v, int(op.width))
	}
	return int64(v)
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
		op := fusedOp{f: st.f, slot: int32(st.f.slot), off: int32(s.size), size: uint8(st.word.size), little: st.word.little}
		op.kind = kindOfWord(st.word, st.signed)
		if st.signed {
			op.width = uint8(8 * st.word.size)
		}
		s.ops = append(s.ops, op)
		s.size += st.word.size
	case *timeStep:
		k := &st.clock
		const seconds = 4 // of 32 bits are always a time
		if k.unit != int64(time.Second) || k.word.size != seconds || k.word.little {
			return false
		}
		s.ops = append(s.ops, fusedOp{
			f: st.f, slot: int32(st.f.slot), kind: opUnix, off: int32(s.size), size: seconds,
			add: k.epoch*int64(time.Second) - int64(k.zone),
		})
		s.size += seconds
	case *flagsStep:
		last := len(s.ops) - 1
		if last < 0 || s.ops[last].f != st.from {
			return false
		}
		from := s.ops[last]
		for _, b := range st.flags {
			s.ops = append(s.ops, fusedOp{
				f: b.f, slot: int32(b.f.slot), kind: opFlag, off: from.off, size: from.size, shift: uint8(b.shift),
			})
		}
	default:
		return false
	}
	return true
}

func kindOfWord(w word, signed bool) opKind {
	switch {
	case signed && w.size == 2 && !w.little:
		return opI16
	case signed:
		return opWord
	case w.size == 1:
		return opU8
	case w.size == 2 && !w.little:
		return opU16
	case w.size == 4 && !w.little:
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
		case *repeatStep: // forgets its elements itself, and nobody else sees them
		case *groupStep:
			if !certain(s.steps) {
				return false
			}
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
