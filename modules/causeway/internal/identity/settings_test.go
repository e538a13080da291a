package identity

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testdata/settings.txt: blocks of a section identity (and devices), then lines of
// "= fault", or of "keys: " and the sources in their order.
func TestSettingsAreTakenOrTheirFaultsSayWhere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "settings.txt"))
	if err != nil {
		t.Fatal(err)
	}
	with := surroundings(
		map[string]string{"KEY": planted, "BAD": "planted-and-no-base64", "EMPTY": " ", "POLICY": policyText(planted)},
		map[string]string{"/run/key": planted + "\n", "/run/empty": "", "/run/policy": policyText(planted), "/run/short": policyText("YQ==")},
	)
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		var doc, want []string
		for line := range strings.SplitSeq(block, "\n") {
			switch {
			case strings.HasPrefix(line, "= ") || strings.HasPrefix(line, "keys: "):
				want = append(want, strings.TrimPrefix(line, "= "))
			case !strings.HasPrefix(line, "#"):
				doc = append(doc, line)
			}
		}
		t.Run(strings.Join(want, " and "), func(t *testing.T) {
			keys, mapping, faults := New(settings(t, strings.Join(doc, "\n")), with)
			var got []string
			for _, f := range faults {
				got = append(got, f.Error())
			}
			if faults == nil {
				got = []string{"keys: " + keys.String()}
			}
			if (keys == nil) != (faults != nil) || (mapping == nil) != (faults != nil) || !slices.Equal(got, want) {
				t.Errorf("gives %q\nwant  %q", got, want)
			}
			if showsPlanted(strings.Join(got, " ")) {
				t.Errorf("shows a secret: %q", got)
			}
		})
	}
}

func policyText(key string) string {
	return "HostName=h.azure-devices.net;SharedAccessKeyName=device;SharedAccessKey=" + key
}

// settings reads a section identity with the member devices beside its own.
func settings(t *testing.T, text string) Settings {
	t.Helper()
	var s struct {
		Map       json.RawMessage
		Keys      map[string]json.RawMessage
		Devices   map[string]string
		NoSigning bool
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return Settings{Map: s.Map, Keys: s.Keys, Devices: s.Devices, Most: 10}
}

func TestWithoutAModulesKeyNothingCanBeDerived(t *testing.T) {
	with := surroundings(nil, nil)
	with.Sign = nil
	keys, _, faults := New(Settings{Most: 10}, with)
	if faults != nil || keys.String() != "twin" {
		t.Errorf("without sources: %v, %v", keys, faults)
	}
	_, _, faults = New(Settings{Keys: raw("d", `{"kind":"derived"}`), Most: 10}, with)
	if len(faults) != 1 || faults[0].Pointer != "/identity/keys/d/kind" {
		t.Errorf("faults are %v", faults)
	}
}

func TestWhereTheGatewaysKeyIsAPolicysItStandsForAllDevices(t *testing.T) {
	with := surroundings(nil, nil)
	with.Policy = "device"
	own := "cGxhbnRlZC1kZXZpY2Uta2V5LW9mLTMyLWJ5dGVzISE="
	keys, mapping, faults := New(Settings{Devices: map[string]string{"m7": own}, Most: 10}, with)
	if faults != nil || keys.String() != "twin, policy" {
		t.Fatalf("without sources: %v, %v", keys, faults)
	}
	for device, policy := range map[string]string{"m7": "", "m8": "device"} {
		hub, err := mapping.HubDevice(device)
		if err != nil {
			t.Fatal(err)
		}
		c, err := keys.Credential(t.Context(), hub)
		if err != nil || c.Policy != policy || c.Sign == nil {
			t.Errorf("%s: %v, %v", device, c, err)
		}
	}
	c, err := keys.Credential(t.Context(), "m8")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := with.Sign(t.Context(), []byte("data"))
	if got, err := c.Sign(t.Context(), []byte("data")); got != want || err != nil {
		t.Errorf("signed %q, %v, want %q", got, err, want)
	}
	_, _, faults = New(Settings{Keys: raw("d", `{"kind":"derived"}`), Most: 10}, with)
	fault := `/identity/keys/d/kind: got derived, but the gateway's key is that of the policy "device", not its own`
	if len(faults) != 1 || faults[0].Error() != fault {
		t.Errorf("faults are %v", faults)
	}
}

func TestNoDeviceIsTheGatewayItself(t *testing.T) {
	with := surroundings(nil, nil)
	with.Gateway = "Gateway-1"
	_, m, faults := New(Settings{Most: 10}, with)
	if faults != nil {
		t.Fatal(faults)
	}
	if hub, err := m.HubDevice("gateway-1"); !errors.Is(err, ErrCollision) || !strings.Contains(err.Error(), "the gateway itself") {
		t.Errorf("got %q, %v", hub, err)
	}
	if hub, err := m.HubDevice("gateway-2"); hub != "gateway-2" || err != nil {
		t.Errorf("got %q, %v", hub, err)
	}
	_, _, faults = New(Settings{Map: []byte(`{"table":{"1":"gateway-1"}}`), Most: 10}, with)
	if len(faults) != 1 || faults[0].Error() != `/identity/map/table/1: is "gateway-1", which is the gateway itself` {
		t.Errorf("faults are %v", faults)
	}
}

func TestAtMostSixteenSourcesAreTaken(t *testing.T) {
	keys := make(map[string]json.RawMessage)
	for i := range maxSources + 1 {
		keys[string(rune('a'+i))] = json.RawMessage(`{"kind":"derived"}`)
	}
	_, _, faults := New(Settings{Keys: keys, Most: 10}, surroundings(nil, nil))
	if len(faults) != 1 || faults[0].Error() != "/identity/keys: has 17 sources, at most 16 are allowed" {
		t.Errorf("faults are %v", faults)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add(`{"prefix":"a","table":{"1":"b"},"rule":"device"}`, `{"kind":"http","url":"https://h/{device}"}`)
	f.Add(`{"table":{"1":"b","2":"B"}}`, `{"kind":"policy","connectionString":{"env":"POLICY"}}`)
	f.Add(`null`, `{"kind":"file","path":"/a.json","order":1}`)
	with := surroundings(map[string]string{"POLICY": policyText(planted)}, nil)
	f.Fuzz(func(t *testing.T, mapping, source string) {
		keys, m, faults := New(Settings{Map: []byte(mapping), Keys: raw("s", source), Most: 3}, with)
		if (keys == nil) != (len(faults) > 0) || (m == nil) != (len(faults) > 0) {
			t.Fatalf("%v, %v, %v", keys, m, faults)
		}
		for _, fault := range faults {
			if !strings.HasPrefix(fault.Pointer, "/identity/") || showsPlanted(fault.Error()) {
				t.Fatalf("fault is %v", fault)
			}
		}
		if m == nil {
			return
		}
		for _, own := range []string{"1", "2", source} {
			if hub, err := m.HubDevice(own); err == nil && CheckID(hub) != nil {
				t.Fatalf("%q became %q", own, hub)
			}
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add(policyText(planted))
	f.Add("HostName=h;;SharedAccessKeyName==;SharedAccessKey=")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePolicy(text)
		if (err == nil) != (p.name != "" && p.sign != nil) {
			t.Fatalf("%q, %v", p.name, err)
		}
	})
}
