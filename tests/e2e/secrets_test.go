package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// plantedKey is a device's key with a word in it that is looked for.
func plantedKey(where string) string {
	return base64.StdEncoding.EncodeToString([]byte("PLANTED-" + where + strings.Repeat(".", 20)))
}

// plantedIn is where in a text the word is, in one of the forms that it may have.
func plantedIn(text string) string {
	word := []byte("PLANTED")
	for _, form := range []string{
		string(word), hex.EncodeToString(word), base64.StdEncoding.EncodeToString(word)[:8],
		base64.StdEncoding.EncodeToString(append([]byte("x"), word...))[2:9],
		base64.StdEncoding.EncodeToString(append([]byte("xx"), word...))[3:10],
	} {
		if at := strings.Index(text, form); at >= 0 {
			return text[max(0, at-100):min(len(text), at+100)]
		}
	}
	return ""
}

// Devices prove themselves by keys of all kinds, right and wrong ones, and neither the cloud
// nor who reads the gateway's log, metrics and methods sees any of it.
func TestNoKeyOfADeviceIsShown(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/http-1", "/http-2":
			_, _ = fmt.Fprintf(w, `{"key":%q}`, plantedKey("of-a-service"))
		case "/http-3":
			_, _ = fmt.Fprintf(w, `{"key":"no base64: %s"}`, r.Header.Get("Authorization"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer service.Close()
	desired := strings.Replace(meters, `"identity": {`, `
		"events": {"connected": true, "disconnected": true, "identityAttached": true, "identityDetached": true, "identityRefused": true},
		"devices": {"twin-1": {"key": "`+plantedKey("in-the-twin")+`"}, "twin-2": {"key": "`+plantedKey("wrong")+`"}},
		"identity": {"keys": {
			"a": {"kind": "twin", "order": 1},
			"b": {"kind": "http", "order": 2, "url": "`+service.URL+`/{device}", "headers": {"Authorization": {"env": "KEYS_LOGIN"}}},
			"c": {"kind": "group", "order": 3, "key": {"env": "KEYS_GROUP"}}},`, 1)
	p := overAMQP()
	sim := p.StartSimulator(t, desired)
	sim.AddLeaves("twin-1", plantedKey("in-the-twin"))
	sim.AddLeaves("http-1", plantedKey("of-a-service"))
	for _, id := range []string{"twin-2", "http-2"} { // the hub has others
		sim.AddLeaves(id, base64.StdEncoding.EncodeToString([]byte("another key of thirty-two bytes.")))
	}
	g := p.StartGateway(t, sim, world.Workload, "CAUSEWAY_LOG_LEVEL=verbose",
		"KEYS_LOGIN=Bearer PLANTED-login", "KEYS_GROUP="+plantedKey("of-a-group"))
	for _, id := range []string{"twin-1", "http-1"} {
		if err := dialMeter(t, g.Addr("meters"), id).send(20 * time.Second); err != nil {
			t.Error(err)
		}
	}
	refused := []string{"twin-2", "http-2", "http-3", "group-1"}
	for _, id := range refused {
		m := dialMeter(t, g.Addr("meters"), id)
		if err := m.put(); err != nil {
			t.Error(err)
		}
		if _, err := m.conn.Write([]byte("garbage of " + id + "\n")); err != nil {
			t.Error(err)
		}
	}
	said := make(map[string]string)
	world.Eventually(t, 30*time.Second, "they are refused, and why", func() bool {
		status, payload := sim.Method("listIdentities", nil)
		said["listIdentities"] = string(payload)
		var list struct {
			Identities []struct{ State, Reason string } `json:"identities"`
		}
		if err := json.Unmarshal(payload, &list); err != nil || status != 200 {
			t.Fatalf("listIdentities: %d, %s", status, payload)
		}
		n := 0
		for _, d := range list.Identities {
			if d.State == "refused" && d.Reason != "" {
				n++
			}
		}
		return n == len(refused)
	})
	world.Eventually(t, 20*time.Second, "events of it", func() bool {
		n := 0
		for _, m := range sim.Messages(0) {
			if m.Properties["kind"] == "identityRefused" {
				n++
			}
		}
		return n >= len(refused)
	})
	for _, id := range append(refused, "twin-1", "http-1") {
		_, payload := sim.Method("getDevice", map[string]string{"deviceId": id})
		said["getDevice "+id] = string(payload)
	}
	for _, name := range []string{"getStatus", "listDevices", "listDeadLetters"} {
		_, payload := sim.Method(name, nil)
		said[name] = string(payload)
	}
	for _, m := range sim.Messages(0) {
		said["a message"] += fmt.Sprintf("%v %v %s %s\n", m.Properties, m.System, m.Body, m.BodyBase64)
	}
	var twin struct {
		Properties struct {
			Reported json.RawMessage `json:"reported"`
		} `json:"properties"`
	}
	sim.Must("GET", "/twins/edge/modules/"+world.Module, nil, &twin)
	said["reported properties"] = string(twin.Properties.Reported)
	_, said["metrics"] = g.Get("/metrics")
	if code := g.Proc.Terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	said["log"] = g.Proc.Output()
	for what, text := range said {
		if text == "" {
			t.Errorf("%s is empty", what)
		}
		if found := plantedIn(text); found != "" {
			t.Errorf("%s shows %s", what, found)
		}
	}
	if !strings.Contains(said["log"], "[VRB]") && !strings.Contains(said["log"], "[DBG]") {
		t.Error("the log is not verbose")
	}
	keptFromOthers(t, g.Data)
}

// keptFromOthers looks through what is on disk: only the copy of the twin has keys, and it is
// its owner's.
func keptFromOthers(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if found := plantedIn(string(b)); found != "" && (d.Name() != "lastgood.json" || info.Mode().Perm() != 0o600) {
			t.Errorf("%s, %v, shows %q", d.Name(), info.Mode(), found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
