package wasm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
)

// One protocol, and one set of cases, for every language.
func TestConformance(t *testing.T) {
	for name, p := range acmes(t) {
		t.Run(name, func(t *testing.T) { codectest.Run(t, p.New, acmeCases) })
	}
}

// Modules bring a case along: those in C and Rust as a custom section, that in Go by
// a function.
func TestModulesBringTheirExample(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(acmeCases, "day.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range acmes(t) {
		got := p.Examples()
		if len(got) != 1 || got[0].Name != "day" || got[0].Text != string(want) {
			t.Errorf("%s: got %.200q", name, got)
		}
	}
}

func TestAcmeIsTheSameAsInEveryLanguage(t *testing.T) {
	for name, p := range acmes(t) {
		t.Run(name, func(t *testing.T) {
			differences, err := acme.Differences(p.New)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range differences {
				t.Error(d)
			}
		})
	}
}
