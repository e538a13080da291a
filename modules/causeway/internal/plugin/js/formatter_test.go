package js

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestConformanceOfFormatters(t *testing.T) {
	folders, err := os.ReadDir("testdata/formatters")
	if err != nil {
		t.Fatal(err)
	}
	const least = 12
	if len(folders) < least {
		t.Fatalf("%d scripts, want %d", len(folders), least)
	}
	for _, f := range folders {
		t.Run(f.Name(), func(t *testing.T) {
			p := load(t, filepath.Join("formatters", f.Name(), f.Name()+".js"))
			codectest.Run(t, p.New, filepath.Join("testdata/formatters", f.Name()))
		})
	}
}

func TestFaultsOfOptionsAreNamed(t *testing.T) {
	p := load(t, "formatters/ttn_climate/ttn_climate.js")
	for raw, pointer := range map[string]string{
		`{"fport": 2}`:                  "/fport",
		`{"fPort": 256}`:                "/fPort",
		`{"id": "deviceId"}`:            "/id",
		`{"time": "t"}`:                 "/time",
		`{"id": "/id", "device": "m1"}`: "/device",
		`{"encoding": "hexadecimal"}`:   "/encoding",
		`{"variables": [1]}`:            "/variables",
	} {
		_, err := p.New(json.RawMessage(raw))
		if fault, ok := errors.AsType[*codec.OptionError](err); !ok || fault.Pointer != pointer {
			t.Errorf("%s: got %v, want %s", raw, err, pointer)
		}
	}
}
