package route

import (
	"strings"
	"testing"
)

func TestNamesAreWhatTheExpressionSays(t *testing.T) {
	for text, want := range map[string]string{
		`device`:                                             "356307042441013",
		`"truck-" + device[9:]`:                              "truck-441013",
		`'imei:' + trimPrefix(device, "3563")`:               "imei:07042441013",
		`device startsWith "35" ? "t-" + device : ""`:        "t-356307042441013",
		`device matches "^49[0-9]+$" ? "sim-" + device : ""`: "",
		`upper("a" + device)`:                                "A356307042441013",
		`split(device, "07")[1]`:                             "042441013",
	} {
		n, err := CompileName(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := n.HubDevice("356307042441013"); got != want || err != nil {
			t.Errorf("%s gives %q, %v", text, got, err)
		}
	}
}

func TestNamesThatCannotBeAreRefused(t *testing.T) {
	for text, why := range map[string]string{
		``:                     "",
		`device +`:             "unexpected token",
		`len(device)`:          "expected string",
		`device == "a"`:        "expected string",
		`message.device`:       "message",
		`repeat(device, 1000)`: "repeat",
		`let a = device; a`:    "let",
		`string(map(1..9, #))`: "ranges",
		strings.Repeat("device+", 300) + "device": "must have at most",
	} {
		if _, err := CompileName(text); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestANameThatFailsSaysWhy(t *testing.T) {
	n, err := CompileName(`device[20:] + split(device, ":")[3]`)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := n.HubDevice("35"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q, %v", name, err)
	}
}
