package config

import (
	"slices"
	"testing"
	"time"
)

func TestAuthenticationIsAskedByOrderAndThenByName(t *testing.T) {
	doc := mustParse(t, `{"listeners":{"a":{"bind":"tcp://:1","codec":"raw"},"b":{"bind":"tcp://:2","codec":"raw"}},
		"authentication":{"z":{"kind":"database"},"y":{"kind":"database"},"first":{"kind":"database","order":1},
			"other":{"kind":"database","listeners":{"a":false,"b":true}}}}`)
	if got := doc.AuthenticationOf("a"); !slices.Equal(got, []string{"first", "y", "z"}) {
		t.Errorf("a is judged by %v", got)
	}
	if got := doc.AuthenticationOf("b"); !slices.Equal(got, []string{"first", "other", "y", "z"}) {
		t.Errorf("b is judged by %v", got)
	}
}

func TestWhoAsksForPasswordsLetsNobodyUnknownIn(t *testing.T) {
	doc := mustParse(t, `{"listeners":{"a":{"bind":"tcp://:1","codec":"raw"},"b":{"bind":"tcp://:2","codec":"raw"},
		"c":{"bind":"tcp://:3","codec":"raw","unknownDevices":"accept"}},
		"authentication":{"d":{"kind":"database","listeners":{"b":true,"c":true}}}}`)
	for name, want := range map[string]string{"a": "accept", "b": "reject", "c": "accept"} {
		if got := doc.Listeners[name].UnknownDevices; got != want {
			t.Errorf("%s: unknown devices: %s, want %s", name, got, want)
		}
	}
}

func TestABanNamesADeviceOrAddresses(t *testing.T) {
	doc := mustParse(t, `{"bans":{"a":{"device":"x","reason":"stolen"},"b":{"addresses":"10.1.2.3/8","until":"2027-01-31T12:00:00Z"}}}`)
	a, b := doc.Bans["a"], doc.Bans["b"]
	if a.Device != "x" || a.Reason != "stolen" || a.Addresses != nil || !a.Until.IsZero() {
		t.Errorf("%+v", a)
	}
	if b.Device != "" || b.Addresses.String() != "10.0.0.0/8" || !b.Until.Equal(time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", b)
	}
}

func TestAListenerIsTheSameWhoeverMayComeIn(t *testing.T) {
	one := mustParse(t, `{"listeners":{"a":{"bind":"tcp://:1","codec":"raw"}}}`)
	two := mustParse(t, `{"listeners":{"a":{"bind":"tcp://:1","codec":"raw","unknownDevices":"allow-pattern","allowPattern":"^x"}}}`)
	if !one.Listeners["a"].Equal(two.Listeners["a"]) {
		t.Error("its connections would be closed")
	}
}
