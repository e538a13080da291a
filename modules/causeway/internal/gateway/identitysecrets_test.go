package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
)

// plantedKey is a device's key with the planted word in it.
func plantedKey(where string) string {
	return base64.StdEncoding.EncodeToString([]byte("PLANTED-key-" + where + strings.Repeat(".", 16)))
}

// keyService answers with keys, and with all that a service could say of them by mistake.
func keyService(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		answers := map[string]string{
			"/http-1": `{"key":"` + plantedKey("of-the-service") + `"}`, "/bad-1": `{"key":"PLANTED is no base64"}`,
			"/bad-2": `{"key":"` + plantedKey("too-much") + `","certificate":"PLANTED","privateKey":"PLANTED"}`,
			"/bad-3": `{"certificate":"PLANTED","privateKey":"PLANTED"}`, "/bad-4": header + " is wrong",
			"/bad-5": header, "/bad-6": header, "/bad-7": header,
		}
		switch r.URL.Path {
		case "/bad-5":
			w.WriteHeader(http.StatusForbidden)
		case "/bad-6":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/bad-7":
			w.Header().Set("Location", "/"+header)
			w.WriteHeader(http.StatusFound)
		}
		if answers[r.URL.Path] == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprint(w, answers[r.URL.Path])
	}))
	t.Cleanup(s.Close)
	return s
}

// Keys of devices are put wherever there can be one, and everything that the gateway says
// or keeps is looked through for them, see TestNoSecretIsShownAnywhere.
func TestNoSecretOfAnIdentityIsShownAnywhere(t *testing.T) {
	service := keyService(t)
	folder := t.TempDir()
	t.Setenv("CAUSEWAY_TEST_HEADER", "Bearer PLANTED-in-a-header")
	t.Setenv("CAUSEWAY_TEST_GROUP", plantedKey("of-the-group"))
	policy := filepath.Join(folder, "policy")
	for path, text := range map[string]string{
		policy:                               "HostName=h.example;SharedAccessKeyName=device;SharedAccessKey=" + plantedKey("of-the-policy"),
		filepath.Join(folder, "keys.json"):   `{"file-1":"` + plantedKey("in-a-file") + `"}`,
		filepath.Join(folder, "faulty.json"): `{"file-1":"PLANTED is no base64"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := environment(t)
	log := &lines{}
	g := loudGateway(t, env, log)
	stop := run(t, g)

	identities := func(file string) string {
		return `,"devices":{"twin-1":{"key":"` + plantedKey("in-the-twin") + `","desired":{"a":1}}},"identity":{"keys":{
			"a-twin": {"kind":"twin","order":1},
			"b-http": {"kind":"http","order":2,"url":"` + service.URL + `/{device}","headers":{"Authorization":{"env":"CAUSEWAY_TEST_HEADER"}}},
			"c-file": {"kind":"file","order":3,"path":"` + filepath.Join(folder, file) + `"},
			"d-group": {"kind":"group","order":4,"key":{"env":"CAUSEWAY_TEST_GROUP"}},
			"e-policy": {"kind":"policy","order":5,"connectionString":{"file":"` + policy + `"}}}},
			"events":{"identityAttached":true,"identityDetached":true,"connected":true}`
	}
	const listener = `,"identity":"device"`
	x := guardedDevices(t, g, "")
	ids := []string{"twin-1", "http-1", "file-1", "group-1", "policy!1"}
	for n := range 7 {
		ids = append(ids, fmt.Sprintf("bad-%d", n+1))
	}
	var said []string
	proven := make(map[string]bool)
	for _, file := range []string{"keys.json", "faulty.json", "not-there.json"} {
		x.desire(identities(file), listener)
		for _, id := range ids {
			c := x.client("tcp")
			c.say("login "+id, "welcome")
			c.say("note a", "OK")
			c.send("garbage of " + id)
			proof, err := g.identities.credential(t.Context(), id)
			if err == nil {
				proven[id] = true
				signed, err := proof.Signer.Sign(t.Context(), []byte("data"))
				said = append(said, fmt.Sprintf("proof of %s: %v %+v %s %v", id, proof, proof, signed, err))
				continue
			}
			said = append(said, "reason of "+id+": "+err.Error())
			g.identities.Leaf(hub.LeafStatus{Device: id, ID: id, State: hub.LeafRefused, Reason: err.Error()})
			g.identities.denied(id)
		}
	}
	for _, id := range ids[:5] {
		if !proven[id] {
			t.Errorf("no source has a key of %s", id)
		}
	}
	for i, bad := range []string{
		`{"devices":{"d":{"key":"PLANTED is no base64"}}}`,
		`{"devices":{"d":{"key":["PLANTED"]}}}`,
		`{"identity":{"keys":{"a":{"kind":"group","key":"PLANTED"}}}}`,
		`{"identity":{"keys":{"a":{"kind":"group","key":{"text":"PLANTED"}}}}}`,
		`{"identity":{"keys":{"a":{"kind":"group","key":{"env":"CAUSEWAY_TEST_HEADER"}}}}}`,
		`{"identity":{"keys":{"a":{"kind":"policy","connectionString":"PLANTED"}}}}`,
		`{"identity":{"keys":{"a":{"kind":"policy","connectionString":{"env":"CAUSEWAY_TEST_HEADER"}}}}}`,
		`{"identity":{"keys":{"a":{"kind":"policy","connectionString":{"env":"CAUSEWAY_TEST_GROUP"}}}}}`,
		`{"identity":{"keys":{"a":{"kind":"http","url":"http://PLANTED@h/{device}"}}}}`,
		`{"identity":{"keys":{"a":{"kind":"http","url":"https://h/{device}","headers":{"A":["PLANTED"]}}}}}`,
	} {
		g.applyDesired(json.RawMessage(bad), int64(100+i))
		if g.status.Code != 400 {
			t.Errorf("%s is taken", bad)
		}
		said = append(said, "status of "+bad[:20]+": "+g.status.Description)
	}
	x.desire(identities("keys.json"), listener) // the one that is kept
	said = append(said, fmt.Sprintf("devices: %v %+v", g.current().Devices, g.current().Devices))
	said = append(said, sayings(t, g, ids)...)
	stop()
	said = append(said, "log: "+log.text.String())
	for _, text := range said {
		if found := shown(text); found != "" {
			t.Errorf("%.30s shows %s", text, found)
		}
	}
	for _, want := range []string{"device's identity refused", "the key is not base64"} {
		if !strings.Contains(log.text.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
	lookThrough(t, env.DataDir)
}

// sayings is all that methods, reported properties and metrics say, of some devices
// by name.
func sayings(t *testing.T, g *Gateway, devices []string) (said []string) {
	t.Helper()
	for _, name := range g.methods.Names() {
		if name == "putDevice" || name == "importDevices" {
			continue // they take secrets, and are called by who tests that
		}
		said = append(said, name+": "+string(g.methods.Call(t.Context(), name, nil).Payload))
	}
	for _, id := range devices {
		payload := json.RawMessage(`{"deviceId":"` + id + `"}`)
		said = append(said, "getDevice: "+string(g.methods.Call(t.Context(), "getDevice", payload).Payload))
	}
	reported, err := json.Marshal(g.describe())
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	g.observers.metrics.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	return append(said, "reported: "+string(reported), "metrics: "+page.Body.String())
}
