package jsoncodec

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// documentsOfAllKinds seeds the fuzzing: valid and nearly valid.
func documentsOfAllKinds() []string {
	return []string{
		`{}`, `[]`, `""`, `0`, `-0`, `-`, `01`, `1.`, `1.5e+3`, `1e`, `.5`, `+1`, `true`, `truex`, `tru`, `false`, `null`, `nul`,
		` { "a" : [ 1 , 2.5 , { "b" : null } ] , "c" : "d" } `, `{"a":1,}`, `{,}`, `[,]`, `[1,]`, `[1 2]`, `{"a" 1}`, `{"a":}`,
		`{a:1}`, `{"a":1`, `[`, `[[]`, `]`, `[}`, `{]`, `"`, `"abc`, `"\u12G4"`, `"\u12"`, `"\x"`, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`,
		"\"tab\there\"", "\"1234567\x01\"", "\"é日本語\"", "\"\xff\"", "\ufeff{}", "{}\x00", "{} {}", "[1]\n", "\v1",
		`{"a":{"b":1},"a":{}}`, `{"\u0061":1}`, `"12345678\""`, `"1234567\\"`, `["` + strings.Repeat("x", 100) + `"]`,
		strings.Repeat("[", 512) + strings.Repeat("]", 512), strings.Repeat("[", 513) + strings.Repeat("]", 513),
	}
}

func FuzzScanAgreesWithEncodingJSON(f *testing.F) {
	for _, doc := range documentsOfAllKinds() {
		f.Add([]byte(doc))
	}
	root := &node{}
	for slot, pointer := range []string{"/a", "/a/b", "/0/1", "/c"} {
		if err := root.add("", pointer, slot); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := scan{spans: make([]span, 4)}
		err := s.document(doc, root)
		want := json.Valid(doc) && utf8.Valid(doc)
		if got := err == nil; got != want && depth(doc) <= maxDepth {
			t.Fatalf("%q: got %v, want valid = %v", doc, err, want)
		}
		var members map[string]json.RawMessage
		if err != nil || json.Unmarshal(doc, &members) != nil {
			return
		}
		if got := string(doc[s.spans[0].from:s.spans[0].to]); got != string(members["a"]) {
			t.Errorf("%q: /a is %q, want %q", doc, got, members["a"])
		}
	})
}

// depth is at least the nesting of a document.
func depth(doc []byte) int {
	return strings.Count(string(doc), "[") + strings.Count(string(doc), "{")
}

func FuzzUnescapeAgreesWithEncodingJSON(f *testing.F) {
	for _, doc := range documentsOfAllKinds() {
		f.Add([]byte(doc))
	}
	for _, s := range []string{`"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ud83dx"`, `"\uABCD\uabcd"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var want string
		if !utf8.Valid(doc) || len(doc) == 0 || doc[0] != '"' || doc[len(doc)-1] != '"' || json.Unmarshal(doc, &want) != nil {
			return
		}
		if got := string(unescape(nil, doc[1:len(doc)-1])); got != want {
			t.Errorf("%q: got %q, want %q", doc, got, want)
		}
	})
}
