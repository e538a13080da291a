package raw

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestConformance(t *testing.T) { codectest.Run(t, New, "testdata") }

func TestReadme(t *testing.T) { codectest.Readme(t, New, "README.md") }

func FuzzReceive(f *testing.F) { codectest.Fuzz(f, New, "testdata") }

func TestFaultsOfOptionsAreNamed(t *testing.T) {
	for raw, pointer := range map[string]string{
		`{"contenttype": "text/plain"}`: "/contenttype",
		`{"contentType": ""}`:           "/contentType",
		`{"contentType": "a b"}`:        "/contentType",
		`{"ack": 6}`:                    "/ack",
		`{"nak": {"hex": "0"}}`:         "/nak/hex",
	} {
		_, err := New(json.RawMessage(raw))
		if fault, ok := errors.AsType[*codec.OptionError](err); !ok || fault.Pointer != pointer {
			t.Errorf("%s: got %v, want %s", raw, err, pointer)
		}
	}
}
