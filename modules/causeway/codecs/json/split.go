package jsoncodec

import "github.com/causeway-iot/causeway/modules/causeway/codec"

// SplitBody implements codec.Splitter: the records of a document are the elements
// of an array, byte for byte as they came.
func (d *dialogue) SplitBody(m *codec.Message, limit int) [][]byte {
	s := scan{data: m.Body}
	i := s.space(0)
	if i >= len(m.Body) || m.Body[i] != '[' {
		return nil
	}
	var parts [][]byte
	from, to := -1, -1 // the elements of the part that is being filled
	end := func() {
		if from >= 0 {
			part := append(make([]byte, 0, to-from+len("[]")), '[')
			parts = append(parts, append(append(part, m.Body[from:to]...), ']'))
		}
	}
	for {
		if i = s.space(i + 1); i < len(m.Body) && m.Body[i] == ']' && from < 0 {
			return nil // empty
		}
		next := s.value(i, nil, 1)
		if next < 0 {
			return nil // not what Receive has seen
		}
		if from < 0 || next-from+len("[]") > limit {
			end()
			from = i
		}
		to = next
		if i = s.space(next); i >= len(m.Body) || m.Body[i] != ',' {
			break
		}
	}
	end()
	return parts
}
