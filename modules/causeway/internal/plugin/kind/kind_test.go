package kind

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a layout and a script of the same small protocol, with an example each.
var lines = map[string]string{
	"layout": `
layout: 1
frame: {type: line}
messages:
  reading:
    fields: [{name: v, type: text, size: rest}]
    message: {}
examples:
  - name: one
    dialogue: |
      > "7\n"
      = {"contentType":"application/json","contentEncoding":"utf-8","body":{"v":"WANT"}}
`,
	"js": `
module.exports = {
  receive: function (frame) { return {messages: [{body: {v: new TextDecoder().decode(frame)}}]}; },
  examples: {one: '-- frame --\n{"type":"line"}\n-- dialogue --\n> "7\\n"\n= {"contentType":"application/json","contentEncoding":"utf-8","body":{"v":"WANT"}}\n'}
};
`,
}

func engines(t *testing.T) *Engines {
	t.Helper()
	e := NewEngines(filepath.Join(t.TempDir(), "cache"))
	t.Cleanup(func() {
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestThePlaceOfAProgramTellsItsKind(t *testing.T) {
	for spec, want := range map[string][2]string{
		"a.yaml": {"layout", "a.yaml"}, "a.YML": {"layout", "a.YML"}, "b.json": {"layout", "b.json"},
		"c.js": {"js", "c.js"}, "d.wasm": {"wasm", "d.wasm"}, "e.txt": {"", "e.txt"},
		"js:e.txt": {"js", "e.txt"}, "rpc:127.0.0.1:9000": {"rpc", "127.0.0.1:9000"}, `C:\x.js`: {"js", `C:\x.js`},
	} {
		if kind, rest := Cut(spec); kind != want[0] || rest != want[1] {
			t.Errorf("%s: got %q, %q", spec, kind, rest)
		}
	}
}

func TestUnknownKindsAndBadProgramsAreRefused(t *testing.T) {
	e := engines(t)
	for _, kind := range []string{"python", "rpc", ""} {
		if _, err := e.Compile(t.Context(), kind, "x", nil); !errors.Is(err, ErrUnknown) {
			t.Errorf("program of kind %q: %v", kind, err)
		}
	}
	if _, err := e.Connect(t.Context(), "js", "x", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("process of kind js: %v", err)
	}
	for kind, program := range map[string]string{"layout": "frame: {", "js": "(", "wasm": "\x00asm"} {
		if _, err := e.Compile(t.Context(), kind, "x", []byte(program)); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range Processes() {
		_, err := e.Connect(t.Context(), kind, "x", json.RawMessage(`{"speed": 1}`))
		if fault, ok := errors.AsType[*codec.OptionError](err); !ok || fault.Pointer != "/speed" {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestExamplesAreHeldToWhatTheySay(t *testing.T) {
	e := engines(t)
	for kind, text := range lines {
		for _, want := range []string{"7", "8"} {
			p, err := e.Compile(t.Context(), kind, "lines", []byte(strings.ReplaceAll(text, "WANT", want)))
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if err := p.Check(); (err == nil) != (want == "7") || err != nil && !errors.Is(err, ErrExample) {
				t.Errorf("%s, want %s: %v", kind, want, err)
			}
			if len(p.Examples) != 1 || p.Close() != nil {
				t.Errorf("%s: %d examples", kind, len(p.Examples))
			}
		}
	}
}

func TestAModuleRunsWhereNothingCanBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := NewEngines(filepath.Join(file, "cache")) // a file is in the way
	defer e.Close(t.Context())
	if _, err := e.engine(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAProcessThatIsAwayIsNoErrorUntilALinkBegins(t *testing.T) {
	e := engines(t)
	p, err := e.Connect(t.Context(), "rpc", "away", json.RawMessage(`{"endpoints":["127.0.0.1:1"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := p.New(nil)
	if err == nil {
		_, err = c.Begin(codec.Peer{Transport: "tcp"})
	}
	if !errors.Is(err, codec.ErrBroken) {
		t.Errorf("got %v", err)
	}
}
