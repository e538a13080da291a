package identity

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// showsPlanted tells whether a text has a part of what the tests have planted.
func showsPlanted(text string) bool {
	for _, part := range []string{planted[:8], other[:8], "planted-code", "planted-token", "planted-word", "planted-and"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func TestACredentialIsNeverPrinted(t *testing.T) {
	certificate, err := certified(pair(certificate(t, "a", time.Now().Add(time.Hour))))
	if err != nil {
		t.Fatal(err)
	}
	signing := symmetric([]byte(planted))
	signing.Policy = "device"
	for _, c := range []Credential{certificate, signing, symmetric([]byte(planted)), {}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			for _, value := range []any{c, &c, []Credential{c}, map[string]Credential{"a": c}, struct{ C Credential }{c}} {
				text := fmt.Sprintf(verb, value)
				if !strings.Contains(text, c.String()) && verb != "%d" && !strings.HasPrefix(text, "(*identity.Credential)") {
					t.Errorf("%s of %T: %s", verb, value, text)
				}
				if strings.Contains(text, "PrivateKey") || showsPlanted(text) {
					t.Errorf("%s of %T shows a key: %s", verb, value, text)
				}
			}
		}
		written, err := json.Marshal(c)
		if err != nil || string(written) != `"`+c.String()+`"` {
			t.Errorf("as JSON it is %s, %v", written, err)
		}
	}
}

// A dump of the gateway's values, as a debugger or a careless log line makes it.
func TestKeysAreNeverPrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	put(t, path, `{"a":"`+planted+`"}`)
	keys, mapping, faults := New(Settings{
		Keys: map[string]json.RawMessage{
			"file": json.RawMessage(`{"kind":"file","path":"` + path + `"}`), "twin": json.RawMessage(`{"kind":"twin"}`),
			"group":  json.RawMessage(`{"kind":"group","key":{"env":"KEY"},"order":200}`),
			"policy": json.RawMessage(`{"kind":"policy","connectionString":{"env":"POLICY"}}`),
			"http":   json.RawMessage(`{"kind":"http","url":"https://h/{device}","headers":{"A":{"env":"KEY"}},"order":300}`),
		},
		Devices: map[string]string{"b": planted}, Most: 10,
	}, surroundings(map[string]string{"KEY": planted, "POLICY": policyText(planted)}, nil))
	if faults != nil {
		t.Fatal(faults)
	}
	for _, own := range []string{"a", "b", "c"} {
		hub, err := mapping.HubDevice(own)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Credential(t.Context(), hub); err != nil {
			t.Fatal(err)
		}
	}
	key, err := decodeKey(planted)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{keys, keys.sources, keys.sources[0], struct{ K *Keys }{keys}, mapping} {
			text := fmt.Sprintf(verb, value)
			for _, bytes := range []string{string(key), hex.EncodeToString(key), fmt.Sprintf("%d", key[:6])[1:18], "0x70, 0x6c, 0x61"} {
				if strings.Contains(text, bytes) || showsPlanted(text) {
					t.Errorf("%s of %T shows a key: %s", verb, value, text)
				}
			}
		}
	}
}
