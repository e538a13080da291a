package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestExpandReplacesOnlyWhatIsKnown(t *testing.T) {
	known := map[string]string{"A": "1", "MODULES.causeway.amd64": "image"}
	lookup := func(name string) (string, bool) { value, ok := known[name]; return value, ok }
	for _, c := range []struct{ name, text, want string }{
		{"a plain name", "x $A y", "x 1 y"},
		{"a name in braces", "${A}0", "10"},
		{"a name with dots needs braces", "${MODULES.causeway.amd64}", "image"},
		{"an unknown name stays", "INTO $upstream ${B}", "INTO $upstream ${B}"},
		{"a longer name is another name", "$AB", "$AB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Expand(c.text, lookup); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCreateOptionsAreCutIntoPiecesOf512Characters(t *testing.T) {
	const options = `{"Env":["` // and 10 more around
	text := `{"$schema-template":"4.0.0","modulesContent":{"$edgeAgent":{"properties.desired":{` +
		`"modules":{"m":{"settings":{"createOptions":` + options + strings.Repeat("x", 1200) + `"]}}}}}}}}`
	out, err := Manifest(text, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	settings := Object(Modules(doc)["m"], "settings")
	joined := ""
	for _, key := range []string{"createOptions", "createOptions01", "createOptions02"} {
		piece, _ := settings[key].(string)
		if len(piece) == 0 || len(piece) > 512 {
			t.Errorf("%s has %d characters", key, len(piece))
		}
		joined += piece
	}
	if want := options + strings.Repeat("x", 1200) + `"]}`; joined != want {
		t.Errorf("joined: %s", joined)
	}
	if _, ok := doc["$schema-template"]; ok {
		t.Error("the template's own key is left")
	}
}

func TestCreateOptionsOverEightPiecesAreRefused(t *testing.T) {
	_, err := Pieces(map[string]any{"Env": strings.Repeat("x", 8*512)})
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
}

func TestImagesNamesEveryPlatform(t *testing.T) {
	images, err := Images("arm64v8", map[string]string{
		"causeway": `{"image":{"repository":"R.io/Causeway",
			"tag":{"version":"1.2.3","platforms":{"amd64":"a","arm64v8":"b"}}}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"MODULES.causeway":       "r.io/causeway:1.2.3-arm64v8",
		"MODULES.causeway.amd64": "r.io/causeway:1.2.3-amd64",
	} {
		if images[name] != want {
			t.Errorf("%s is %q, want %q", name, images[name], want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(`{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":` +
		`{"m":{"settings":{"createOptions":{}}}}}}}}`)
	f.Add(`{"modulesContent":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		out, err := Manifest(text, func(string) (string, bool) { return "", false })
		if err == nil && !json.Valid(out) {
			t.Errorf("not JSON: %s", out)
		}
	})
}
