package law

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/law/template"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// folder loads schemas of the public store from a folder of files.
type folder string

// Load maps http(s)://json.schemastore.org/<name>[.json] to <folder>/<name>.json.
func (f folder) Load(address string) (any, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Host != "json.schemastore.org" {
		return nil, fmt.Errorf("no schema at %s", address)
	}
	name := strings.TrimSuffix(path.Base(u.Path), ".json") + ".json"
	file, err := os.Open(filepath.Join(string(f), name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return jsonschema.UnmarshalJSON(file)
}

// schemas returns a compiler of the official schemas, and their folder. They are
// not part of the repository; false where they are not beside it.
func schemas(t *testing.T) (func(name string) *jsonschema.Schema, string, bool) {
	t.Helper()
	dir := filepath.Join(root(t), "..", "shared", "schemas")
	if _, err := os.Stat(dir); err != nil {
		t.Log("the official schemas are not beside the repository; the law \"deployments\" stands alone")
		return nil, "", false
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(folder(dir))
	return func(name string) *jsonschema.Schema {
		schema, err := compiler.Compile("https://json.schemastore.org/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		return schema
	}, dir, true
}

func TestTheTemplatesPassTheOfficialSchema(t *testing.T) {
	compile, _, ok := schemas(t)
	if !ok {
		return
	}
	for _, name := range []string{"deployment.template.json", "deployment.debug.template.json"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root(t), name))
			if err != nil {
				t.Fatal(err)
			}
			validate(t, compile("azure-iot-edge-deployment-template-4.0"), string(text))
		})
	}
}

func TestTheManifestsPassTheOfficialSchema(t *testing.T) {
	compile, _, ok := schemas(t)
	if !ok {
		return
	}
	for _, name := range []string{"deployment.template.json", "deployment.debug.template.json"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root(t), name))
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := template.Manifest(string(text), func(string) (string, bool) { return "", false })
			if err != nil {
				t.Fatal(err)
			}
			validate(t, compile("azure-iot-edge-deployment-2.0"), string(manifest))
		})
	}
}

// The store keeps a sample for each schema; a validator that refuses one of them,
// or that accepts an empty document, proves nothing about ours.
func TestTheValidatorAgreesWithTheStoresOwnSamples(t *testing.T) {
	compile, dir, ok := schemas(t)
	if !ok {
		return
	}
	samples, err := filepath.Glob(filepath.Join(dir, "tests", "*__*.json"))
	if err != nil || len(samples) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, sample := range samples {
		schema, _, _ := strings.Cut(filepath.Base(sample), "__")
		t.Run(filepath.Base(sample), func(t *testing.T) {
			text, err := os.ReadFile(sample)
			if err != nil {
				t.Fatal(err)
			}
			validate(t, compile(schema), strings.TrimPrefix(string(text), "\ufeff"))
			if compile(schema).Validate(map[string]any{"modulesContent": 1, "$edgeAgent": 1, "$edgeHub": 1}) == nil {
				t.Error("a document that is none is accepted")
			}
		})
	}
}

func validate(t *testing.T, schema *jsonschema.Schema, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	if !json.Valid([]byte(text)) {
		t.Error("not JSON")
	}
}
