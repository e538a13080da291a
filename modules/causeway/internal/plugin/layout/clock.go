package layout

import (
	"time"
	"unicode"
)

// clock reads a time, or writes one.
type clock struct {
	// unit is the number of nanoseconds that a count of units since the epoch has; 0 says
	// that the time is written in parts.
	unit, epoch int64
	word        word
	// parts says for each digit, byte or bit which part of the date it belongs to, or -1.
	parts []int
	// radix is 10 for digits, 256 for bytes, 2 for bits.
	radix int
	// year is added to the year; double says that seconds are counted in twos.
	year   int
	double bool
	// zone is how far the device's clock is east of UTC.
	zone time.Duration
	// lenient leaves a date that there is not, such as zeros, out.
	lenient bool
}

const (
	partYear = iota
	partMonth
	partDay
	partHour
	partMinute
	partSecond
	partCount
)

// partOf is the part of a letter of a pattern, or -1.
func partOf(c rune) int {
	switch c {
	case 'Y':
		return partYear
	case 'M':
		return partMonth
	case 'D':
		return partDay
	case 'h':
		return partHour
	case 'm':
		return partMinute
	case 's':
		return partSecond
	}
	return -1
}

// pattern compiles a pattern such as YYMMDDhhmmss, and reports whether it is one.
func (c *clock) pattern(text string) bool {
	counts := [partCount]int{}
	for _, letter := range text {
		p := partOf(letter)
		if p < 0 && (unicode.IsLetter(letter) || letter >= unicode.MaxASCII || c.radix != 10) {
			return false
		}
		if p >= 0 {
			counts[p]++
		}
		c.parts = append(c.parts, p)
	}
	const century = 2000
	switch {
	case c.radix == 10 && counts[partYear] == 2, c.radix == 256 && counts[partYear] == 1:
		c.year = century
	case c.radix == 2:
		c.double = counts[partSecond] == 5 // 5 bits count to 31
	}
	const longest = 64
	return counts[partYear] > 0 && counts[partMonth] > 0 && counts[partDay] > 0 && len(c.parts) <= longest
}

// assemble turns the parts into nanoseconds since 1970.
func (c *clock) assemble(p *[partCount]int) (int64, bool) {
	if c.double {
		p[partSecond] *= 2
	}
	year := p[partYear] + c.year
	const first, last = 1970, 2261 // what 64 bits of nanoseconds hold
	if year < first || year > last || p[partMonth] < 1 || p[partMonth] > 12 || p[partDay] < 1 ||
		p[partHour] > 23 || p[partMinute] > 59 || p[partSecond] > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(p[partMonth]), p[partDay], p[partHour], p[partMinute], p[partSecond], 0, time.UTC)
	return t.UnixNano() - int64(c.zone), t.Day() == p[partDay]
}

// count turns a count of units into nanoseconds.
func (c *clock) count(v uint64) (int64, bool) {
	const most = 9_000_000_000 // seconds; 64 bits of nanoseconds end in 2262
	if v > uint64(most*int64(time.Second)/c.unit) {
		return 0, false
	}
	return (int64(v)+c.epoch*(int64(time.Second)/c.unit))*c.unit - int64(c.zone), true
}

// size is the number of bytes that a time takes.
func (c *clock) size() int {
	switch {
	case c.unit != 0:
		return c.word.size
	case c.radix == 10:
		return len(c.parts) / 2
	case c.radix == 2:
		return len(c.parts) / 8
	}
	return len(c.parts)
}

// binary reads a time that stands in bytes.
func (c *clock) binary(b []byte) (int64, bool) {
	if c.unit != 0 {
		return c.count(c.word.read(b))
	}
	var p [partCount]int
	add := func(part, v int) {
		if part >= 0 {
			p[part] = p[part]*c.radix + v
		}
	}
	switch c.radix {
	case 10:
		for i := range c.parts {
			d := int(b[i/2] >> (4 * (1 - i%2)) & 15)
			if d > 9 {
				return 0, false
			}
			add(c.parts[i], d)
		}
	case 256:
		for i, part := range c.parts {
			add(part, int(b[i]))
		}
	default:
		v := word{size: len(c.parts) / 8, little: c.word.little}.read(b)
		for i, part := range c.parts {
			add(part, int(v>>(len(c.parts)-1-i)&1))
		}
	}
	return c.assemble(&p)
}

// text reads a time that stands in characters.
func (c *clock) text(b []byte) (int64, bool) {
	if len(b) < len(c.parts) {
		return 0, false
	}
	var p [partCount]int
	for i, part := range c.parts {
		switch d := b[i]; {
		case part < 0:
		case d < '0' || d > '9':
			return 0, false
		default:
			p[part] = p[part]*10 + int(d-'0')
		}
	}
	return c.assemble(&p)
}

// put appends a time as a device reads it; only counts and decimal digits are written.
func (c *clock) put(dst []byte, seconds int64) []byte {
	from := len(dst)
	for range c.size() {
		dst = append(dst, 0)
	}
	if c.unit != 0 {
		c.word.put(dst[from:], uint64((seconds-c.epoch)*(int64(time.Second)/c.unit)))
		return dst
	}
	t := time.Unix(seconds, 0).UTC().Add(c.zone)
	p := [partCount]int{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second()}
	if p[partYear] -= c.year; p[partYear] < 0 {
		p[partYear] += 100 // two digits say 1970 as 70
	}
	for i := len(c.parts) - 1; i >= 0; i-- {
		part := c.parts[i]
		if part < 0 {
			continue
		}
		v := p[part] % c.radix
		p[part] /= c.radix
		if c.radix == 10 {
			dst[from+i/2] |= byte(v << (4 * (1 - i%2)))
		} else {
			dst[from+i] = byte(v)
		}
	}
	return dst
}

// timeStep reads a time.
type timeStep struct {
	f     *field
	clock clock
}

func (s *timeStep) decode(r *run) error {
	n := s.clock.size()
	if r.end-r.pos < n {
		return r.short(s.f, n)
	}
	b := r.frame[r.pos : r.pos+n]
	nanos, ok := s.clock.binary(b)
	if ok {
		r.set(s.f, r.pos, n).n = nanos
	} else if !s.clock.lenient {
		return r.malformed("%s: %x at offset %d is no time", s.f.label(), b, r.pos)
	}
	if r.trace != nil {
		r.show(s.f)
	}
	r.pos += n
	return nil
}
