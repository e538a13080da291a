package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxFields bounds the members that a stage sets or drops.
const maxFields = 64

// fields is the stage that chooses, renames and computes the members of a JSON object.
// What is not JSON passes.
type fields struct {
	set  []field
	drop map[string]bool
	keep bool
}

// field is one member that is computed.
type field struct {
	name string
	expr Expression
}

func parseFields(raw json.RawMessage, with Surroundings) (bodyStage, error) {
	s := struct {
		Type string            `json:"type"`
		Set  map[string]string `json:"set"`
		Drop []string          `json:"drop"`
		Keep bool              `json:"keep"`
	}{}
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	f := &fields{keep: s.Keep, drop: make(map[string]bool)}
	switch {
	case len(s.Set) > maxFields:
		return nil, codec.Optionf("/set", "has %d members, at most %d are allowed", len(s.Set), maxFields)
	case len(s.Drop) > maxFields:
		return nil, codec.Optionf("/drop", "has %d names, at most %d are allowed", len(s.Drop), maxFields)
	case len(s.Drop) > 0 && !s.Keep:
		return nil, codec.Optionf("/drop", `is for "keep": true: otherwise only what is set stays`)
	case len(s.Set) == 0 && len(s.Drop) == 0:
		return nil, codec.Optionf("", "changes nothing: give set or drop")
	}
	for _, name := range s.Drop {
		f.drop[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(s.Set)) { // so that equal messages are equal bytes
		e, err := with.Expression(s.Set[name])
		if err != nil {
			return nil, codec.Optionf("/set/"+escape(name), "%v", err)
		}
		f.set = append(f.set, field{name, e})
	}
	return f, nil
}

// escape writes a name as a reference token of RFC 6901.
func escape(name string) string {
	return string(bytes.ReplaceAll(bytes.ReplaceAll([]byte(name), []byte("~"), []byte("~0")), []byte("/"), []byte("~1")))
}

func (*fields) String() string { return "fields" }

func (*fields) takes(m *codec.Message) bool { return m.ContentType == jsonType }

func (*fields) mark(*codec.Message) {}

func (f *fields) change(dst []byte, m *codec.Message) ([]byte, error) {
	var body any
	if len(f.set) > 0 {
		if err := json.Unmarshal(m.Body, &body); err != nil {
			return dst, err
		}
	}
	out := append(dst, '{')
	var err error
	if f.keep {
		if out, err = f.kept(out, m.Body); err != nil {
			return dst, err
		}
	}
	for _, one := range f.set {
		v, err := one.expr.Value(m, body)
		if err != nil {
			return dst, fmt.Errorf("%s: %w", one.name, err)
		}
		if out, err = member(out, one.name); err != nil {
			return dst, err
		}
		if out, err = appendJSON(out, v); err != nil {
			return dst, fmt.Errorf("%s: %w", one.name, err)
		}
		out = append(out, ',')
	}
	if out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	return append(out, '}'), nil
}

// kept appends the members that stay, in their order and as they are written.
func (f *fields) kept(out, body []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil {
		return out, err
	} else if open != json.Delim('{') {
		return out, errors.New("not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return out, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return out, err
		}
		text, _ := name.(string) // the name of a member
		if f.drop[text] || f.sets(text) {
			continue
		}
		if out, err = member(out, text); err != nil {
			return out, err
		}
		out = append(append(out, value...), ',')
	}
	_, err := d.Token() // the end of the object
	return out, err
}

func (f *fields) sets(name string) bool {
	return slices.ContainsFunc(f.set, func(one field) bool { return one.name == name })
}

func member(out []byte, name string) ([]byte, error) {
	out, err := appendJSON(out, name)
	return append(out, ':'), err
}
