package layout

import (
	"fmt"
	"math"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxParts of a template are more than a header, its values and a trailer.
const maxParts = 64

// maxWritten bounds what is sent to a device at once.
const maxWritten = 64 << 10

// template is a compiled answer or command: bytes made of values.
type template struct {
	// when is a condition, or nil.
	when  func(*run) bool
	parts []part
	// later are the parts that are lengths and sums.
	later []int
	// framed says that the layout's framing goes around the bytes.
	framed bool
	// image is set where all parts have a fixed size.
	image *image
	// device says that the device of the link has to be known.
	device bool
}

// part is one piece of a template.
type part interface {
	put(r *run, dst []byte) ([]byte, error)
}

// later is a part that is written when all others are there: a length or a sum.
type later interface {
	part
	fill(r *run, content []byte, at int)
}

// build appends the bytes.
func (t *template) build(r *run, dst []byte) ([]byte, error) {
	start := len(dst)
	f := r.layout.framing
	framed := t.framed && f != nil
	if framed {
		dst = f.open(dst)
	}
	body := len(dst)
	var err error
	for i, p := range t.parts {
		if t.later != nil {
			r.marks[i] = len(dst) - body
		}
		if dst, err = p.put(r, dst); err != nil {
			return dst[:start], err
		}
		if len(dst)-start > maxWritten {
			return dst[:start], fmt.Errorf("layout %s: more than %d bytes to send: %w",
				r.layout.name, maxWritten, codec.ErrBroken)
		}
	}
	r.marks[len(t.parts)] = len(dst) - body
	for _, i := range t.later {
		t.parts[i].(later).fill(r, dst[body:], r.marks[i])
	}
	if r.fault != nil {
		return dst[:start], r.fault
	}
	if framed {
		return f.close(dst, start, body)
	}
	return dst, nil
}

// bytes builds the template into the scratch memory; nil is for no template, or one
// whose condition does not hold.
func (t *template) bytes(r *run) ([]byte, error) {
	if t == nil || t.when != nil && !t.when(r) {
		return nil, nil
	}
	from := len(r.out.Scratch)
	if t.image != nil {
		dst := append(r.out.Scratch, t.image.bytes...)
		r.out.Scratch = dst
		return dst[from:len(dst):len(dst)], t.image.patch(r, dst[from:])
	}
	dst, err := t.build(r, r.out.Scratch)
	r.out.Scratch = dst
	return dst[from:len(dst):len(dst)], err
}

// fixedPart is written as it is.
type fixedPart []byte

func (p fixedPart) put(_ *run, dst []byte) ([]byte, error) { return append(dst, p...), nil }

// copyPart repeats the bytes of a field.
type copyPart struct{ f *field }

func (p copyPart) put(r *run, dst []byte) ([]byte, error) {
	c := &r.cells[p.f.slot]
	return append(dst, r.frame[c.off:c.off+c.len]...), nil
}

// intPart is an integer.
type intPart struct {
	e      func(*run) int64
	word   word
	signed bool
	name   string
}

func (p *intPart) put(r *run, dst []byte) ([]byte, error) {
	v := p.e(r)
	if !fits(v, 8*p.word.size, p.signed) {
		return dst, p.tooLarge(r, v)
	}
	return p.word.append(dst, uint64(v)), nil
}

func (w word) append(dst []byte, v uint64) []byte {
	switch {
	case w.size == 1:
		return append(dst, byte(v))
	case w.size == 2 && !w.little:
		return append(dst, byte(v>>8), byte(v))
	}
	from := len(dst)
	for range w.size {
		dst = append(dst, 0)
	}
	w.put(dst[from:], v)
	return dst
}

// floatPart is a number of IEEE 754.
type floatPart struct {
	e    func(*run) float64
	word word
}

func (p *floatPart) put(r *run, dst []byte) ([]byte, error) {
	if p.word.size == 4 {
		return p.word.append(dst, uint64(math.Float32bits(float32(p.e(r))))), nil
	}
	return p.word.append(dst, math.Float64bits(p.e(r))), nil
}

// textPart is text in a character set, filled up with zeros to a size, or behind its length.
type textPart struct {
	e        expr
	encoding string
	size     int // -1 for as long as it is
	prefix   word
	name     string
}

func (p *textPart) put(r *run, dst []byte) ([]byte, error) {
	from := len(dst)
	for range p.prefix.size {
		dst = append(dst, 0)
	}
	body := len(dst)
	dst, ok := r.encodeText(dst, p.encoding, r.textOf(&p.e))
	n := len(dst) - body
	if !ok || p.size >= 0 && n > p.size || p.prefix.size > 0 && !fits(int64(n), 8*p.prefix.size, false) {
		return dst, fmt.Errorf("layout %s: %s is %.40q, which %s cannot say in the bytes there are: %w",
			r.layout.name, p.name, r.textOf(&p.e), p.encoding, codec.ErrBadCommand)
	}
	for ; n < p.size; n++ {
		dst = append(dst, 0)
	}
	p.prefix.put(dst[from:], uint64(n))
	return dst, nil
}

// digitsPart is decimal digits, two a byte, with zeros before them.
type digitsPart struct {
	e    expr
	size int
	name string
}

func (p *digitsPart) put(r *run, dst []byte) ([]byte, error) {
	text := r.textOf(&p.e)
	from := len(dst)
	for range p.size {
		dst = append(dst, 0)
	}
	for i := range text {
		d, at := text[len(text)-1-i], 2*p.size-1-i
		if d < '0' || d > '9' || at < 0 {
			return dst, fmt.Errorf("layout %s: %s is %.40q, want at most %d digits: %w",
				r.layout.name, p.name, text, 2*p.size, codec.ErrBadCommand)
		}
		dst[from+at/2] |= (d - '0') << (4 * (1 - at%2))
	}
	return dst, nil
}

// timePart is a time, of seconds since 1970.
type timePart struct {
	e     func(*run) int64
	clock clock
}

func (p *timePart) put(r *run, dst []byte) ([]byte, error) { return p.clock.put(dst, p.e(r)), nil }

// lengthPart is the number of bytes between two parts.
type lengthPart struct {
	word     word
	from, to int // marks
	add      int64
}

func (p *lengthPart) put(_ *run, dst []byte) ([]byte, error) { return p.word.append(dst, 0), nil }

func (p *lengthPart) fill(r *run, content []byte, at int) {
	v := int64(r.marks[p.to]-r.marks[p.from]) + p.add
	if !fits(v, 8*p.word.size, false) {
		r.fail(fmt.Errorf("layout %s: a length of %d, which %d bytes cannot hold: %w",
			r.layout.name, v, p.word.size, codec.ErrBroken))
	}
	p.word.put(content[at:], uint64(v))
}

// sumPart is the check sum between two parts.
type sumPart struct {
	word     word
	sum      algorithm
	from, to int
}

func (p *sumPart) put(_ *run, dst []byte) ([]byte, error) { return p.word.append(dst, 0), nil }

func (p *sumPart) fill(r *run, content []byte, at int) {
	if from, to := r.marks[p.from], r.marks[p.to]; from <= to {
		p.word.put(content[at:], p.sum.sum(content[from:to]))
	}
}
