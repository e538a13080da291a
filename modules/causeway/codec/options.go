package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// OptionError says which option is wrong. Pointer is a JSON pointer relative to
// the options object (empty for the object itself), so that whoever knows where
// the options stand can prefix it.
type OptionError struct{ Pointer, Reason string }

// Error implements error.
func (e *OptionError) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return e.Pointer + ": " + e.Reason
}

// Optionf makes an OptionError; factories use it for values out of range.
func Optionf(pointer, format string, args ...any) error {
	return &OptionError{Pointer: pointer, Reason: fmt.Sprintf(format, args...)}
}

// DecodeOptions decodes options into the struct that v points to. Absent and null
// fields keep the value that v already has, so that defaults are set before.
// Unknown names (the case of letters counts), names given twice, wrong types and
// trailing data are errors of type [*OptionError]. Fields need a json tag.
func DecodeOptions(options json.RawMessage, v any) error {
	options = bytes.TrimSpace(options)
	if len(options) == 0 {
		return nil
	}
	if !json.Valid(options) {
		var ignored any
		return &OptionError{Reason: fmt.Sprintf("not JSON: %v", json.Unmarshal(options, &ignored))}
	}
	return decodeOption("", options, reflect.ValueOf(v).Elem())
}

func decodeOption(at string, raw json.RawMessage, v reflect.Value) error {
	if string(raw) == "null" {
		return nil
	}
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		err := u.UnmarshalJSON(raw)
		if inner, ok := errors.AsType[*OptionError](err); ok {
			return &OptionError{Pointer: at + inner.Pointer, Reason: inner.Reason}
		}
		if err != nil {
			return &OptionError{Pointer: at, Reason: err.Error()}
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeOption(at, raw, v.Elem())
	case reflect.Struct:
		return decodeOptionFields(at, raw, v)
	case reflect.Map:
		return decodeOptionMap(at, raw, v)
	case reflect.Slice:
		return decodeOptionList(at, raw, v)
	default:
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			return wrongType(at, raw, kindName(v.Type()))
		}
		return nil
	}
}

func decodeOptionFields(at string, raw json.RawMessage, v reflect.Value) error {
	fields := map[string]reflect.Value{}
	var known []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name], known = v.Field(i), append(known, name)
	}
	return eachMember(at, raw, func(name, at string, value json.RawMessage) error {
		field, ok := fields[name]
		if !ok {
			return Optionf(at, "unknown field, known are %s", strings.Join(known, ", "))
		}
		return decodeOption(at, value, field)
	})
}

func decodeOptionMap(at string, raw json.RawMessage, v reflect.Value) error {
	m := reflect.MakeMap(v.Type())
	err := eachMember(at, raw, func(name, at string, value json.RawMessage) error {
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := decodeOption(at, value, elem); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), elem)
		return nil
	})
	v.Set(m)
	return err
}

func decodeOptionList(at string, raw json.RawMessage, v reflect.Value) error {
	var values []json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return wrongType(at, raw, "array")
	}
	list := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i, value := range values {
		if err := decodeOption(at+"/"+strconv.Itoa(i), value, list.Index(i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// eachMember calls f for the members of a JSON object in the order written.
func eachMember(at string, raw json.RawMessage, f func(name, at string, value json.RawMessage) error) error {
	if raw[0] != '{' {
		return wrongType(at, raw, "object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return Optionf(at, "not JSON: %v", err)
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return Optionf(at, "not JSON: %v", err)
		}
		name, _ := token.(string) // the name of a member of valid JSON
		member := at + "/" + pointerEscaper.Replace(name)
		if seen[name] {
			return Optionf(member, "given twice")
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return Optionf(member, "not JSON: %v", err)
		}
		if err := f(name, member, value); err != nil {
			return err
		}
	}
	return nil
}

// pointerEscaper writes a member's name as a reference token of RFC 6901.
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func wrongType(at string, raw json.RawMessage, want string) error {
	const most = 40 // enough to know the value by in the configuration
	shown := string(raw)
	if len(shown) > most {
		shown = shown[:most] + "..."
	}
	return Optionf(at, "got %s, want %s", shown, want)
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer of 0 or more"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "integer"
	default:
		return t.String()
	}
}

// OptionBytes is an option that holds bytes: text ("OK"), or an object with
// hexadecimal ({"hex": "06"}).
type OptionBytes []byte

// maxOptionBytes bounds what a codec answers with each time.
const maxOptionBytes = 1024

// UnmarshalJSON implements json.Unmarshaler.
func (b *OptionBytes) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*b = OptionBytes(text)
	} else {
		var s struct {
			Hex *string `json:"hex"`
		}
		if raw[0] != '{' {
			return wrongType("", raw, `text or {"hex": "..."}`)
		}
		if err := DecodeOptions(raw, &s); err != nil {
			return err
		}
		if s.Hex == nil {
			return Optionf("/hex", "is missing")
		}
		decoded, err := hex.DecodeString(*s.Hex)
		if err != nil {
			return Optionf("/hex", "got %q, want bytes in hexadecimal", *s.Hex)
		}
		*b = decoded
	}
	if len(*b) > maxOptionBytes {
		return Optionf("", "has %d bytes, at most %d are allowed", len(*b), maxOptionBytes)
	}
	*b = (*b)[:len(*b):len(*b)] // so that whoever appends to it makes a copy
	return nil
}
