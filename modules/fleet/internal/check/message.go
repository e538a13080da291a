package check

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Message is what the checker needs of one message that arrived.
type Message struct {
	Device string
	Output string
	// Numbers are the sequence numbers in the body: one, or several where a body
	// holds several readings.
	Numbers []uint64
	// Refused: this is a dead letter about a message that the hub refused for good, with
	// that message's device and body.
	Refused bool
	// arrival is the number that the source gave the message; 0 for none.
	arrival uint64
}

// outputDead is where the gateway tells of what it could not pass on.
const outputDead = "deadletter"

// source is one message as a hub, a simulator or a log writes it.
type source struct {
	Sequence   json.Number     `json:"sequence"` // or seq
	Seq        json.Number     `json:"seq"`
	Output     string          `json:"output"`
	DeviceID   string          `json:"deviceId"`
	Properties map[string]any  `json:"properties"`
	Body       json.RawMessage `json:"body"`
	BodyBase64 string          `json:"bodyBase64"` // a body that is no JSON
	// Messages is set when this is not a message but a page of them.
	Messages []json.RawMessage `json:"messages"`
}

// ReadMessages reads a JSON array of messages, an object with such an array under
// "messages", or messages one after the other. When all of them are numbered by
// their source they are put into that order.
func ReadMessages(r io.Reader) ([]Message, error) {
	in := bufio.NewReader(r)
	decoder := json.NewDecoder(in)
	var out []Message
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read messages: after %d: %w", len(out), err)
		}
		page, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("read messages: after %d: %w", len(out), err)
		}
		out = append(out, page...)
	}
	if !slices.ContainsFunc(out, func(m Message) bool { return m.arrival == 0 }) {
		slices.SortStableFunc(out, func(a, b Message) int {
			switch {
			case a.arrival < b.arrival:
				return -1
			case a.arrival > b.arrival:
				return 1
			}
			return 0
		})
	}
	return out, nil
}

// parse reads one message, or an array or page of them.
func parse(raw json.RawMessage) ([]Message, error) {
	var list []json.RawMessage
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		return parseAll(list)
	}
	var s source
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if s.Messages != nil {
		return parseAll(s.Messages)
	}
	m := Message{Device: s.DeviceID, Output: s.Output}
	for _, text := range []json.Number{s.Seq, s.Sequence} {
		if n, err := strconv.ParseUint(text.String(), 10, 64); err == nil {
			m.arrival = n
		}
	}
	for name, value := range s.Properties {
		text, ok := value.(string)
		switch {
		case ok && strings.EqualFold(name, "deviceId"):
			m.Device = text
		case ok && strings.EqualFold(name, "kind"):
			m.Refused = s.Output == outputDead && text == "refused"
		}
	}
	if len(s.Body) > 0 {
		body, err := decodeNumbers(s.Body)
		if err != nil {
			return nil, err
		}
		m.Numbers = numbers(body)
	} else {
		m.Numbers = inText(s.BodyBase64)
	}
	return []Message{m}, nil
}

func parseAll(list []json.RawMessage) ([]Message, error) {
	out := make([]Message, 0, len(list))
	for _, raw := range list {
		page, err := parse(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
	}
	return out, nil
}

// decodeNumbers decodes without turning 64-bit numbers into floats.
func decodeNumbers(b []byte) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(string(b)))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// numbers finds the sequence numbers in a body of any shape that the fleet's
// devices can have become.
func numbers(body any) []uint64 {
	switch v := body.(type) {
	case map[string]any:
		return inObject(v)
	case []any:
		return inArray(v)
	case string:
		return inText(v)
	}
	return nil
}

// inObject: a meter's or line's "seq", a tracker's element in "io", or one of the
// wrappers around them.
func inObject(object map[string]any) []uint64 {
	var inner any
	for name, value := range object {
		switch plain(name) {
		case "seq", "sequence", "totalodometer", "avl16", "16", "column2", "field2":
			if n, ok := number(value); ok {
				return []uint64{n}
			}
		case "io", "records", "values", "fields", "columns", "elements", "data", "payload":
			if inner == nil {
				inner = value
			}
		}
	}
	return numbers(inner)
}

// inArray: records one after the other, or the columns of a line.
func inArray(list []any) []uint64 {
	var out []uint64
	for _, v := range list {
		if object, ok := v.(map[string]any); ok {
			out = append(out, inObject(object)...)
		}
	}
	if out == nil && len(list) > 1 {
		if n, ok := number(list[1]); ok {
			return []uint64{n}
		}
	}
	return out
}

// inText: JSON as text, a line as it was sent, or either in base64.
func inText(text string) []uint64 {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	if text[0] == '{' || text[0] == '[' {
		if v, err := decodeNumbers([]byte(text)); err == nil {
			return numbers(v)
		}
		return nil
	}
	if columns := strings.Split(text, ","); len(columns) > 1 {
		if n, ok := number(columns[1]); ok {
			return []uint64{n}
		}
		return nil
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) < len(text) {
		return inText(string(b))
	}
	return nil
}

// plain makes "Total Odometer", "totalOdometer" and "total_odometer" the same.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		}
		return -1
	}, name)
}

// number reads a number, a number as text, or an object with one under "value".
func number(v any) (uint64, bool) {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	case map[string]any:
		if inner, there := v["value"]; there {
			if _, nested := inner.(map[string]any); !nested {
				return number(inner)
			}
		}
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}
