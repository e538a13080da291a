package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
)

// node is a decoded value with the path by which errors name it.
type node struct {
	path  string
	value any
}

func decode(data []byte) (node, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	dec.UseNumber()
	root := node{path: "$"}
	if err := dec.Decode(&root.value); err != nil {
		return node{}, fmt.Errorf("%w: not JSON at byte %d: %w", ErrInvalid, dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, fmt.Errorf("%w: more text follows the JSON at byte %d", ErrInvalid, dec.InputOffset())
	}
	return root, root.object()
}

func (n node) object() error {
	if _, ok := n.value.(map[string]any); !ok {
		return fmt.Errorf("%w: %s must be an object", ErrInvalid, n.path)
	}
	return nil
}

func (n node) child(name string) (node, bool) {
	object, _ := n.value.(map[string]any)
	value, ok := object[name]
	return node{path: n.path + "." + name, value: value}, ok
}

func (n node) keys() []string {
	object, _ := n.value.(map[string]any)
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// text returns a string child; a missing one is empty unless it is required.
func (n node) text(name string, required bool) (string, error) {
	inner, ok := n.child(name)
	if !ok && !required {
		return "", nil
	}
	text, isText := inner.value.(string)
	if !isText || required && text == "" {
		return "", fmt.Errorf("%w: %s must be a string", ErrInvalid, inner.path)
	}
	return text, nil
}

// integer returns a whole number child between least and most.
func (n node) integer(name string, least, most int64) (value int64, found bool, err error) {
	inner, ok := n.child(name)
	if !ok || inner.value == nil {
		return 0, false, nil
	}
	number, _ := inner.value.(json.Number)
	value, err = number.Int64()
	if err != nil || value < least || value > most {
		return 0, false, fmt.Errorf("%w: %s is %v, it must be a whole number from %d to %d",
			ErrInvalid, inner.path, inner.value, least, most)
	}
	return value, true, nil
}

// expandStrings replaces ${NAME} in every string for which expand has a value.
func expandStrings(value any, expand func(string) (string, bool)) {
	if expand == nil {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok {
				v[key] = expandString(text, expand)
			} else {
				expandStrings(inner, expand)
			}
		}
	case []any:
		for i, inner := range v {
			if text, ok := inner.(string); ok {
				v[i] = expandString(text, expand)
			} else {
				expandStrings(inner, expand)
			}
		}
	}
}

// placeholder is ${NAME} or $NAME, as the tools read them; NAME may hold dots, as in
// MODULES.causeway.amd64, and a path in angle brackets, as in MODULEDIR<./x>, in braces only.
var placeholder = regexp.MustCompile(`\$\{[^{}\s]+\}|\$[A-Za-z_][A-Za-z0-9_]*`)

func expandString(text string, expand func(string) (string, bool)) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		name := match[1:]
		if name[0] == '{' {
			name = name[1 : len(name)-1]
		}
		if value, ok := expand(name); ok {
			return value
		}
		return match
	})
}
