package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Range is the numbers From to To, both included.
type Range struct{ From, To uint64 }

// Ranges are ascending ranges that neither touch nor overlap. In JSON they are
// text: "1-40,42".
type Ranges []Range

// Append adds a range that begins after all others.
func (r Ranges) Append(from, to uint64) Ranges {
	if n := len(r); n > 0 && r[n-1].To+1 == from {
		r[n-1].To = to
		return r
	}
	return append(r, Range{from, to})
}

// Count returns how many numbers there are.
func (r Ranges) Count() uint64 {
	var n uint64
	for _, x := range r {
		n += x.To - x.From + 1
	}
	return n
}

// MarshalJSON implements json.Marshaler.
func (r Ranges) MarshalJSON() ([]byte, error) {
	b := []byte{'"'}
	for i, x := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, x.From, 10)
		if x.To > x.From {
			b = append(b, '-')
			b = strconv.AppendUint(b, x.To, 10)
		}
	}
	return append(b, '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Ranges) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf(`ranges %s: want text like "1-40,42"`, b)
	}
	*r = nil
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, many := strings.Cut(part, "-")
		if !many {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 64)
		if err != nil {
			return fmt.Errorf("ranges %q: %q is no number", text, first)
		}
		to, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return fmt.Errorf("ranges %q: %q is no number", text, last)
		}
		if n := len(*r); to < from || n > 0 && from <= (*r)[n-1].To {
			return fmt.Errorf("ranges %q: %q is not ascending", text, part)
		}
		*r = r.Append(from, to)
	}
	return nil
}
