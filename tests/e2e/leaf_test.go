package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// identities is a deployment whose trackers are devices of IoT Hub.
const identities = `{"schemaVersion": "1.0", "listeners": {
	"trackers": {"bind": "tcp://127.0.0.1:0", "codec": "teltonika", "identity": "device"},
	"meters":   {"bind": "udp://127.0.0.1:0", "codec": "json", "identity": "device", "options": {"id": "/serial", "ack": "OK"}}},
	"identity": {"attachesPerSecond": 100, "twinRequestsPerSecond": 100}}`

// derivedKey is what a leaf device's key must be in the registry: base64 of the HMAC of its id
// with the module's key.
func derivedKey(t *testing.T, sim *world.Simulator, id string) string {
	t.Helper()
	for _, pair := range sim.Env(world.ConnectionString) {
		_, text, ok := strings.Cut(pair, "SharedAccessKey=")
		if !ok {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	t.Fatal("the environment has no key")
	return ""
}

// registerLeaf makes a leaf device known at the hub with the key that is derived for it.
func registerLeaf(t *testing.T, sim *world.Simulator, ids ...string) {
	t.Helper()
	for _, id := range ids {
		sim.Must("POST", "/identities", map[string]any{"device": id, "key": derivedKey(t, sim, id)}, nil)
	}
}

// leafMethod calls a direct method of a leaf device.
func leafMethod(t *testing.T, sim *world.Simulator, id, name string, payload any) (int, json.RawMessage) {
	t.Helper()
	var answer struct {
		Status  int             `json:"status"`
		Payload json.RawMessage `json:"payload"`
	}
	sim.Must("POST", "/twins/"+url.PathEscape(id)+"/methods", map[string]any{
		"methodName": name, "payload": payload, "responseTimeoutInSeconds": 60, "connectTimeoutInSeconds": 30,
	}, &answer)
	return answer.Status, answer.Payload
}

func TestADeviceSendsUnderItsOwnIdentity(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, identities)
	registerLeaf(t, sim, imei)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	d.send(1)
	if n := d.acknowledged(20 * time.Second); n != 1 {
		t.Errorf("%d records acknowledged", n)
	}
	list := sim.WaitMessages(imei, 1, 20*time.Second)
	if m := list[0]; m.Device != imei || m.Module != "" || m.Properties["output"] != "telemetry" || m.Output != "" {
		t.Errorf("the message came as %+v", m)
	}

	// A direct method of the device is a command, and its answer the device's own.
	const version = "Ver:03.27.07_00"
	go func() {
		if text, err := d.command(20 * time.Second); err == nil && text == "getver" {
			d.answer(version)
		}
	}()
	if status, payload := leafMethod(t, sim, imei, "getver", nil); status != 200 || !strings.Contains(string(payload), version) {
		t.Errorf("status %d, payload %s", status, payload)
	}

	// A message from the cloud is one too, completed when the device has answered.
	done := make(chan string, 1)
	go func() {
		text, err := d.command(20 * time.Second)
		if err != nil {
			text = err.Error()
		}
		d.answer("ok")
		done <- text
	}()
	sim.Must("POST", "/devices/"+imei+"/messages/devicebound?command=getinfo", nil, nil)
	if text := <-done; text != "getinfo" {
		t.Errorf("the tracker was told %q", text)
	}

	// Its desired properties reach it, and what it confirms is in its twin.
	go func() {
		for {
			if _, err := d.command(20 * time.Second); err != nil {
				return
			}
			d.answer("New value 1001:60;")
		}
	}()
	sim.Must("PATCH", "/twins/"+imei, map[string]any{
		"properties": map[string]any{"desired": map[string]any{"1001": 60}},
	}, nil)
	world.Eventually(t, 20*time.Second, "the twin has what the device confirmed", func() bool {
		var twin struct {
			Properties struct{ Reported map[string]any }
		}
		sim.Must("GET", "/twins/"+imei, nil, &twin)
		return fmt.Sprint(twin.Properties.Reported["1001"]) == "60"
	})
}
