package config

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestMergePatchFollowsRFC7396(t *testing.T) {
	// The first are the examples of the RFC's appendix A.
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":1.50}`, `{"m":12345678901234567890e2,"t":"<&>"}`, `{"m":12345678901234567890e2,"n":1.50,"t":"<&>"}`},
		{`{"$version":1,"a":1}`, `{"$version":2}`, `{"$version":2,"a":1}`},
	} {
		got, err := MergePatch([]byte(c[0]), []byte(c[1]))
		if err != nil || string(got) != c[2] {
			t.Errorf("%s with %s gives %s, %v, want %s", c[0], c[1], got, err, c[2])
		}
	}
}

func TestMergePatchSaysWhichSideIsNotJSON(t *testing.T) {
	for want, c := range map[string][2]string{
		"document is not JSON": {`{`, `{}`},
		"patch is not JSON":    {`{}`, ``},
	} {
		if _, err := MergePatch([]byte(c[0]), []byte(c[1])); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1}}`), []byte(`{"a":{"b":null,"c":[null]}}`))
	f.Fuzz(func(t *testing.T, doc, patch []byte) {
		once, err := MergePatch(doc, patch)
		if err != nil {
			return
		}
		if !json.Valid(once) {
			t.Fatalf("%q is not JSON", once)
		}
		twice, err := MergePatch(once, patch)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("applied twice gives %s, %v, once gave %s", twice, err, once)
		}
	})
}
