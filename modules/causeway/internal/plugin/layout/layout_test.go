package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func load(tb testing.TB, name string) *Program {
	tb.Helper()
	text, err := os.ReadFile("testdata/" + name + ".yaml")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(name, text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestLayoutsConform(t *testing.T) {
	for _, name := range layouts {
		t.Run(name, func(t *testing.T) { codectest.Run(t, load(t, name).New, "testdata/"+name) })
	}
}

// copyCases copies case files without what they expect in the words of one codec: the
// kinds of errors stay.
func copyCases(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`(?m)^! (\w+) layout .*$`)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), words.ReplaceAll(text, []byte("! $1")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// layouts are those of testdata, each with a folder of cases.
var layouts = []string{"acme", "gt06", "jt808", "meter", "modbus", "text", "tlv"}
