package csvcodec

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestConformance(t *testing.T) { codectest.Run(t, New, "testdata") }

func TestReadme(t *testing.T) { codectest.Readme(t, New, "README.md") }

func FuzzReceive(f *testing.F) { codectest.Fuzz(f, New, "testdata") }

func TestFaultsOfOptionsAreNamed(t *testing.T) {
	for raw, pointer := range map[string]string{
		`{"column": []}`:                                 "/column",
		`{"columns": []}`:                                "/columns",
		`{"columns": ["a", "a"]}`:                        "/columns",
		`{"columns": ["a"], "header": true}`:             "/header",
		`{"columns": ["a"], "id": "b"}`:                  "/id",
		`{"columns": ["a"], "time": "b"}`:                "/time",
		`{"columns": ["a"], "types": {"b": "text"}}`:     "/types",
		`{"columns": ["a"], "types": {"a": "int"}}`:      "/types/a",
		`{"columns": ["a"], "properties": {"p": "b"}}`:   "/properties/p",
		`{"columns": ["a"], "properties": {"p p": "a"}}`: "/properties",
		`{"delimiter": ";;"}`:                            "/delimiter",
		`{"delimiter": "\n"}`:                            "/delimiter",
		`{"quote": ","}`:                                 "/quote",
		`{"quote": "é"}`:                                 "/quote",
	} {
		_, err := New(json.RawMessage(raw))
		if fault, ok := errors.AsType[*codec.OptionError](err); !ok || fault.Pointer != pointer {
			t.Errorf("%s: got %v, want %s", raw, err, pointer)
		}
	}
}

func dialogueOf(tb testing.TB, options string) *dialogue {
	tb.Helper()
	c, err := New(json.RawMessage(options))
	if err != nil {
		tb.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{})
	if err != nil {
		tb.Fatal(err)
	}
	return d.(*dialogue)
}

func FuzzFieldsAgreeWithEncodingCSV(f *testing.F) {
	for _, line := range []string{"a,b", `"a,""b""",c`, `a"b`, `"a"b`, `"a`, ",", `"",""`, "é, b"} {
		f.Add(line)
	}
	d := dialogueOf(f, `{}`)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") || line == "" || !utf8.ValidString(line) {
			return
		}
		want, wantErr := csv.NewReader(strings.NewReader(line)).Read()
		var got []string
		var err error
		for at := 0; at >= 0 && err == nil; {
			var field []byte
			if field, _, at, err = d.field([]byte(line), at); err == nil {
				got = append(got, string(field))
			}
		}
		if (err == nil) != (wantErr == nil) || err == nil && strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Errorf("%q: got %q, %v, want %q, %v", line, got, err, want, wantErr)
		}
	})
}

const (
	hotOptions = `{"columns": ["serial", "at", "kind", "value", "unit", "note", "ok"], "id": "serial", "time": "at",
		"properties": {"kind": "kind"}, "types": {"ok": "boolean"}, "ack": "OK"}`
	hotLine = `meter-0042,2026-03-01T12:34:56Z,reading,21.5,kWh,"said ""hello, world"" once more, and again",true`
)

func BenchmarkReceive(b *testing.B) {
	d, out := dialogueOf(b, hotOptions), &codec.Outcome{}
	frame := codec.Frame{Bytes: []byte(hotLine), At: time.Unix(0, 0)}
	b.SetBytes(int64(len(hotLine)))
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := d.Receive(frame, out); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKnownLineCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		return // counts differ under the race detector
	}
	d, out := dialogueOf(t, hotOptions), &codec.Outcome{}
	frame := codec.Frame{Bytes: []byte(hotLine), At: time.Unix(0, 0)}
	var failed error
	n := testing.AllocsPerRun(1000, func() {
		out.Reset()
		if err := d.Receive(frame, out); err != nil {
			failed = err
		}
	})
	if n != 0 || failed != nil {
		t.Errorf("%v allocations a line, %v", n, failed)
	}
}
