package manifest_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/manifest"
)

const baseDeployment = `{"modulesContent":{
	"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","modules":{
		"m":{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"m:1",
			"createOptions":"{\"Env\":[\"A=low\",\"B=x=y\",\"bare\"]}"},"env":{"A":{"value":"high"}}},
		"old":{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"old:1"}}}}},
	"$edgeHub":{"properties.desired":{"schemaVersion":"1.1","routes":{"up":"FROM /* INTO $upstream","gone":"FROM /x INTO $upstream"},
		"storeAndForwardConfiguration":{"timeToLiveSecs":60}}},
	"m":{"properties.desired":{"a":{"b":1,"c":2},"d":3}}}}`

const layer = `{"content":{"modulesContent":{
	"$edgeAgent":{"properties.desired.modules.new":{"type":"docker","status":"running","restartPolicy":"never",
		"settings":{"image":"new:1","createOptions":{"Env":["C=1"]}}},"properties.desired.modules.old":null},
	"$edgeHub":{"properties.desired.routes.more":{"route":"FROM /messages/modules/new/* INTO $upstream","priority":1},
		"properties.desired.routes.gone":null,"properties.desired.storeAndForwardConfiguration.timeToLiveSecs":90},
	"m":{"properties.desired.a.c":5,"properties.desired.e":{"f":6}},
	"new":{"properties.desired":{"g":7}}}}}`

func TestLayersLieOverADeployment(t *testing.T) {
	t.Parallel()
	top := `{"modulesContent":{"m":{"properties.desired.a":{"z":1}},"new":{"properties.desired":{"h":8}}}}`
	for name, c := range map[string]struct {
		layers  []string
		modules string
		routes  string
		ttl     int64
		m, new  string
	}{
		"none": {nil, "m old", "gone up", 60, `{"a":{"b":1,"c":2},"d":3}`, ""},
		"one":  {[]string{layer}, "m new", "more up", 90, `{"a":{"b":1,"c":5},"d":3,"e":{"f":6}}`, `{"g":7}`},
		"two":  {[]string{layer, top}, "m new", "more up", 90, `{"a":{"z":1},"d":3,"e":{"f":6}}`, `{"h":8}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var layers [][]byte
			for _, text := range c.layers {
				layers = append(layers, []byte(text))
			}
			m, err := manifest.Parse([]byte(baseDeployment), nil, layers...)
			if err != nil {
				t.Fatal(err)
			}
			var modules, routes []string
			for i := range m.Modules {
				modules = append(modules, m.Modules[i].Name)
			}
			for _, r := range m.Routes {
				routes = append(routes, r.Name)
			}
			if got := strings.Join(modules, " "); got != c.modules {
				t.Errorf("modules %s", got)
			}
			if got := strings.Join(routes, " "); got != c.routes {
				t.Errorf("routes %s", got)
			}
			if m.TimeToLiveSeconds != c.ttl || string(m.Desired["m"]) != c.m || string(m.Desired["new"]) != c.new {
				t.Errorf("%d s, m %s, new %s", m.TimeToLiveSeconds, m.Desired["m"], m.Desired["new"])
			}
		})
	}
}

func TestTheContainersEnvironmentIsBelowTheModules(t *testing.T) {
	t.Parallel()
	m, err := manifest.Parse([]byte(baseDeployment), nil, []byte(layer))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"A": "high", "B": "x=y"}; !maps.Equal(m.Modules[0].Env, want) {
		t.Errorf("m has %v", m.Modules[0].Env)
	}
	if want := map[string]string{"C": "1"}; !maps.Equal(m.Modules[1].Env, want) {
		t.Errorf("new has %v", m.Modules[1].Env)
	}
}

func TestLayersAreReadFromFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	below, over, broken := write("base.json", baseDeployment), write("layer.json", layer), write("broken.json", `{}`)
	m, err := manifest.Read(below, nil, over)
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(m.Desired)); !slices.Equal(names, []string{"m", "new"}) || !json.Valid(m.Desired["m"]) {
		t.Fatalf("got %v", names)
	}
	for want, paths := range map[string][]string{
		"broken.json":  {below, over, broken},
		"missing.json": {below, filepath.Join(folder, "missing.json")},
	} {
		if _, err := manifest.Read(paths[0], nil, paths[1:]...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
}
