package csvcodec

import (
	"bytes"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// field reads the field that begins at line[at]; next is where the following one
// begins, or -1. The field is valid until the next call.
func (d *dialogue) field(line []byte, at int) (field []byte, quoted bool, next int, err error) {
	rest := line[at:]
	if d.Trim {
		rest = bytes.TrimLeft(rest, " \t")
	}
	if d.Quote != "" && len(rest) > 0 && rest[0] == d.Quote[0] {
		field, rest, err = d.quoted(rest[1:])
		if err != nil {
			return nil, true, -1, err
		}
		if d.Trim {
			rest = bytes.TrimLeft(rest, " \t")
		}
		if len(rest) > 0 && rest[0] != d.Delimiter[0] {
			return nil, true, -1, fmt.Errorf("text after a closing quote: %w", codec.ErrMalformed)
		}
		return field, true, d.after(line, rest), nil
	}
	end := bytes.IndexByte(rest, d.Delimiter[0])
	if end < 0 {
		end = len(rest)
	}
	field, rest = rest[:end], rest[end:]
	if d.Quote != "" && bytes.IndexByte(field, d.Quote[0]) >= 0 {
		return nil, false, -1, fmt.Errorf("quote within a field without quotes: %w", codec.ErrMalformed)
	}
	if d.Trim {
		field = bytes.TrimRight(field, " \t")
	}
	return field, false, d.after(line, rest), nil
}

// after is where the field after a delimiter begins.
func (*dialogue) after(line, rest []byte) int {
	if len(rest) == 0 {
		return -1
	}
	return len(line) - len(rest) + 1
}

// quoted reads a field up to its closing quote; doubled ones mean one.
func (d *dialogue) quoted(text []byte) (field, rest []byte, err error) {
	quote := d.Quote[0]
	d.tmp = d.tmp[:0]
	for from := 0; ; {
		end := bytes.IndexByte(text[from:], quote)
		if end < 0 {
			return nil, nil, fmt.Errorf("quote that is not closed: %w", codec.ErrMalformed)
		}
		end += from
		if end+1 < len(text) && text[end+1] == quote {
			d.tmp = append(d.tmp, text[from:end+1]...)
			from = end + 2
			continue
		}
		if from == 0 {
			return text[:end], text[end+1:], nil
		}
		d.tmp = append(d.tmp, text[from:end]...)
		return d.tmp, text[end+1:], nil
	}
}

// append appends the field as a member of a JSON object, with a comma.
func (c *column) append(dst, field []byte, quoted bool) ([]byte, error) {
	if c.key == nil {
		return dst, nil
	}
	dst = append(dst, c.key...)
	isNumber := len(field) > 0 && value.Number(field, 0) == len(field)
	switch {
	case c.kind == text, c.kind == auto && (quoted || len(field) > 0 && !isNumber):
		dst = value.AppendString(dst, field)
	case len(field) == 0:
		dst = append(dst, "null"...)
	case c.kind == boolean:
		switch string(field) {
		case "true", "1":
			dst = append(dst, "true"...)
		case "false", "0":
			dst = append(dst, "false"...)
		default:
			return dst, fmt.Errorf("%.40q, want true, false, 1 or 0: %w", field, codec.ErrMalformed)
		}
	case !isNumber:
		return dst, fmt.Errorf("%.40q, want a number: %w", field, codec.ErrMalformed)
	default:
		dst = append(dst, field...)
	}
	return append(dst, ','), nil
}
