package layout

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("layout.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("layout.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is a layout as the schema sees it.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	s := &source{}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.json(doc.Content[0], 0)))
	if err != nil || s.fault != nil {
		t.Fatal(err, s.fault)
	}
	return v
}

func TestTheSchemaTakesWhatTheCompilerTakes(t *testing.T) {
	s := compiledSchema(t)
	for _, name := range layouts {
		text, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownKeysAreRefusedByBoth(t *testing.T) {
	s := compiledSchema(t)
	for _, text := range []string{
		"layout: 1\nmessages: {a: {}}\ncolour: red",
		"layout: 1\nmessages: {a: {colour: red}}",
		"layout: 1\nmessages: {a: {fields: [{type: u8, colour: red}]}}",
		"layout: 1\nmessages: {a: {fields: [{colour: red}]}}",
		"layout: 1\nmessages: {a: {fields: [{value: 1, colour: red}]}}",
		"layout: 1\nmessages: {a: {fields: [{switch: 1, cases: {}, colour: red}]}}",
		"layout: 1\nmessages: {a: {fields: [{tlv: {tag: u8, colour: red}, cases: {}}]}}",
		"layout: 1\nmessages: {a: {fields: [{split: ',', fields: [{colour: red}]}]}}",
		"layout: 1\nmessages: {a: {fields: [{split: ',', fields: [{key: red}]}]}}",
		"layout: 1\nmessages: {a: {fields: [{pairs: {between: ',', colour: red}, fields: []}]}}",
		"layout: 1\nmessages: {a: {fields: [{name: x, repeat: end, colour: red}]}}",
		"layout: 1\nmessages: {a: {fields: [{name: x, fields: [], colour: red}]}}",
		"layout: 1\nmessages: {a: {login: {device: device, colour: red}}}",
		"layout: 1\nmessages: {a: {message: {colour: red}}}",
		"layout: 1\nmessages: {a: {message: {body: {x: {value: 1, colour: red}}}}}",
		"layout: 1\nmessages: {a: {reply: {raw: [{type: u8, value: 1, colour: red}]}}}",
		"layout: 1\nmessages: {a: {}}\nframe: {type: line, colour: red}",
		"layout: 1\nmessages: {a: {}}\nframe: {type: delimited, end: '7e', escape: {colour: red}}",
		"layout: 1\nmessages: {a: {}}\nenvelope: {parts: [body], colour: red}",
		"layout: 1\nmessages: {a: {}}\ncounters: {a: {colour: red}}",
		"layout: 1\nmessages: {a: {}}\nparameters: {a: {type: int, colour: red}}",
		"layout: 1\nmessages: {a: {}}\ncommands: {a: {send: {raw: '00'}, colour: red}}",
		"layout: 1\nmessages: {a: {}}\ncommands: {a: {send: {raw: '00'}, answer: {message: a, colour: red}}}",
		"layout: 1\nmessages: {a: {}}\nexamples: [{hex: '00', colour: red}]",
	} {
		_, err := Compile("x", []byte(text))
		if err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s\nthe compiler says %v", text, err)
		}
		if s.Validate(asJSON(t, []byte(text))) == nil {
			t.Errorf("%s\nthe schema takes it", text)
		}
	}
}

func TestSchemaAndCompilerKnowTheSameKeys(t *testing.T) {
	doc := asJSON(t, Schema()).(map[string]any)
	defs := doc["$defs"].(map[string]any)
	properties := func(def any) string {
		var names []string
		for name := range def.(map[string]any)["properties"].(map[string]any) {
			names = append(names, name)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	sorted := func(keys string) string {
		names := strings.Fields(keys)
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	for name, keys := range map[string]string{
		"column": keysOfColumn, "tlvHead": keysOfTLVHead, "pairMarks": keysOfPairMarks, "frame": keysOfFrame, "escape": keysOfEscape,
		"message": keysOfMessage, "login": keysOfLogin, "spec": keysOfSpec, "part": keysOfPart, "command": keysOfCommand,
		"answer": keysOfAnswer, "counter": keysOfCounter, "parameter": keysOfParameter, "envelope": keysOfEnvelope, "example": keysOfExample,
	} {
		if got, want := properties(defs[name]), sorted(keys); got != want {
			t.Errorf("%s has the keys\n%s in the schema\n%s in the compiler", name, got, want)
		}
	}
	if got, want := properties(doc), sorted(keysOfLayout); got != want {
		t.Errorf("the layout has the keys\n%s in the schema\n%s in the compiler", got, want)
	}
	var fields []string
	for _, variant := range defs["field"].(map[string]any)["oneOf"].([]any) {
		fields = append(fields, properties(variant))
	}
	for _, keys := range []string{
		keysOfTyped, keysOfValue, keysOfSwitch, keysOfTLV, keysOfCheck, keysOfSplit, keysOfPairs, keysOfMatch, keysOfRepeat, keysOfGroup,
	} {
		if !slices.Contains(fields, sorted(keys)) {
			t.Errorf("no kind of field of the schema has the keys %s", sorted(keys))
		}
	}
}
