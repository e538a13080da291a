package layout

import (
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// image is a template whose parts all have a fixed size: the bytes are there already,
// with the framing and all lengths, and only values and sums are written into a copy.
// Acknowledgements are of this kind.
type image struct {
	bytes []byte
	ints  []imageInt
	sums  []imageSum
}

type imageInt struct {
	*intPart
	at int
}

type imageSum struct {
	*sumPart
	at, from, to int
}

// imageOf makes the image of a template, or nil where a part or the framing depends on
// what is sent.
func imageOf(t *template, f *framing) *image {
	framed := t.framed && f != nil
	if framed && f.kind != "length" && f.kind != "fixed" {
		return nil
	}
	m := &image{}
	if framed {
		m.bytes = f.open(m.bytes)
	}
	body := len(m.bytes)
	marks := make([]int, len(t.parts)+1)
	for i, p := range t.parts {
		marks[i] = len(m.bytes)
		switch p := p.(type) {
		case fixedPart:
			m.bytes = append(m.bytes, p...)
		case *intPart:
			m.ints = append(m.ints, imageInt{p, len(m.bytes)})
			m.bytes = p.word.append(m.bytes, 0)
		case *sumPart:
			m.bytes = p.word.append(m.bytes, 0)
		case *lengthPart:
			m.bytes = p.word.append(m.bytes, 0)
		default:
			return nil
		}
	}
	marks[len(t.parts)] = len(m.bytes)
	for i, p := range t.parts {
		switch p := p.(type) {
		case *sumPart:
			if marks[p.from] > marks[p.to] {
				return nil
			}
			m.sums = append(m.sums, imageSum{p, marks[i], marks[p.from], marks[p.to]})
		case *lengthPart:
			v := int64(marks[p.to]-marks[p.from]) + p.add
			if !fits(v, 8*p.word.size, false) {
				return nil // the fault is told when it is sent
			}
			p.word.put(m.bytes[marks[i]:], uint64(v))
		}
	}
	if framed {
		var err error
		if m.bytes, err = f.close(m.bytes, 0, body); err != nil {
			return nil
		}
	}
	return m
}

// patch writes the values into a copy of the bytes.
func (m *image) patch(r *run, b []byte) error {
	for i := range m.ints {
		p := &m.ints[i]
		v := p.e(r)
		if !fits(v, 8*p.word.size, p.signed) {
			return p.tooLarge(r, v)
		}
		p.word.put(b[p.at:], uint64(v))
	}
	for i := range m.sums {
		s := &m.sums[i]
		s.word.put(b[s.at:], s.sum.sum(b[s.from:s.to]))
	}
	return r.fault
}

// tooLarge is the error of a value that its bytes cannot hold.
func (p *intPart) tooLarge(r *run, v int64) error {
	return fmt.Errorf("layout %s: %s is %d, which %d bytes cannot hold: %w",
		r.layout.name, p.name, v, p.word.size, codec.ErrBadCommand)
}
