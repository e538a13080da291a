package law

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/law/template"
)

// judge reads desired properties and prints what the gateway would find wrong with
// them: the document, and what only the built-in codecs, the framing, the routes and the
// identities know.
const judge = `package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/causeway-iot/causeway/modules/causeway/codecs"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/identity"
	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
)

func main() {
	text, _ := io.ReadAll(os.Stdin)
	document, faults := config.Parse(text)
	for _, fault := range faults {
		fmt.Println(fault)
	}
	if document == nil {
		return
	}
	registry, err := codecs.All()
	if err != nil {
		fmt.Println(err)
		return
	}
	for name, l := range document.Listeners {
		if _, named := document.Codecs[l.Codec]; !named { // else its program is judged where it runs
			if _, err := registry.New(l.Codec, l.Options); err != nil {
				fmt.Println("listener", name, err)
			}
		}
		if len(l.Frame) > 0 {
			if _, err := frame.Parse(l.Frame, l.Limits.FrameBytes); err != nil {
				fmt.Println("listener", name, err)
			}
		}
	}
	for name, r := range document.Routes {
		if _, faults := route.Compile([]route.Rule{{Name: name, When: r.When, Output: r.Output}}); faults != nil {
			fmt.Println(faults)
		}
	}
	devices := make(map[string]string)
	for id, d := range document.Devices {
		if d.Key != "" {
			devices[id] = d.Key.Reveal()
		}
	}
	_, _, wrong := identity.New(identity.Settings{
		Map: document.Identity.Map, Keys: document.Identity.Keys, Devices: devices, Most: document.Identity.Devices,
	}, identity.Surroundings{
		Sign: func(context.Context, []byte) (string, error) { return "", nil },
		Rule: func(text string) (identity.Rule, error) { return route.CompileName(text) },
	})
	for _, fault := range wrong {
		fmt.Println(fault.Error())
	}
}
`

func TestTheGatewayAcceptsTheTwinsOfTheTemplates(t *testing.T) {
	program := buildJudge(t)
	for _, name := range []string{"deployment.template.json", "deployment.debug.template.json"} {
		text, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		twin, err := json.Marshal(template.Object(doc, "modulesContent", "causeway", "properties.desired"))
		if err != nil {
			t.Fatal(err)
		}
		if found := runJudge(t, program, twin); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	}
}

func TestTheJudgeOfTwinsFindsFaults(t *testing.T) {
	program := buildJudge(t)
	for name, twin := range map[string]string{
		"an unknown key":          `{"listener": {}}`,
		"an unknown codec":        `{"listeners": {"a": {"bind": "tcp://:1", "codec": "none"}}}`,
		"an unknown option":       `{"listeners": {"a": {"bind": "tcp://:1", "codec": "teltonika", "options": {"x": 1}}}}`,
		"an unknown framing":      `{"listeners": {"a": {"bind": "tcp://:1", "codec": "raw", "frame": {"type": "x"}}}}`,
		"a rule with a slip":      `{"identity": {"map": {"rule": "device +"}}}`,
		"a condition with a slip": `{"routes": {"a": {"when": "message.(", "output": "b"}}}`,
	} {
		if runJudge(t, program, []byte(twin)) == "" {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A JSON example in a document that is a twin document or a listener is one that
// the gateway accepts.
func TestTheGatewayAcceptsTheExamplesOfTheDocuments(t *testing.T) {
	program := buildJudge(t)
	tree := read(t, os.DirFS(root(t)))
	for _, name := range tree.Files("*.md") {
		for _, part := range strings.Split(tree.text[name], "```json\n")[1:] {
			text, _, _ := strings.Cut(part, "\n```")
			var example map[string]any
			if json.Unmarshal([]byte(text), &example) != nil {
				continue // a fragment, for people
			}
			switch {
			case example["listeners"] != nil || example["routes"] != nil || example["identity"] != nil:
			case example["codec"] != nil && example["bind"] != nil:
				text = `{"listeners": {"example": ` + text + `}}`
			default:
				continue
			}
			if found := runJudge(t, program, []byte(text)); found != "" {
				t.Errorf("%s: %s\n%s", name, found, text)
			}
		}
	}
}

func buildJudge(t *testing.T) string {
	t.Helper()
	module, list := overlay(t, "judge", judge)
	program := filepath.Join(t.TempDir(), "judge")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "-overlay", list, "./judge")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func runJudge(t *testing.T, program string, twin []byte) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stdin = bytes.NewReader(twin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
