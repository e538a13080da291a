package teltonika

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// parameter is one configuration value that a device shall have.
type parameter struct {
	id   uint64
	text string
	// asked is the JSON value of the twin; it is reported when the device confirms.
	asked json.RawMessage
}

// parseDesired reads {"2001": "internet", "1000": 60} into parameters in
// ascending order of id.
func parseDesired(payload json.RawMessage) ([]parameter, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(payload, &object); err != nil || object == nil {
		return nil, fmt.Errorf(`teltonika: desired %.40q, allowed is an object like {"2001": "internet"}: %w`,
			payload, codec.ErrBadCommand)
	}
	list := make([]parameter, 0, len(object))
	for key, raw := range object {
		id, err := strconv.ParseUint(key, 10, 32)
		if err != nil || key != strconv.FormatUint(id, 10) {
			return nil, fmt.Errorf("teltonika: desired parameter %q, allowed are numeric ids: %w", key, codec.ErrBadCommand)
		}
		var value scalar
		if err := value.UnmarshalJSON(bytes.TrimSpace(raw)); err != nil {
			return nil, fmt.Errorf("teltonika: desired %s: %w: %w", key, err, codec.ErrBadCommand)
		}
		if !printable(string(value)) || strings.ContainsRune(string(value), ';') {
			return nil, fmt.Errorf("teltonika: desired %s: value %q, allowed is printable ASCII without ';': %w",
				key, value, codec.ErrBadCommand)
		}
		list = append(list, parameter{id: id, text: string(value), asked: bytes.Clone(raw)})
	}
	slices.SortFunc(list, func(a, b parameter) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return list, nil
}

// setparam writes the command that sets the parameters.
func setparam(list []parameter) string {
	var b strings.Builder
	b.WriteString("setparam ")
	for i, p := range list {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(strconv.FormatUint(p.id, 10))
		b.WriteByte(':')
		b.WriteString(p.text)
	}
	return b.String()
}

// confirmed returns the object of the values that the answer confirms. A value
// that the device reports otherwise than asked is reported as the device's text.
// An answer that names no parameter confirms all of them when it is a plain
// success, and is a refusal when not.
func confirmed(asked []parameter, answer string) (json.RawMessage, error) {
	object := make(map[string]json.RawMessage, len(asked))
	for _, p := range asked {
		key := strconv.FormatUint(p.id, 10)
		value, named := reported(answer, key)
		switch {
		case !named:
		case value == p.text:
			object[key] = p.asked
		default:
			object[key] = appendString(nil, value)
		}
	}
	if len(object) == 0 {
		if !success(answer) {
			return nil, fmt.Errorf("teltonika: the device answered %q", answer)
		}
		for _, p := range asked {
			object[strconv.FormatUint(p.id, 10)] = p.asked
		}
	}
	return json.Marshal(object)
}

// reported finds the value of a parameter in an answer. Firmwares write
// "Param ID:2001 Value:internet", "Param ID:2001 New Text:internet" or
// "New value 2001:internet;2002:user".
func reported(answer, id string) (value string, named bool) {
	for at := 0; ; {
		i := strings.Index(answer[at:], id)
		if i < 0 {
			return "", false
		}
		begin, end := at+i, at+i+len(id)
		at = end
		if begin > 0 && !strings.ContainsRune(" :;,\t\r\n", rune(answer[begin-1])) || end == len(answer) {
			continue
		}
		rest := answer[end:]
		switch {
		case rest[0] == ':':
			return valueOf(rest[1:]), true
		case rest[0] == ' ':
			if _, after, ok := strings.Cut(rest, ":"); ok && label(rest) {
				return valueOf(after), true
			}
		}
	}
}

// label reports whether what stands before the colon is a word for a value.
func label(rest string) bool {
	word, _, _ := strings.Cut(rest, ":")
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "value", "val", "text", "new value", "new val", "new text":
		return true
	}
	return false
}

// valueOf cuts a value where the next parameter or line begins.
func valueOf(s string) string {
	if i := strings.IndexAny(s, ";\r\n\x00"); i >= 0 {
		s = s[:i]
	}
	if i := strings.Index(s, "Param ID:"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

// success reports whether an answer says yes and nothing else.
func success(answer string) bool {
	switch strings.ToLower(strings.Trim(answer, " .!\t\r\n\x00")) {
	case "ok", "done", "success", "successful":
		return true
	}
	return false
}
