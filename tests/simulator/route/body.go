package route

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode/utf16"
)

// step is one part of a body path.
type step struct {
	name    string
	index   int
	indexed bool
}

// bodyValue follows the path in a JSON body. What is not there, is not a leaf, or cannot
// be read is undefined.
func bodyValue(m *Message, steps []step) value {
	if !m.parsed {
		m.parsed = true
		m.decoded, m.isJSON = decodeBody(m)
	}
	if !m.isJSON {
		return value{}
	}
	return leaf(follow(m.decoded, steps))
}

type missing struct{}

func follow(node any, steps []step) any {
	for _, s := range steps {
		switch v := node.(type) {
		case map[string]any:
			inner, ok := v[s.name]
			if s.indexed || !ok {
				return missing{}
			}
			node = inner
		case []any:
			if !s.indexed || s.index >= len(v) {
				return missing{}
			}
			node = v[s.index]
		default:
			return missing{}
		}
	}
	return node
}

func leaf(node any) value {
	switch v := node.(type) {
	case nil:
		return value{kind: kindNull}
	case bool:
		return boolean(v)
	case float64:
		return number(v)
	case string:
		return text(v)
	default:
		return value{}
	}
}

// decodeBody reads the body if its system properties say that it is JSON in a Unicode
// encoding, and it is an object.
func decodeBody(m *Message) (any, bool) {
	contentType, _, _ := strings.Cut(lookup(m.System, "contentType").str, ";")
	if !strings.EqualFold(strings.TrimSpace(contentType), "application/json") {
		return nil, false
	}
	var data []byte
	switch strings.ToLower(lookup(m.System, "contentEncoding").str) {
	case "utf-8":
		data = bytes.TrimPrefix(m.Body, []byte("\xef\xbb\xbf"))
	case "utf-16":
		data = fromUTF16(m.Body)
	case "utf-32":
		data = fromUTF32(m.Body)
	default:
		return nil, false
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, false
	}
	return object, true
}

// fromUTF16 reads little endian unless a byte order mark says otherwise.
func fromUTF16(body []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(body, []byte{0xfe, 0xff}) {
		order = binary.BigEndian
	}
	units := make([]uint16, 0, len(body)/2)
	for i := 0; i+1 < len(body); i += 2 {
		units = append(units, order.Uint16(body[i:]))
	}
	return []byte(strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff"))
}

func fromUTF32(body []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(body, []byte{0, 0, 0xfe, 0xff}) {
		order = binary.BigEndian
	}
	var b strings.Builder
	for i := 0; i+3 < len(body); i += 4 {
		b.WriteRune(rune(order.Uint32(body[i:])))
	}
	return []byte(strings.TrimPrefix(b.String(), "\ufeff"))
}
