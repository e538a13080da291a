package layout

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// column is a field of text: what it is made of stands in a range of the frame.
type column struct {
	f        *field
	kind     string // text, int, hexint, number, ddmm, time, skip
	clock    *clock // of a time with a pattern
	trim     string
	required bool
	checks   []step
}

// columnKinds are the types of text fields.
const columnKinds = "text int hexint number ddmm time skip"

// set reads the field from the range. Nothing there means that there is no value.
func (c *column) set(r *run, at span) error {
	if r.budget--; r.budget < 0 {
		return r.exhausted()
	}
	b := trimmed(r.frame[at.from:at.to:at.to], c.trim)
	if len(b) == 0 {
		if c.required {
			return r.malformed("%s is empty at offset %d", c.f.label(), at.from)
		}
		return nil
	}
	if !c.read(r, b, at) {
		return r.malformed("%s: %.40q at offset %d is no %s", c.f.label(), b, at.from, c.kind)
	}
	if r.trace != nil {
		r.trace.add(at.from, at.to-at.from, c.f.name, r.shown(c.f))
	}
	return r.steps(c.checks)
}

func (c *column) read(r *run, b []byte, at span) bool {
	cell := r.set(c.f, at.from, at.to-at.from)
	ok := true
	switch c.kind {
	case "text":
		cell.b = b
	case "int":
		cell.n, ok = integer(b)
	case "hexint":
		ok = len(b) <= 16
		n, err := strconv.ParseUint(string(b), 16, 64)
		cell.n, ok = int64(n), ok && err == nil
	case "number":
		ok = c.number(r, cell, b)
	case "ddmm":
		cell.f, ok = float(b)
		degrees := float64(int(cell.f / 100))
		cell.f = degrees + (cell.f-100*degrees)/60
	case "time":
		if c.clock != nil && c.clock.parts != nil {
			cell.n, ok = c.clock.text(b)
		} else {
			t, valid := value.Time(b)
			ok = valid && t.Year() >= 1970 && t.Year() < 2262
			cell.n = t.UnixNano()
		}
		if !ok && c.clock != nil && c.clock.lenient {
			cell.def, ok = nil, true
		}
	}
	return ok
}

// number keeps a number as it is written, where that is JSON and nothing is to be
// computed.
func (c *column) number(r *run, cell *cell, b []byte) (ok bool) {
	if cell.f, ok = float(b); !ok {
		return false
	}
	if s := &c.f.scale; s.ratio != 0 {
		cell.f = cell.f*s.ratio + s.offset
	} else if c.f.decimals < 0 && value.Number(b, 0) == len(b) {
		cell.b = b
		return true
	}
	from := len(r.aux)
	r.aux = appendFloat(r.aux, cell.f, c.f.decimals, 64)
	cell.b = r.aux[from:len(r.aux):len(r.aux)]
	return true
}

// integer reads a decimal integer with a sign or without.
func integer(b []byte) (int64, bool) {
	const most = 18 // digits that 63 bits hold
	digits := b
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		digits = b[1:]
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if b[0] == '-' {
		v = -v
	}
	return v, len(digits) > 0 && len(digits) <= most
}

// float reads a decimal number; what strconv takes besides is refused.
func float(b []byte) (float64, bool) {
	const longest = 32
	if len(b) > longest {
		return 0, false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	return f, err == nil
}

// splitStep reads fields between separators, up to the end.
type splitStep struct {
	separator []byte
	columns   []column
}

func (s *splitStep) decode(r *run) error {
	at := r.pos
	for i := range s.columns {
		if at > r.end {
			if s.columns[i].required {
				return r.malformed("%s is missing, there are %d fields", s.columns[i].f.label(), i)
			}
			continue
		}
		to := r.end
		if n := bytes.Index(r.frame[at:r.end], s.separator); n >= 0 {
			to = at + n
		}
		if err := s.columns[i].set(r, span{at, to}); err != nil {
			return err
		}
		at = to + len(s.separator)
	}
	r.pos = r.end
	return nil
}

// pairsStep reads fields of the form key=value, up to the end.
type pairsStep struct {
	between, equals []byte
	columns         map[string]*column
	order           []*column
	strict          bool
}

func (s *pairsStep) decode(r *run) error {
	for at := r.pos; at < r.end; {
		to := r.end
		if n := bytes.Index(r.frame[at:r.end], s.between); n >= 0 {
			to = at + n
		}
		if err := s.pair(r, span{at, to}); err != nil {
			return err
		}
		at = to + len(s.between)
	}
	r.pos = r.end
	for _, c := range s.order {
		if c.required && r.cells[c.f.slot].def == nil {
			return r.malformed("%s is missing", c.f.label())
		}
	}
	return nil
}

func (s *pairsStep) pair(r *run, at span) error {
	if r.budget--; r.budget < 0 {
		return r.exhausted()
	}
	text := r.frame[at.from:at.to]
	n := bytes.Index(text, s.equals)
	if n < 0 {
		if s.strict && len(text) > 0 {
			return r.malformed("%.40q at offset %d has no %q", text, at.from, s.equals)
		}
		return nil
	}
	c, ok := s.columns[string(bytes.TrimSpace(text[:n]))]
	if !ok {
		if s.strict {
			return r.malformed("key %.40q at offset %d is not known", text[:n], at.from)
		}
		return nil
	}
	return c.set(r, span{at.from + n + len(s.equals), at.to})
}

// matchStep reads fields that are groups of a regular expression.
type matchStep struct {
	pattern *regexp.Regexp
	groups  []*column // by group, nil where it has no name
}

func (s *matchStep) decode(r *run) error {
	base := r.pos
	m := s.pattern.FindSubmatchIndex(r.frame[base:r.end])
	if m == nil {
		return r.malformed("%.40q at offset %d does not match %s", r.frame[base:r.end], base, s.pattern)
	}
	for i, c := range s.groups {
		if c == nil {
			continue
		}
		at := span{base, base}
		if m[2*i] >= 0 {
			at = span{base + m[2*i], base + m[2*i+1]}
		}
		if err := c.set(r, at); err != nil {
			return err
		}
	}
	r.pos = r.end
	return nil
}
