package twin_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/twin"
)

func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1)
}

func TestValidateKeepsTheHubsRules(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, patch string
		valid       bool
	}{
		{"an empty patch is valid", `{}`, true},
		{"null deletes and is valid in objects", `{"a":null,"b":{"c":null}}`, true},
		{"ten levels are allowed", nested(10), true},
		{"eleven levels are not", nested(11), false},
		{"an array counts as a level", `{"a":` + strings.Repeat("[", 10) + strings.Repeat("]", 10) + `}`, false},
		{"nine arrays in an object are ten levels", `{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`, true},
		{"null in an array is refused", `{"a":[1,null]}`, false},
		{"null in an object in an array is refused", `{"a":[{"b":null}]}`, false},
		{"a dot in a name is refused", `{"a.b":1}`, false},
		{"a dollar in a name is refused", `{"$version":1}`, false},
		{"a hash in a name is refused", `{"a#":1}`, false},
		{"a space in a name is refused", `{"a b":1}`, false},
		{"a control character in a name is refused", `{"a\u0001":1}`, false},
		{"a name of 1024 bytes is allowed", `{"` + strings.Repeat("k", 1024) + `":1}`, true},
		{"a name of 1025 bytes is not", `{"` + strings.Repeat("k", 1025) + `":1}`, false},
		{"a string of 4096 bytes is allowed", `{"a":"` + strings.Repeat("v", 4096) + `"}`, true},
		{"a string of 4097 bytes is not", `{"a":"` + strings.Repeat("v", 4097) + `"}`, false},
		{"the largest integer is allowed", `{"a":4503599627370495}`, true},
		{"one more is not", `{"a":4503599627370496}`, false},
		{"the smallest integer is allowed", `{"a":-4503599627370496}`, true},
		{"one less is not", `{"a":-4503599627370497}`, false},
		{"an integer beyond 64 bits is refused", `{"a":99999999999999999999}`, false},
		{"a fraction is allowed", `{"a":1.5e300}`, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc, err := twin.Decode([]byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			err = twin.Validate(doc, len(c.patch))
			if c.valid && err != nil {
				t.Fatalf("refused: %v", err)
			}
			if !c.valid && !errors.Is(err, twin.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestValidateRefusesAPatchThatIsTooLargeAsAWhole(t *testing.T) {
	t.Parallel()
	if err := twin.Validate(map[string]any{}, twin.MaxPatchBytes+1); !errors.Is(err, twin.ErrInvalid) {
		t.Fatalf("got %v, want ErrInvalid", err)
	}
}

func TestDecodeRefusesWhatIsNotOneObject(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `null`, `[]`, `1`, `{"a":1}{}`, `{`, `{"a":1} x`} {
		if _, err := twin.Decode([]byte(text)); err == nil || errors.Is(err, twin.ErrInvalid) {
			t.Errorf("%q: got %v, want a plain error", text, err)
		}
	}
}

func TestMergeAndDiffAreInverse(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, from, patch, to string }{
		{"objects merge", `{"a":{"b":1}}`, `{"a":{"c":2}}`, `{"a":{"b":1,"c":2}}`},
		{"null deletes", `{"a":1,"b":2}`, `{"a":null}`, `{"b":2}`},
		{"arrays are replaced", `{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
		{"an object replaces a value", `{"a":1}`, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`},
		{"a value replaces an object", `{"a":{"b":1}}`, `{"a":2}`, `{"a":2}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			doc, want := decode(t, c.from), decode(t, c.to)
			twin.Merge(doc, decode(t, c.patch))
			if !reflect.DeepEqual(doc, want) {
				t.Fatalf("merged to %v, want %v", doc, want)
			}
			again := decode(t, c.from)
			twin.Merge(again, twin.Diff(again, want))
			if !reflect.DeepEqual(again, want) {
				t.Fatalf("diff led to %v, want %v", again, want)
			}
		})
	}
}

func TestAccumulateKeepsDeletions(t *testing.T) {
	t.Parallel()
	pending := decode(t, `{"a":1}`)
	twin.Accumulate(pending, decode(t, `{"a":null,"b":{"c":null}}`))
	if want := decode(t, `{"a":null,"b":{"c":null}}`); !reflect.DeepEqual(pending, want) {
		t.Fatalf("got %v, want %v", pending, want)
	}
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	doc, err := twin.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func FuzzValidateAndMerge(f *testing.F) {
	f.Add([]byte(`{"a":1}`), []byte(`{"a":{"b":[1,{"c":null}]}}`))
	f.Add([]byte(nested(12)), []byte(`{"a":null}`))
	f.Add([]byte(`null`), []byte(`{"$version":3}`))
	f.Fuzz(func(t *testing.T, from, patch []byte) {
		a, err := twin.Decode(from)
		if err != nil {
			return
		}
		b, err := twin.Decode(patch)
		if err != nil || twin.Validate(b, len(patch)) != nil {
			return
		}
		before, _ := json.Marshal(a)
		target := twin.Clone(a).(map[string]any)
		twin.Merge(target, b)
		twin.Merge(a, twin.Diff(a, target))
		if !equalExceptNull(a, target) {
			t.Fatalf("from %s by %s: %v is not %v", before, patch, a, target)
		}
	})
}

// equalExceptNull compares; a document that held null from the start loses it to a
// merge-patch, which cannot express it.
func equalExceptNull(a, b map[string]any) bool {
	strip(a)
	strip(b)
	return reflect.DeepEqual(a, b)
}

func strip(doc map[string]any) {
	for key, value := range doc {
		switch v := value.(type) {
		case nil:
			delete(doc, key)
		case map[string]any:
			strip(v)
		}
	}
}
