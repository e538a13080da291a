package config

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed schema.json
var schemaText []byte

// Schema returns the JSON Schema (2020-12) of the twin document, for editors and
// for whoever wants to check a document elsewhere.
func Schema() []byte { return bytes.Clone(schemaText) }

// schema is the schema twice: compiled, and as it is written, for the defaults and
// for messages that say what is allowed.
type schema struct {
	compiled *jsonschema.Schema
	root     map[string]any
}

// loadSchema compiles the embedded schema once: it is a read-only table that
// costs milliseconds to make.
//
//nolint:gochecknoglobals // a read-only table, made on first use
var loadSchema = sync.OnceValues(compileSchema)

func compileSchema() (*schema, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		return nil, err
	}
	root, ok := parsed.(map[string]any)
	if !ok {
		return nil, errors.New("is not an object")
	}
	const url = "causeway:twin"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(url, parsed); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(url)
	if err != nil {
		return nil, err
	}
	return &schema{compiled: compiled, root: root}, nil
}

// resolve follows $ref, merging what is written beside it.
func (s *schema) resolve(node map[string]any) map[string]any {
	ref, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	defs := member(s.root, "$defs")
	merged := maps.Clone(member(defs, strings.TrimPrefix(ref, "#/$defs/")))
	if merged == nil {
		merged = make(map[string]any)
	}
	maps.Copy(merged, node)
	return merged
}

// child is the schema of one member or element; nil where anything may stand.
func (s *schema) child(node map[string]any, key string) map[string]any {
	if sub := member(member(node, "properties"), key); sub != nil {
		return s.resolve(sub)
	}
	for _, keyword := range []string{"additionalProperties", "items"} {
		if sub := member(node, keyword); sub != nil {
			return s.resolve(sub)
		}
	}
	return nil
}

func (s *schema) at(location []string) map[string]any {
	node := s.root
	for _, key := range location {
		if node = s.child(node, key); node == nil {
			return nil
		}
	}
	return node
}

// complete fills in the defaults of a valid value, in place, and writes integers
// as such (1e3 and 1000.0 are integers to JSON Schema, not to encoding/json).
func (s *schema) complete(node, object map[string]any) {
	for key, sub := range member2(node, "properties") {
		if _, present := object[key]; present {
			continue
		}
		if fallback, ok := s.resolve(sub)["default"]; ok {
			object[key] = clone(fallback)
		}
	}
	for key, value := range object {
		sub := s.child(node, key)
		if sub == nil {
			continue
		}
		switch value := value.(type) {
		case map[string]any:
			s.complete(sub, value)
		case json.Number:
			if sub["type"] == "integer" {
				f, _ := value.Float64() // within the schema's bounds, so exact
				object[key] = json.Number(strconv.FormatInt(int64(f), 10))
			}
		}
	}
}

// validate returns one fault for each place where the tree does not fit.
func (s *schema) validate(tree map[string]any) []Fault {
	err := s.compiled.Validate(tree)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []Fault{{Message: err.Error()}}
	}
	return s.collect(invalid, tree, nil)
}

func (s *schema) collect(e *jsonschema.ValidationError, tree any, faults []Fault) []Fault {
	if k, ok := e.ErrorKind.(*kind.PropertyNames); ok {
		names := s.resolve(member(s.at(e.InstanceLocation), "propertyNames"))
		return append(faults, Fault{
			Pointer(append(slices.Clone(e.InstanceLocation), k.Property)...),
			fmt.Sprintf("has key %q, %v", short(k.Property), names["patternErrorMessage"]),
		})
	}
	if k, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		allowed := slices.Sorted(maps.Keys(member(s.at(e.InstanceLocation), "properties")))
		for _, name := range k.Properties {
			faults = append(faults, Fault{
				Pointer(append(slices.Clone(e.InstanceLocation), name)...),
				"unknown key, allowed are " + strings.Join(allowed, ", "),
			})
		}
		return faults
	}
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			faults = s.collect(cause, tree, faults)
		}
		return faults
	}
	value := valueAt(tree, e.InstanceLocation)
	return append(faults, Fault{Pointer(e.InstanceLocation...), s.explain(e, value)})
}

// explain says what the value is and what is allowed.
func (s *schema) explain(e *jsonschema.ValidationError, value any) string {
	node := s.at(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("is %s, must be %s", kindOf(value), withArticle(strings.Join(k.Want, " or ")))
	case *kind.Enum:
		allowed := make([]string, 0, len(k.Want))
		for _, want := range k.Want {
			allowed = append(allowed, fmt.Sprint(want))
		}
		return fmt.Sprintf("is %s, must be one of %s", short(string(encode(value))), strings.Join(allowed, ", "))
	case *kind.Minimum, *kind.Maximum:
		return fmt.Sprintf("is %s, must be from %v to %v", short(string(encode(value))),
			node["minimum"], node["maximum"])
	case *kind.Pattern:
		if node["writeOnly"] == true { // a secret
			return fmt.Sprint(node["patternErrorMessage"])
		}
		return fmt.Sprintf("is %s, %v", short(string(encode(value))), node["patternErrorMessage"])
	case *kind.Required:
		return "has no " + strings.Join(k.Missing, ", no ") + ", which must be there"
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d members, must have at most %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d elements, must have at most %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, must have at most %d", k.Got, k.Want)
	case *kind.MinLength:
		return "is empty, must not be"
	default:
		return k.LocalizedString(message.NewPrinter(language.English))
	}
}

func withArticle(noun string) string {
	if strings.ContainsAny(noun[:1], "aeio") {
		return "an " + noun
	}
	return "a " + noun
}

func valueAt(value any, location []string) any {
	for _, key := range location {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func member(object map[string]any, key string) map[string]any {
	m, _ := object[key].(map[string]any)
	return m
}

// member2 is a map of objects, as "properties" is.
func member2(object map[string]any, key string) map[string]map[string]any {
	out := make(map[string]map[string]any)
	for name := range member(object, key) {
		out[name] = member(member(object, key), name)
	}
	return out
}

// clone copies a default, which is a scalar, {} or [].
func clone(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return maps.Clone(value)
	case []any:
		return slices.Clone(value)
	default:
		return value
	}
}
