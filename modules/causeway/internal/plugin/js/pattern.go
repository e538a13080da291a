package js

import (
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// maxPattern bounds the size of a regular expression with its repetitions written
// out: the engine tries a text in time that grows with the product of both lengths,
// and cannot be interrupted meanwhile.
const maxPattern = 8192

// patternSize is the size of an expression with its counted repetitions written out.
func patternSize(pattern string) int {
	var outer []int // sizes around the groups that are open
	size := 0
	for i := 0; i < len(pattern) && size <= maxPattern; {
		atom := 1
		switch c := pattern[i]; {
		case c == '(':
			outer, size = append(outer, size), 0
			i++
			continue
		case c == ')' && len(outer) > 0:
			atom = size
			size, outer = outer[len(outer)-1], outer[:len(outer)-1]
			i++
		case c == '\\':
			i += 2
		case c == '[':
			for i++; i < len(pattern) && pattern[i] != ']'; i++ {
				if pattern[i] == '\\' {
					i++
				}
			}
			i++
		default:
			i++
		}
		times, n := repetition(pattern[min(i, len(pattern)):])
		i += n
		size += atom * times
	}
	return size
}

// repetition reads {n}, {n,} or {n,m}; without one it is once.
func repetition(text string) (times, length int) {
	if !strings.HasPrefix(text, "{") {
		return 1, 0
	}
	inner, _, closed := strings.Cut(text[1:], "}")
	low, high, _ := strings.Cut(inner, ",")
	n, err := strconv.Atoi(low)
	if !closed || err != nil {
		return 1, 0
	}
	if m, err := strconv.Atoi(high); err == nil {
		n = max(n, m)
	}
	return max(1, min(n, maxPattern+1)), len(inner) + 2
}

// pattern is what the prelude calls with the source of a RegExp; it reports whether
// it may be compiled.
func (r *realm) pattern(c goja.FunctionCall) goja.Value {
	const compiled = 512 // bytes for each unit
	s, ok := c.Argument(0).(goja.String)
	if !ok {
		return r.vm.ToValue(true) // another RegExp, undefined
	}
	if s.Length() > maxPattern || patternSize(s.String()) > maxPattern {
		return r.fails("a regular expression over %d with its repetitions written out", maxPattern)
	}
	r.meter.grow(int64(s.Length()) * compiled)
	return r.vm.ToValue(!r.meter.stopped)
}

// searched refuses the text that String's match and search make a RegExp of.
func searched(_ *realm, c goja.FunctionCall) float64 {
	if s, ok := c.Argument(0).(goja.String); ok && (s.Length() > maxPattern || patternSize(s.String()) > maxPattern) {
		return many
	}
	return 0
}
