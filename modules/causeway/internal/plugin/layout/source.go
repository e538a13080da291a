package layout

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error says what is wrong with a layout, and where in its source.
type Error struct {
	// Layout is the name that Compile was given.
	Layout string
	// Line and Column count from 1.
	Line, Column int
	// Reason names the value and what is allowed.
	Reason string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("layout %s:%d:%d: %s", e.Layout, e.Line, e.Column, e.Reason)
}

const (
	// maxSource is eight times what the twin can hold, and far above any protocol.
	maxSource = 256 << 10
	// maxNodes bounds what aliases of YAML can make of a source: each use counts.
	maxNodes = 50_000
)

// source reads the tree of a layout. The first fault is kept and everything after
// it is read as if it were right, so that the compiler needs no error paths.
type source struct {
	name  string
	fault *Error
	nodes int
}

// fail keeps the fault, if it is the first.
func (s *source) fail(n *yaml.Node, format string, args ...any) {
	if s.fault == nil {
		s.fault = &Error{Layout: s.name, Line: 1, Column: 1, Reason: fmt.Sprintf(format, args...)}
		if n != nil && n.Line > 0 {
			s.fault.Line, s.fault.Column = n.Line, n.Column
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// parse returns the root of the document, or nil.
func (s *source) parse(text []byte) *yaml.Node {
	if len(text) > maxSource {
		s.fail(nil, "has %d bytes, at most %d are allowed", len(text), maxSource)
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		at := yaml.Node{Line: 1, Column: 1}
		reason := err.Error()
		if m := yamlLine.FindStringSubmatch(reason); m != nil {
			reason = m[2]
			if line, err := strconv.Atoi(m[1]); err == nil {
				at.Line = line
			}
		}
		s.fail(&at, "not YAML: %s", reason)
		return nil
	}
	if len(doc.Content) == 0 {
		s.fail(nil, "is empty")
		return nil
	}
	return s.follow(doc.Content[0])
}

// follow leads an alias to what it stands for.
func (s *source) follow(n *yaml.Node) *yaml.Node {
	if s.nodes++; s.nodes > maxNodes {
		s.fail(n, "more than %d values, with what aliases repeat", maxNodes)
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
	}
	for hops := 0; n.Kind == yaml.AliasNode && n.Alias != nil; hops++ {
		n = n.Alias
	}
	return n
}

// entry is one member of an object.
type entry struct {
	key   *yaml.Node
	name  string
	value *yaml.Node
}

// entries returns the members of an object in the order written.
func (s *source) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		s.fail(n, "%s: got %s, want an object", what, shown(n))
		return nil
	}
	list := make([]entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && s.fault == nil; i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			s.fail(key, "%s: a key is text", what)
			return nil
		}
		if slices.ContainsFunc(list, func(e entry) bool { return e.name == key.Value }) {
			s.fail(key, "%s: %q is given twice", what, key.Value)
		}
		list = append(list, entry{key, key.Value, s.follow(n.Content[i+1])})
	}
	return list
}

// object is the members of an object by their names.
type object struct {
	at      *yaml.Node
	what    string
	members map[string]*yaml.Node
}

// object reads an object that may have the keys, separated by spaces, and no other.
func (s *source) object(n *yaml.Node, what, keys string) object {
	o := object{n, what, map[string]*yaml.Node{}}
	known := strings.Fields(keys)
	for _, e := range s.entries(n, what) {
		if !slices.Contains(known, e.name) {
			s.fail(e.key, "%s: unknown key %q, known are %s", what, e.name, strings.Join(known, ", "))
		}
		o.members[e.name] = e.value
	}
	return o
}

// has reports whether the key is given.
func (o object) has(key string) bool { return o.members[key] != nil }

// get returns the value of a key, or nil.
func (o object) get(key string) *yaml.Node { return o.members[key] }

// list returns the elements of a list.
func (s *source) list(n *yaml.Node, what string, most int) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		s.fail(n, "%s: got %s, want a list", what, shown(n))
		return nil
	}
	if len(n.Content) > most {
		s.fail(n, "%s: has %d elements, at most %d are allowed", what, len(n.Content), most)
		return nil
	}
	all := make([]*yaml.Node, len(n.Content))
	for i, e := range n.Content {
		all[i] = s.follow(e)
	}
	return all
}

// text returns a scalar as it is written.
func (s *source) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		s.fail(n, "%s: got %s, want text", what, shown(n))
		return ""
	}
	return n.Value
}

// oneOf returns a scalar that is one of the words, separated by spaces.
func (s *source) oneOf(n *yaml.Node, what, words string) string {
	text := s.text(n, what)
	if all := strings.Fields(words); !slices.Contains(all, text) {
		s.fail(n, "%s: got %q, allowed are %s", what, text, strings.Join(all, ", "))
		return all[0]
	}
	return text
}

func (s *source) integer(n *yaml.Node, what string, least, most int64) int64 {
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
		s.fail(n, "%s: got %s, want an integer from %d to %d", what, shown(n), least, most)
		return least
	}
	return v
}

func (s *source) boolean(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		s.fail(n, "%s: got %s, want true or false", what, shown(n))
	}
	return n.Value == "true"
}

func (s *source) hex(n *yaml.Node, what string, least, most int) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(n.Value, " ", ""))
	if n.Kind != yaml.ScalarNode || err != nil || len(b) < least || len(b) > most {
		s.fail(n, "%s: got %s, want %d to %d bytes in hexadecimal", what, shown(n), least, most)
		return make([]byte, least)
	}
	return b
}

// shown is a value as an error shows it.
func shown(n *yaml.Node) string {
	const most = 40
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
	}
	if len(n.Value) > most {
		return strconv.Quote(n.Value[:most]) + "..."
	}
	return strconv.Quote(n.Value)
}

// maxDepth bounds how deep values stand in each other, in a layout and in its examples.
const maxDepth = 32

// json writes a value as JSON, numbers as they are written.
func (s *source) json(n *yaml.Node, depth int) json.RawMessage {
	n = s.follow(n)
	if depth > maxDepth || s.fault != nil {
		s.fail(n, "values stand more than %d deep in each other", maxDepth)
		return json.RawMessage("null")
	}
	var out []byte
	switch n.Kind {
	case yaml.MappingNode:
		out = append(out, '{')
		for i, e := range s.entries(n, "example") {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(append(out, quoted(e.name)...), ':')
			out = append(out, s.json(e.value, depth+1)...)
		}
		return append(out, '}')
	case yaml.SequenceNode:
		out = append(out, '[')
		for i, e := range n.Content {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, s.json(e, depth+1)...)
		}
		return append(out, ']')
	}
	switch n.Tag {
	case "!!int", "!!float", "!!bool", "!!null":
		if json.Valid([]byte(n.Value)) {
			return json.RawMessage(n.Value)
		}
	}
	return quoted(n.Value)
}
