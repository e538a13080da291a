package identity

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
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

// mapped makes a mapping of the member map of the configuration.
func mapped(tb testing.TB, setting string, most int) *Mapping {
	tb.Helper()
	_, m, faults := New(Settings{Map: []byte(setting), Most: most}, surroundings(nil, nil))
	if faults != nil {
		tb.Fatal(faults)
	}
	return m
}

func TestTheTableComesBeforeTheRuleAndThePrefixIsForTheRest(t *testing.T) {
	m := mapped(t, `{"table":{"356307042441013":"truck-1"},
		"rule":"device startsWith '35' ? 'imei-' + device[9:] : ''","prefix":"other-"}`, 10)
	for own, want := range map[string]string{
		"356307042441013": "truck-1", "356307042441014": "imei-441014", "4915112345678": "other-4915112345678",
	} {
		hub, err := m.HubDevice(own)
		if hub != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", own, hub, err, want)
		}
		if back, ok := m.Own(strings.ToUpper(want)); back != own || !ok {
			t.Errorf("%s back is %q, %v", want, back, ok)
		}
	}
}

func TestWhatTheTableSaysIsNobodyElses(t *testing.T) {
	m := mapped(t, `{"table":{"356307042441013":"Truck-1"},"prefix":"truck-"}`, 10)
	if own, ok := m.Own("truck-1"); own != "356307042441013" || !ok {
		t.Errorf("before the device came it is %q, %v", own, ok)
	}
	_, err := m.HubDevice("1")
	if !errors.Is(err, ErrCollision) || !strings.Contains(err.Error(), `"1" would be "truck-1", which is device "356307042441013"`) {
		t.Errorf("error is %v", err)
	}
}

func TestTheSecondDeviceOfAnIdIsRefusedAndTheFirstKeepsIt(t *testing.T) {
	m := mapped(t, `{"rule":"device[:3]"}`, 10)
	for range 2 {
		if hub, err := m.HubDevice("abc1"); hub != "abc" || err != nil {
			t.Errorf("%q, %v", hub, err)
		}
		for _, own := range []string{"abc2", "ABC1"} {
			if _, err := m.HubDevice(own); !errors.Is(err, ErrCollision) {
				t.Errorf("%s: %v", own, err)
			}
		}
	}
	m.Release("abc2") // has none, so that nothing happens
	if own, _ := m.Own("abc"); own != "abc1" {
		t.Errorf("it is %q", own)
	}
	m.Release("abc1")
	if hub, err := m.HubDevice("abc2"); hub != "abc" || err != nil {
		t.Errorf("after the first was released: %q, %v", hub, err)
	}
}

func TestIdsThatTheHubDoesNotTakeAreRefusedWithTheReason(t *testing.T) {
	m := mapped(t, `{"prefix":"truck-","rule":"device == 'r' ? 'a/b' : device == 'i' ? split(device, ':')[1] : ''"}`, 10)
	for own, why := range map[string]string{
		"":                       "empty",
		"a b":                    `device "a b": illegal device id: "truck-a b" has ' ', allowed are ASCII letters, digits and`,
		strings.Repeat("x", 123): "129 bytes, at most 128 are allowed",
		strings.Repeat("x", 300): "300 bytes, at most 256 are allowed",
		"r":                      `"a/b" has '/'`,
		"i":                      "the rule",
		"\xff\x00":               "has '",
	} {
		_, err := m.HubDevice(own)
		if !errors.Is(err, ErrIllegal) || !strings.Contains(fmt.Sprint(err), why) || len(err.Error()) > 300 {
			t.Errorf("%q: %v; want %q", own, err, why)
		}
	}
}

func TestInventedIdsDoNotGrowTheMappingWithoutBound(t *testing.T) {
	m := mapped(t, `{"table":{"0":"zero"}}`, 3)
	for i := range 5 {
		_, err := m.HubDevice(fmt.Sprint("d", i))
		if full := errors.Is(err, ErrFull); full != (i >= 3) {
			t.Errorf("device %d: %v", i, err)
		}
	}
	if _, err := m.HubDevice("0"); err != nil {
		t.Errorf("one of the table: %v", err)
	}
	m.Release("d1")
	if hub, err := m.HubDevice("d4"); hub != "d4" || err != nil {
		t.Errorf("after one was released: %q, %v", hub, err)
	}
	if m.Release("0"); len(m.owners) != 4 {
		t.Errorf("there are %d owners", len(m.owners))
	}
}

// Whatever is configured, and whoever comes and goes: no two own ids have one of the
// hub's, case or not, and the way back leads to the one that has it.
func TestNoTwoDevicesEverShareAnIdOfTheHub(t *testing.T) {
	rules := []string{"", "device[:1]", "upper(device)", "lower(device) + 'x'", "'c'", "device == 'a' ? 'b' : ''"}
	id := rapid.StringMatching(`[abAB.%/]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		table := make(map[string]string)
		taken := make(map[string]bool)
		for own, hub := range rapid.MapOfN(id, rapid.StringMatching(`[abABc]{1,2}`), 0, 3).Draw(t, "table") {
			if !taken[fold(hub)] {
				table[own], taken[fold(hub)] = hub, true
			}
		}
		var rule Rule
		if text := rapid.SampledFrom(rules).Draw(t, "rule"); text != "" {
			made, err := route.CompileName(text)
			if err != nil {
				t.Fatal(err)
			}
			rule = made
		}
		m := newMapping(table, rule, rapid.SampledFrom([]string{"", "a", "A-"}).Draw(t, "prefix"), 4)
		has := make(map[string]string) // the hub's id, folded, to the own one
		for own, hub := range table {
			has[fold(hub)] = own
		}
		t.Repeat(map[string]func(*rapid.T){
			"map": func(t *rapid.T) {
				own := id.Draw(t, "own")
				hub, err := m.HubDevice(own)
				if err != nil {
					return
				}
				if CheckID(hub) != nil {
					t.Fatalf("%q has %q", own, hub)
				}
				if owner, ok := has[fold(hub)]; ok && owner != own {
					t.Fatalf("%q and %q both have %q", own, owner, hub)
				}
				has[fold(hub)] = own
			},
			"release": func(t *rapid.T) {
				own := id.Draw(t, "own")
				m.Release(own)
				for hub, owner := range has {
					if _, fixed := table[own]; owner == own && !fixed {
						delete(has, hub)
					}
				}
			},
			"": func(t *rapid.T) {
				for hub, owner := range has {
					if own, ok := m.Own(hub); own != owner || !ok {
						t.Fatalf("%q is %q, %v; want %q", hub, own, ok, owner)
					}
				}
				if len(m.owners) != len(has) {
					t.Fatalf("%d are remembered, and %d were given", len(m.owners), len(has))
				}
			},
		})
	})
}

func TestOfDevicesThatComeAtOnceOneGetsTheId(t *testing.T) {
	m := mapped(t, `{"rule":"'one'"}`, 10)
	got := make(chan error)
	for i := range 8 {
		go func() { _, err := m.HubDevice(fmt.Sprint("d", i)); got <- err }()
	}
	taken := 0
	for range 8 {
		if err := <-got; err == nil {
			taken++
		} else if !errors.Is(err, ErrCollision) {
			t.Error(err)
		}
	}
	if taken != 1 {
		t.Errorf("%d devices have it", taken)
	}
}
