package csvcodec

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Identify implements codec.Identifier: lines of text with equally many fields.
func (c *lines) Identify(data []byte) (confidence int, reason string) {
	const several, single, looked = 75, 45, 16
	const fewest = 3 // two fields are any line with a comma in it
	if !utf8.Valid(data) || bytes.ContainsFunc(data, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\r' && r != '\n'
	}) {
		return 0, ""
	}
	d := &dialogue{lines: c}
	fields, n := 0, 0
	for line := range bytes.Lines(data) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			continue
		}
		if line[0] == '{' || line[0] == '[' || line[0] == '$' || line[0] == '!' {
			return 0, "" // JSON, NMEA
		}
		count := d.count(line)
		if fields != 0 && count != fields {
			return 0, ""
		}
		if fields = count; fields < fewest {
			return 0, ""
		}
		if n++; n == looked {
			break
		}
	}
	switch {
	case n > 1:
		return several, fmt.Sprintf("%d lines of %d fields", n, fields)
	case n == 1:
		return single, fmt.Sprintf("a line of %d fields", fields)
	}
	return 0, ""
}
