package codec

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sampleOptions struct {
	Name    string            `json:"name"`
	Count   *int              `json:"count"`
	Strict  bool              `json:"strict"`
	Columns []string          `json:"columns"`
	Ack     OptionBytes       `json:"ack"`
	Map     map[string]string `json:"map"`
	Inner   struct {
		Depth uint8 `json:"depth"`
	} `json:"inner"`
	Hidden int `json:"-"`
}

func TestOptionsAreDecodedOverTheDefaults(t *testing.T) {
	got := sampleOptions{Name: "default", Strict: true}
	err := DecodeOptions(json.RawMessage(`
		{"name": null, "count": 3, "columns": ["a", "b"], "ack": {"hex": "0d0a"}, "map": {"k": "v"}, "inner": {"depth": 7}}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	count := 3
	want := sampleOptions{
		Name: "default", Count: &count, Strict: true, Columns: []string{"a", "b"}, Ack: OptionBytes("\r\n"),
		Map: map[string]string{"k": "v"},
	}
	want.Inner.Depth = 7
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAbsentOptionsAreTheDefaults(t *testing.T) {
	for _, raw := range []string{"", " \n", "null", "{}"} {
		got := sampleOptions{Name: "default"}
		if err := DecodeOptions(json.RawMessage(raw), &got); err != nil || got.Name != "default" {
			t.Errorf("%q: got %+v, %v", raw, got, err)
		}
	}
}

func TestFaultsOfOptionsAreNamedByPointer(t *testing.T) {
	cases := []struct{ raw, pointer, reason string }{
		{`{"name": "x"`, "", "not JSON"},
		{`{} {}`, "", "not JSON"},
		{`[1]`, "", "got [1], want object"},
		{`{"nam": 1}`, "/nam", "unknown field, known are name, count"},
		{`{"Name": "x"}`, "/Name", "unknown field"},
		{`{"Hidden": 1}`, "/Hidden", "unknown field"},
		{`{"a/b~c": 1}`, "/a~1b~0c", "unknown field"},
		{`{"name": 1}`, "/name", "got 1, want string"},
		{`{"name": "x", "name": "y"}`, "/name", "given twice"},
		{`{"count": "3"}`, "/count", `got "3", want integer`},
		{`{"strict": 1}`, "/strict", "got 1, want true or false"},
		{`{"columns": "a,b"}`, "/columns", `got "a,b", want array`},
		{`{"columns": ["a", 2]}`, "/columns/1", "got 2, want string"},
		{`{"map": {"k": 1}}`, "/map/k", "got 1, want string"},
		{`{"map": {"k": "a", "k": "b"}}`, "/map/k", "given twice"},
		{`{"inner": {"depth": -1}}`, "/inner/depth", "got -1, want integer of 0 or more"},
		{`{"inner": 5}`, "/inner", "got 5, want object"},
		{`{"ack": 6}`, "/ack", `got 6, want text or {"hex": "..."}`},
		{`{"ack": {"hex": "0g"}}`, "/ack/hex", `got "0g", want bytes in hexadecimal`},
		{`{"ack": {}}`, "/ack/hex", "is missing"},
		{`{"ack": {"text": "x"}}`, "/ack/text", "unknown field, known are hex"},
		{`{"ack": "` + strings.Repeat("x", 1025) + `"}`, "/ack", "at most 1024"},
		{`{"name": {"x": "` + strings.Repeat("x", 100) + `"}}`, "/name", "..., want string"},
	}
	for _, c := range cases {
		t.Run(c.pointer+" "+c.reason, func(t *testing.T) {
			var o sampleOptions
			err := DecodeOptions(json.RawMessage(c.raw), &o)
			fault, ok := errors.AsType[*OptionError](err)
			if !ok || fault.Pointer != c.pointer || !strings.Contains(fault.Reason, c.reason) {
				t.Errorf("got %v, want %q with %q", err, c.pointer, c.reason)
			}
		})
	}
}

func FuzzDecodeOptionsAgreesWithEncodingJSON(f *testing.F) {
	f.Add([]byte(`{"name": "x", "count": 1, "columns": [], "ack": "a", "map": {}, "inner": {"depth": 1}}`))
	f.Add([]byte(`{"ack": {"hex": "00"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, want sampleOptions
		if DecodeOptions(raw, &got) != nil || len(strings.TrimSpace(string(raw))) == 0 {
			return
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Errorf("%q was taken, encoding/json says %v", raw, err)
		}
	})
}
