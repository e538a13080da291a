package manifest_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/manifest"
)

const template = `{
  "$schema-template": "4.0.0",
  "modulesContent": {
    "$edgeAgent": {"properties.desired": {"modules": {
      "causeway": {"type": "docker", "status": "running", "restartPolicy": "always",
        "env": {"A": {"value": "${SET}"}, "B": {"value": 5}},
        "settings": {"image": "${MODULES.causeway}", "createOptions": {"HostConfig": {"Memory": 1}}}},
      "other": {"type": "docker", "status": "stopped", "restartPolicy": "never",
        "settings": {"image": "x:$UNSET", "createOptions": "{\"Host", "createOptions01": "Config\":{}}"}}
    }}},
    "$edgeHub": {"properties.desired": {"routes": {
      "up": "FROM /* INTO $upstream",
      "alarms": {"route": "FROM /messages/* INTO $upstream", "priority": 0, "timeToLiveSecs": 60}
    }, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}},
    "causeway": {"properties.desired": {"listeners": {"a": {"bind": "tcp://:1"}}},
      "properties.desired.listeners.b": {"bind": "udp://:2"}, "properties.desired.log.level": "debug"}
  }
}`

func expand(name string) (string, bool) {
	values := map[string]string{"SET": "value", "MODULES.causeway": "image:1"}
	value, ok := values[name]
	return value, ok
}

func TestATemplateIsReadWhole(t *testing.T) {
	t.Parallel()
	m, err := manifest.Parse([]byte(template), expand)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Modules) != 2 || m.Modules[0].Image != "image:1" || m.Modules[0].Env["A"] != "value" || m.Modules[0].Env["B"] != "5" {
		t.Errorf("modules %+v", m.Modules)
	}
	if m.Modules[1].Image != "x:$UNSET" || string(m.Modules[1].CreateOptions) != `{"HostConfig":{}}` {
		t.Errorf("second module %+v", m.Modules[1])
	}
	if len(m.Routes) != 2 || *m.Routes[0].Priority != 0 || m.Routes[0].TimeToLiveSeconds != 60 || m.Routes[1].Text != "FROM /* INTO $upstream" {
		t.Errorf("routes %+v", m.Routes)
	}
	if m.TimeToLiveSeconds != 7200 {
		t.Errorf("time to live %d", m.TimeToLiveSeconds)
	}
	want := `{"listeners":{"a":{"bind":"tcp://:1"},"b":{"bind":"udp://:2"}},"log":{"level":"debug"}}`
	if got := string(m.Desired["causeway"]); got != want {
		t.Errorf("desired %s, want %s", got, want)
	}
}

func TestOlderAndLayeredFormsAreRead(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"the old name":        `{"moduleContent":{"m":{"properties.desired":{"a":1}}}}`,
		"a layer":             `{"content":{"modulesContent":{"m":{"properties.desired.a":1}}}}`,
		"nested properties":   `{"modulesContent":{"m":{"properties":{"desired":{"a":1}}}}}`,
		"a byte order mark":   "\xef\xbb\xbf" + `{"modulesContent":{"m":{"properties.desired":{"a":1}}}}`,
		"a layer of an agent": `{"content":{"modulesContent":{"$edgeAgent":{"properties.desired.modules.x":null},"m":{"properties.desired.a":1}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := manifest.Parse([]byte(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.Desired["m"]); got != `{"a":1}` {
				t.Fatalf("desired %s", got)
			}
		})
	}
}

func TestErrorsNameThePath(t *testing.T) {
	t.Parallel()
	agent := func(module string) string {
		return `{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":{"m":` + module + `}}}}}`
	}
	hub := func(desired string) string {
		return `{"modulesContent":{"$edgeHub":{"properties.desired":` + desired + `}}}`
	}
	cases := []struct{ name, text, path string }{
		{"text that is no JSON", `{`, "not JSON"},
		{"an array", `[]`, "$ must be an object"},
		{"no content", `{}`, "modulesContent"},
		{"a module that is no object", agent(`1`), "$.modulesContent.$edgeAgent.properties.desired.modules.m"},
		{"a module without settings", agent(`{"type":"docker"}`), "modules.m.settings"},
		{"a module without an image", agent(`{"type":"docker","status":"running","restartPolicy":"always","settings":{}}`), "modules.m.settings.image"},
		{"an unknown policy", agent(`{"type":"docker","status":"running","restartPolicy":"x","settings":{"image":"i"}}`), "modules.m.restartPolicy"},
		{"broken createOptions", agent(`{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"i","createOptions":"{"}}`), "modules.m.settings.createOptions"},
		{"an Env that is no list", agent(`{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"i","createOptions":{"Env":"A=b"}}}`), "settings.createOptions.Env"},
		{"a variable without value", agent(`{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"i"},"env":{"A":{}}}`), "modules.m.env.A.value"},
		{"a priority over 9", hub(`{"routes":{"r":{"route":"x","priority":10}}}`), "properties.desired.routes.r.priority"},
		{"an unknown schema", hub(`{"schemaVersion":"1.4"}`), "properties.desired.schemaVersion"},
		{"an object in schema 1.0", hub(`{"schemaVersion":"1.0","routes":{"r":{"route":"x"}}}`), "properties.desired.routes.r"},
		{"a route that is a number", hub(`{"routes":{"r":1}}`), "properties.desired.routes.r"},
		{"a route's name with a dot", hub(`{"routes":{"a.b":"x"}}`), "properties.desired.routes.a.b"},
		{"a store that is text", hub(`{"storeAndForwardConfiguration":{"timeToLiveSecs":"x"}}`), "storeAndForwardConfiguration.timeToLiveSecs"},
		{"an empty layer name", `{"modulesContent":{"m":{"properties.desired.a..b":1}}}`, "properties.desired.a..b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.Parse([]byte(c.text), nil)
			if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), c.path) {
				t.Fatalf("got %v, want it to name %q", err, c.path)
			}
		})
	}
}

// TestPublishedSamplesAreRead reads the schema store's samples where they are at hand.
func TestPublishedSamplesAreRead(t *testing.T) {
	t.Parallel()
	folder := sharedFolder(t)
	files, _ := filepath.Glob(filepath.Join(folder, "schemas/tests/azure-iot-edge-deployment-*.json"))
	if len(files) == 0 {
		t.Log("no samples beside the repository")
		return
	}
	for _, file := range files {
		m, err := manifest.Read(file, expand)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if len(m.Modules)+len(m.Routes)+len(m.Desired) == 0 && !strings.Contains(file, "runtime_only") {
			t.Errorf("%s: nothing was found in it", filepath.Base(file))
		}
	}
}

// sharedFolder is ../shared beside the folder that holds go.work.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return filepath.Join(dir, "..", "shared")
		}
	}
	return "/nonexistent"
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(template))
	f.Add([]byte(`{"content":{"modulesContent":{"m":{"properties.desired.a.b":{"c":null}}}}}`))
	f.Add([]byte(`{"modulesContent":{"$edgeHub":{"properties.desired":{"routes":{"a":{"route":"","priority":-1}}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := manifest.Parse(data, expand)
		if err != nil {
			if !errors.Is(err, manifest.ErrInvalid) {
				t.Fatalf("error is no ErrInvalid: %v", err)
			}
			return
		}
		for name, desired := range m.Desired {
			if !json.Valid(desired) {
				t.Fatalf("desired of %s is not JSON: %s", name, desired)
			}
		}
	})
}
