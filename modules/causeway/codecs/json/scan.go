package jsoncodec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// maxDepth bounds the nesting of a document, and with it the stack.
const maxDepth = 512

// span is where a value stands in the document; zero means that it is absent.
type span struct{ from, to int }

// scan checks that a document is JSON as encoding/json.Valid does, and UTF-8
// besides, and notes on the way where the values stand that pointers want. It is
// one pass without allocation; every method returns the index after what it read,
// or -1 and leaves the fault.
type scan struct {
	data  []byte
	spans []span // by slot of the tree
	fault int    // offset of the first byte that is not JSON
	seen  uint64 // the bytes of the strings, or-ed
	slash int    // offset of the last backslash
	name  []byte // memory for member names with escapes
}

// document scans the whole of data.
func (s *scan) document(data []byte, root *node) error {
	s.data, s.fault, s.seen, s.slash = data, 0, 0, -1
	clear(s.spans)
	i := s.value(s.space(0), root, 0)
	if i >= 0 {
		if i = s.space(i); i < len(data) {
			i = s.fail(i)
		}
	}
	switch {
	case i < 0 && s.fault >= len(data):
		return fmt.Errorf("json: the document of %d bytes is not complete: %w", len(data), codec.ErrMalformed)
	case i < 0:
		return fmt.Errorf("json: not JSON at offset %d: %w", s.fault, codec.ErrMalformed)
	case s.seen&highs != 0 && !utf8.Valid(data):
		return fmt.Errorf("json: not UTF-8: %w", codec.ErrMalformed)
	}
	return nil
}

func (s *scan) fail(at int) int {
	s.fault = at
	return -1
}

func (s *scan) space(i int) int {
	for i < len(s.data) {
		if b := s.data[i]; b > ' ' || b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			break
		}
		i++
	}
	return i
}

func (s *scan) value(i int, n *node, depth int) int {
	if i >= len(s.data) {
		return s.fail(i)
	}
	from := i
	switch s.data[i] {
	case '"':
		i = s.text(i)
	case '{':
		i = s.object(i+1, n, depth+1)
	case '[':
		i = s.array(i+1, n, depth+1)
	default:
		i = s.scalar(i)
	}
	if n != nil && i >= 0 {
		for _, slot := range n.slots {
			s.spans[slot] = span{from, i}
		}
	}
	return i
}

func (s *scan) object(i int, n *node, depth int) int {
	if depth > maxDepth {
		return s.fail(i - 1)
	}
	if n != nil { // a member given twice: the last one counts, with all that is in it
		for _, slot := range n.below {
			s.spans[slot] = span{}
		}
	}
	i = s.space(i)
	if i < len(s.data) && s.data[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(s.data) || s.data[i] != '"' {
			return s.fail(i)
		}
		end := s.text(i)
		if end < 0 {
			return -1
		}
		var child *node
		if n != nil {
			child = s.member(n, i+1, end-1)
		}
		if i = s.space(end); i >= len(s.data) || s.data[i] != ':' {
			return s.fail(i)
		}
		if i = s.value(s.space(i+1), child, depth); i < 0 {
			return -1
		}
		if i = s.space(i); i >= len(s.data) {
			return s.fail(i)
		}
		switch s.data[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return s.fail(i)
		}
	}
}

func (s *scan) array(i int, n *node, depth int) int {
	if depth > maxDepth {
		return s.fail(i - 1)
	}
	if n != nil {
		for _, slot := range n.below {
			s.spans[slot] = span{}
		}
	}
	i = s.space(i)
	if i < len(s.data) && s.data[i] == ']' {
		return i + 1
	}
	for index := 0; ; index++ {
		if i = s.value(i, n.element(index), depth); i < 0 {
			return -1
		}
		if i = s.space(i); i >= len(s.data) {
			return s.fail(i)
		}
		switch s.data[i] {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1
		default:
			return s.fail(i)
		}
	}
}

// member finds the node of the name that was scanned last.
func (s *scan) member(n *node, from, to int) *node {
	name := s.data[from:to]
	if s.slash >= from {
		s.name = unescape(s.name[:0], name)
		name = s.name
	}
	return n.member(name)
}

func (s *scan) scalar(i int) int {
	data := s.data
	switch b := data[i]; {
	case b == '-' || b-'0' <= 9:
		if end := value.Number(data, i); end >= 0 {
			return end
		}
	case b == 't' && len(data)-i >= 4 && string(data[i:i+4]) == "true":
		return i + 4
	case b == 'f' && len(data)-i >= 5 && string(data[i:i+5]) == "false":
		return i + 5
	case b == 'n' && len(data)-i >= 4 && string(data[i:i+4]) == "null":
		return i + 4
	}
	return s.fail(i)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text scans a string, eight bytes at a time where nothing is special in them.
func (s *scan) text(i int) int {
	data := s.data
	i++
	for {
		for len(data)-i >= 8 {
			w := binary.LittleEndian.Uint64(data[i:])
			s.seen |= w // what follows the string's end counts too: it only costs the check of UTF-8
			quote, slash := w^ones*'"', w^ones*'\\'
			// The lowest bit of each term is exact: a borrow only reaches upwards.
			special := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
			if special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(data) {
			return s.fail(i)
		}
		switch b := data[i]; {
		case b == '"':
			return i + 1
		case b == '\\':
			s.slash = i
			if i = s.escape(i + 1); i < 0 {
				return -1
			}
		case b < ' ':
			return s.fail(i)
		default:
			s.seen |= uint64(b)
			i++
		}
	}
}

// escape scans what follows a backslash.
func (s *scan) escape(i int) int {
	if i >= len(s.data) {
		return s.fail(i)
	}
	switch s.data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for j := i + 1; j < i+5; j++ {
			if j >= len(s.data) || !isHex(s.data[j]) {
				return s.fail(j)
			}
		}
		return i + 5
	}
	return s.fail(i)
}

func isHex(b byte) bool { return b-'0' <= 9 || b|0x20-'a' <= 5 }
