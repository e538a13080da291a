// Package value turns pieces of text frames into the values of messages, without
// allocating for what has been seen before: strings, times, numbers.
package value

// maxStrings bounds the memory of one Strings: links that speak for more devices,
// or whose values never repeat, pay an allocation for a new one.
const maxStrings = 256

// maxKept is the longest string that is kept; device ids and enumerated values
// are shorter.
const maxKept = 128

// Strings makes strings of bytes and returns the same string for the same bytes
// again. The zero value is ready. It belongs to one dialogue.
type Strings struct {
	last  string
	known map[string]string
}

// Of returns b as a string.
func (s *Strings) Of(b []byte) string {
	if string(b) == s.last {
		return s.last
	}
	if kept, ok := s.known[string(b)]; ok {
		s.last = kept
		return kept
	}
	made := string(b)
	if len(made) > maxKept {
		return made
	}
	if s.last != "" && s.known == nil { // the second value: a link with one only needs no map
		s.known = map[string]string{s.last: s.last}
	}
	if s.known != nil {
		if len(s.known) >= maxStrings {
			clear(s.known)
		}
		s.known[made] = made
	}
	s.last = made
	return made
}
