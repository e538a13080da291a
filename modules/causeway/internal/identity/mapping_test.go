package identity

import (
	"errors"
	"strings"
	"testing"
)

func TestIoTHubsRulesForDeviceIdsHold(t *testing.T) {
	for id, legal := range map[string]bool{
		"a": true, "356307042441013": true, "aZ09-:.+%_#*?!(),=@$'": true, strings.Repeat("x", 128): true, "...": true,
		"": false, ".": false, "..": false, strings.Repeat("x", 129): false, "a b": false, "a/b": false, `a\b`: false,
		"a&b": false, "a\x00": false, "ä": false, "a;b": false, "a\"b": false, "a<b>": false, "\xff": false,
	} {
		if err := CheckID(id); (err == nil) != legal || err != nil && !errors.Is(err, ErrIllegal) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestWithoutASettingTheHubsIdIsTheOwnOne(t *testing.T) {
	m := newMapping(nil, nil, "", 10)
	for range 2 {
		if hub, err := m.HubDevice("356307042441013"); hub != "356307042441013" || err != nil {
			t.Errorf("%q, %v", hub, err)
		}
	}
	if own, ok := m.Own("356307042441013"); own != "356307042441013" || !ok {
		t.Errorf("back it is %q, %v", own, ok)
	}
	if _, ok := m.Own("other"); ok {
		t.Error("an id that nobody has is somebody's")
	}
}
