package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parameter is a value that an option or the payload of a command gives.
type parameter struct {
	name     string
	kind     string // int, number, text, bool
	f        *field
	min, max float64
	oneOf    []string
	fallback json.RawMessage // nil where it has to be given
}

// maxText bounds a text that is given.
const maxText = 4096

// parameters reads the object that declares them, and puts their names in the present level.
func (c *compiler) parameters(n *yaml.Node, what string) []parameter {
	const most = 64
	entries := c.entries(n, what)
	if len(entries) > most {
		c.fail(n, "%s: has %d members, at most %d are allowed", what, len(entries), most)
	}
	var all []parameter
	for _, e := range entries {
		o := c.object(e.value, e.name, keysOfParameter)
		if c.fault != nil {
			return nil
		}
		p := parameter{name: c.name(e.key, what), min: -math.MaxInt64, max: math.MaxInt64}
		if !o.has("type") {
			c.fail(e.value, "%s: type is missing, want int, number, text or bool", e.name)
			return nil
		}
		p.kind = c.oneOf(o.get("type"), "type", "int number text bool")
		p.f = &field{name: p.name, slot: c.l.slots, decimals: -1, wanted: new(bool)}
		p.f.typ = map[string]typ{"int": typeInt, "number": typeFloat, "text": typeText, "bool": typeBool}[p.kind]
		p.f.form = map[string]form{"int": formInt, "number": formFloat, "text": formText, "bool": formBool}[p.kind]
		c.register(e.key, p.f)
		if n := o.get("min"); n != nil {
			p.min = c.bound(n, "min")
		}
		if n := o.get("max"); n != nil {
			p.max = c.bound(n, "max")
		}
		if n := o.get("one_of"); n != nil {
			for _, v := range c.list(n, "one_of", maxList) {
				p.oneOf = append(p.oneOf, c.text(v, "one_of"))
			}
		}
		if n := o.get("default"); n != nil {
			p.fallback = c.json(n, 0)
			if _, err := p.parse(p.fallback); err != nil {
				c.fail(n, "default: %v", err)
			}
		}
		all = append(all, p)
	}
	return all
}

func (c *compiler) bound(n *yaml.Node, what string) float64 {
	f, ok := float([]byte(n.Value))
	if n.Kind != yaml.ScalarNode || !ok {
		c.fail(n, "%s: got %s, want a number", what, shown(n))
	}
	return f
}

// parse reads a value. The error says what is allowed.
func (p *parameter) parse(raw json.RawMessage) (cell, error) {
	v := cell{def: p.f}
	ok := true
	switch p.kind {
	case "int":
		ok = json.Unmarshal(raw, &v.n) == nil
		v.f = float64(v.n)
	case "number":
		ok = json.Unmarshal(raw, &v.f) == nil
	case "bool":
		var b bool
		if ok = json.Unmarshal(raw, &b) == nil; b {
			v.n = 1
		}
	default:
		var text string
		ok = json.Unmarshal(raw, &text) == nil && len(text) <= maxText
		v.b, v.f = []byte(text), float64(len(text))
	}
	switch {
	case !ok || string(raw) == "null":
		return v, fmt.Errorf("got %.40s, want %s", raw, map[string]string{
			"int": "an integer", "number": "a number", "bool": "true or false", "text": "text",
		}[p.kind])
	case p.kind != "bool" && (v.f < p.min || v.f > p.max):
		unit := ""
		if p.kind == "text" {
			unit = " bytes"
		}
		return v, fmt.Errorf("got %.40s, allowed are %v to %v%s", raw, p.min, p.max, unit)
	case len(p.oneOf) > 0 && !slices.Contains(p.oneOf, string(v.appendPlain(nil))):
		return v, fmt.Errorf("got %.40s, allowed are %s", raw, strings.Join(p.oneOf, ", "))
	}
	return v, nil
}

// fault is what is wrong with a given value.
type fault struct{ name, reason string }

// fill reads the members of an object into the cells of the parameters.
func fill(all []parameter, object json.RawMessage, cells []cell) *fault {
	var given map[string]json.RawMessage
	if len(object) > 0 && string(object) != "null" {
		if err := json.Unmarshal(object, &given); err != nil {
			return &fault{"", fmt.Sprintf("got %.40s, want an object", object)}
		}
	}
	for i := range all {
		p := &all[i]
		raw, ok := given[p.name]
		delete(given, p.name)
		if !ok {
			raw = p.fallback
		}
		if raw == nil {
			return &fault{p.name, "is missing"}
		}
		v, err := p.parse(raw)
		if err != nil {
			return &fault{p.name, err.Error()}
		}
		cells[p.f.slot] = v
	}
	for name := range given {
		return &fault{name, "unknown, known are " + parameterNames(all)}
	}
	return nil
}

func parameterNames(all []parameter) string {
	if len(all) == 0 {
		return "none"
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].name
	}
	return strings.Join(names, ", ")
}

// error is the fault as an error of a command.
func (f *fault) error() error {
	if f.name == "" {
		return errors.New("payload: " + f.reason)
	}
	return errors.New("payload: " + f.name + ": " + f.reason)
}
