package js

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
)

// load compiles a script of testdata.
func load(tb testing.TB, path string) *Program {
	tb.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(filepath.Base(path), source, Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func TestConformanceOfAcme(t *testing.T) { codectest.Run(t, load(t, "acme.js").New, "testdata/acme") }

func FuzzAcme(f *testing.F) { codectest.Fuzz(f, load(f, "acme.js").New, "testdata/acme") }

func TestAcmeIsTheSameAsInEveryLanguage(t *testing.T) {
	differences, err := acme.Differences(load(t, "acme.js").New)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
