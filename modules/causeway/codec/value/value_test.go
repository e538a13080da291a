package value

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTimesAsDevicesWriteThem(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	cases := map[string]time.Time{
		"2026-03-01T12:34:56Z":           at("2026-03-01T12:34:56Z"),
		"2026-03-01t12:34:56z":           at("2026-03-01T12:34:56Z"),
		"2026-03-01 12:34:56.5+02:00":    at("2026-03-01T10:34:56.5Z"),
		"2026-03-01T12:34:56-00:30":      at("2026-03-01T13:04:56Z"),
		"2024-02-29T00:00:00.123456789Z": at("2024-02-29T00:00:00.123456789Z"),
		"0":                              time.Unix(0, 0).UTC(),
		"1772368496":                     time.Unix(1772368496, 0).UTC(),
		"1772368496.25":                  time.Unix(1772368496, 250_000_000).UTC(),
		"1772368496250":                  time.UnixMilli(1772368496250).UTC(),
		"1772368496250.5":                time.UnixMicro(1772368496250500).UTC(),
	}
	for text, want := range cases {
		if got, ok := Time([]byte(text)); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "-1", "1e9", "1.", ".5", "yesterday", "2026-03-01", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
		"2026-03-01T24:00:00Z", "2026-03-01T12:60:00Z", "2026-03-01T12:00:60Z", "2026-03-01T12:34:56",
		"2026-03-01T12:34:56+0200", "2026-03-01T12:34:56+24:00", "2026-03-01T12:34:56.Z", "2026-03-01X12:34:56Z",
		"100000000000000", "9999999999999999999999",
	} {
		if got, ok := Time([]byte(text)); ok {
			t.Errorf("%q: got %v, want none", text, got)
		}
	}
}

func FuzzTimeAgreesWithTimeParse(f *testing.F) {
	for _, s := range []string{"2026-03-01T12:34:56Z", "2024-02-29T23:59:59.999999999-23:59", "0000-01-01T00:00:00Z", "12.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := time.Parse(time.RFC3339, text)
		got, ok := Time([]byte(text))
		if err == nil && len(text) > 19 && text[19] != ',' && (!ok || !got.Equal(want)) {
			t.Errorf("%q: got %v, %v, want %v", text, got, ok, want)
		}
	})
}

func FuzzNumberAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{"0", "-0", "01", "1.5", "1.", "1e5", "1E-5", "-", "1x", "--1", "1e"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var n json.Number
		number := len(text) > 0 && (text[0] == '-' || text[0]-'0' <= 9) && text[len(text)-1]-'0' <= 9
		want := number && json.Unmarshal(text, &n) == nil
		if got := Number(text, 0) == len(text) && len(text) > 0; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	})
}

func FuzzAppendStringIsReadAgain(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\x00\n", "é\xff日", "\xed\xa0\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got string
		out := AppendString(nil, text)
		if err := json.Unmarshal(out, &got); err != nil || !utf8.Valid(out) {
			t.Fatalf("%q: %s, %v", text, out, err)
		}
		if want := string([]rune(string(text))); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestStringsAreKeptWithinABound(t *testing.T) {
	var s Strings
	for i := range 10 * maxStrings {
		if want := strconv.Itoa(i); s.Of([]byte(want)) != want {
			t.Fatalf("%s is another string", want)
		}
		if len(s.known) > maxStrings {
			t.Fatalf("%d strings are kept, at most %d are allowed", len(s.known), maxStrings)
		}
	}
}

func TestPropertyNamesThatIoTHubWouldRefuseAreNamed(t *testing.T) {
	for _, name := range []string{"", "with space", "é", "a:b", "a\x00"} {
		if err := CheckProperties("/properties", map[string]string{name: ""}, 8); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if err := CheckProperties("/properties", map[string]string{"Kind": "", "kind": ""}, 8); err == nil {
		t.Error("two names that differ in case only were taken")
	}
	if err := CheckProperties("/properties", map[string]string{"kind": "", "unit_2": ""}, 1); err == nil {
		t.Error("more names than allowed were taken")
	}
	if err := CheckProperties("/properties", map[string]string{"kind": "", "unit_2": ""}, 2); err != nil {
		t.Error(err)
	}
}
