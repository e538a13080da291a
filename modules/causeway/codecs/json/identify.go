package jsoncodec

import (
	"bytes"
	"encoding/json"
)

// Identify implements codec.Identifier. A lone number or word is JSON too, but no sign
// of it.
func (c *documents) Identify(data []byte) (confidence int, reason string) {
	const whole, line, begun = 95, 85, 40
	text := bytes.TrimSpace(data)
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return 0, ""
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case json.Valid(text):
		return whole, "one JSON document"
	case json.Valid(first):
		return line, "the first line is a JSON document"
	case text[0] == '{' && quoteFollows(text[1:]):
		return begun, "begins a JSON object"
	}
	return 0, ""
}

// quoteFollows tells whether the first character that is no white space begins a string.
func quoteFollows(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '"'
}
