package acme

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestDialogues(t *testing.T) { codectest.Run(t, New, "testdata") }

func TestNativeBudget(t *testing.T) { codectest.Run(t, New, "testdata/native") }

func FuzzDialogues(f *testing.F) { codectest.Fuzz(f, New, "testdata") }

func TestOptionsAreRefused(t *testing.T) {
	if _, err := New([]byte(`{"speed": 1}`)); err == nil {
		t.Error("an option was taken")
	}
}
