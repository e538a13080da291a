package jsoncodec

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestConformance(t *testing.T) { codectest.Run(t, New, "testdata") }

func TestReadme(t *testing.T) { codectest.Readme(t, New, "README.md") }

func FuzzReceive(f *testing.F) { codectest.Fuzz(f, New, "testdata") }

func TestFaultsOfOptionsAreNamed(t *testing.T) {
	for raw, pointer := range map[string]string{
		`{"ID": "/serial"}`: "/ID",
		`{"id": "serial"}`:  "/id",
		`{"id": ""}`:        "/id",
		`{"id": "/a~2b"}`:   "/id",
		`{"id": 7}`:         "/id",
		`{"time": "t"}`:     "/time",
		`{"time": "/` + strings.Repeat("x", 512) + `"}`: "/time",
		`{"properties": {"kind": "kind"}}`:              "/properties/kind",
		`{"properties": {"a b": "/kind"}}`:              "/properties",
		`{"properties": {"a": "/a", "A": "/b"}}`:        "/properties",
		`{"properties": {"": "/a"}}`:                    "/properties",
		`{"ack": true}`:                                 "/ack",
	} {
		_, err := New(json.RawMessage(raw))
		if fault, ok := errors.AsType[*codec.OptionError](err); !ok || fault.Pointer != pointer {
			t.Errorf("%s: got %v, want %s", raw, err, pointer)
		}
	}
}
