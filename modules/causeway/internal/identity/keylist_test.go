package identity

import (
	"strings"
	"testing"
)

// lists are both parsers of files of all devices.
func lists() map[string]func([]byte) (map[string][]byte, error) {
	return map[string]func([]byte) (map[string][]byte, error){"json": parseJSONKeys, "csv": parseCSVKeys}
}

func TestListsThatCannotBeUsedSayWhereAndNeverShowAKey(t *testing.T) {
	for _, c := range []struct{ form, text, why string }{
		{"json", ``, "want a JSON object"},
		{"json", `["` + planted + `"]`, "want a JSON object"},
		{"json", `{"a": "` + planted + `"`, "does not end"},
		{"json", `{"a": "` + planted + `"} {}`, "more follows"},
		{"json", `{"a": 5}`, "member 1 is not a text"},
		{"json", `{"a": {"key": "` + planted + `"}}`, "member 1 is not a text"},
		{"json", `{"a": "` + planted + `", "b": "` + planted + `!"}`, "member 2: the key is not base64"},
		{"json", `{"a": "` + planted + `", "A": "` + planted + `"}`, "member 2: the device is there already"},
		{"json", `{"` + planted + `": "a"}`, "member 1: "},
		{"json", `{"a/b": "` + planted + `"}`, "member 1: this is no device id"},
		{"csv", "a", "line 1: want two fields"},
		{"csv", "a," + planted + "\nb," + planted + ",x\n", "line 2: want two fields"},
		{"csv", "a,\"" + planted, "line 1: want two fields"},
		{"csv", "deviceId,key\n" + planted + ",a\n", "line 2: "},
		{"csv", "a," + planted + "\n\nA," + planted, "line 3: the device is there already"},
		{"csv", "a b," + planted, "line 1: this is no device id"},
	} {
		keys, err := lists()[c.form]([]byte(c.text))
		if err == nil || keys != nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s %q: %v, %v; want %q", c.form, c.text, keys, err, c.why)
		}
		if err != nil && strings.Contains(err.Error(), planted[:8]) {
			t.Errorf("%s %q: shows a key: %v", c.form, c.text, err)
		}
	}
}

func fuzzList(f *testing.F, parse func([]byte) (map[string][]byte, error), seeds ...string) {
	f.Helper()
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parse(data)
		if err != nil {
			if keys != nil || strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 200 {
				t.Fatalf("%v, %v", keys, err)
			}
			return
		}
		for id, key := range keys {
			if CheckID(id) != nil || fold(id) != id || len(key) < minKey || len(key) > maxKey {
				t.Fatalf("%q has %d bytes", id, len(key))
			}
		}
	})
}

func FuzzJSONKeys(f *testing.F) {
	fuzzList(f, parseJSONKeys, `{"a":"`+planted+`","b":"`+other+`"}`, `{"a":{"b":[]}}`, `{"a":"`+planted+`","A":""}`)
}

func FuzzCSVKeys(f *testing.F) {
	fuzzList(f, parseCSVKeys, "deviceId,key\na,"+planted+"\n", "\ufeffa,\""+planted+"\"\r\n", "\"a\nb\",c\n", "a,b,c")
}
