package wasm

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

// One protocol, and one set of cases, for every language.
func TestConformance(t *testing.T) {
	for name, p := range acmes(t) {
		t.Run(name, func(t *testing.T) { codectest.Run(t, p.New, acmeCases) })
	}
}
