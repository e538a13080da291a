package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

func TestSendCommandReturnsTheTrackersOwnAnswer(t *testing.T) {
	t.Parallel()
	sendCommandIsAnswered(t, built)
}

func sendCommandIsAnswered(t *testing.T, p world.Programs) {
	t.Helper()
	sim := p.StartSimulator(t, trackers)
	g := p.StartGateway(t, sim, world.Workload)
	addr := g.Addr("trackers")
	d := login(t, addr, imei)

	const version = "Ver:03.27.07_00 GPS:AXN_5.10 Hw:FMB920"
	answered := make(chan string, 1)
	go func() {
		text, err := d.command(20 * time.Second)
		if err != nil {
			text = err.Error()
		} else {
			d.answer(version)
		}
		answered <- text
	}()
	status, payload := sim.Method("sendCommand", map[string]any{"deviceId": imei, "command": "getver"})
	if text := <-answered; text != "getver" {
		t.Errorf("the tracker was told %q", text)
	}
	if status != 200 || !strings.Contains(string(payload), version) {
		t.Errorf("status %d, payload %s", status, payload)
	}

	status, payload = sim.Method("sendCommand", map[string]any{"deviceId": imei, "command": "getinfo", "timeoutSeconds": 1})
	if status != 504 {
		t.Errorf("a silent device: status %d, payload %s", status, payload)
	}
	status, payload = sim.Method("sendCommand", map[string]any{"deviceId": "nobody", "command": "getver"})
	if status != 404 {
		t.Errorf("an absent device: status %d, payload %s", status, payload)
	}
	status, payload = sim.Method("sendCommand", map[string]any{"deviceId": "nobody", "command": "getver", "queueSeconds": 1})
	if status != 408 {
		t.Errorf("an expired command: status %d, payload %s", status, payload)
	}
	_, metrics := g.Get("/metrics")
	for _, outcome := range []string{"answered", "no-answer"} {
		if !regexp.MustCompile(`(?m)^causeway_commands_total\{.*outcome="` + outcome + `"\} 1$`).MatchString(metrics) {
			t.Errorf("no command is counted as %s", outcome)
		}
	}
}

func TestAQueuedCommandReachesTheDeviceWhenItComes(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	addr := g.Addr("trackers")
	type answer struct {
		status  int
		payload json.RawMessage
	}
	done := make(chan answer, 1)
	go func() {
		status, payload := sim.Method("sendCommand", map[string]any{
			"deviceId": imei, "command": "getver", "queueSeconds": 30,
		})
		done <- answer{status, payload}
	}()
	d := login(t, addr, imei)
	text, err := d.command(20 * time.Second)
	if err != nil || text != "getver" {
		t.Fatalf("the tracker was told %q, %v", text, err)
	}
	d.answer("Ver:1")
	if a := <-done; a.status != 200 || !strings.Contains(string(a.payload), "Ver:1") {
		t.Errorf("status %d, payload %s", a.status, a.payload)
	}
}

func TestTheOtherMethodsAnswer(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.ConnectionString)
	d := login(t, g.Addr("trackers"), imei)
	for _, c := range []struct {
		method  string
		payload any
		status  int
		holds   string
	}{
		{"ping", nil, 200, `"pong":true`},
		{"getStatus", nil, 200, `"connected":true`},
		{"listDevices", nil, 200, imei},
		{"listDevices", map[string]any{"after": imei}, 200, `"devices":[]`},
		{"getDevice", map[string]any{"deviceId": imei}, 200, `"listener":"trackers"`},
		{"getDevice", map[string]any{"deviceId": "nobody"}, 404, "nobody"},
		{"decode", map[string]any{"codec": "teltonika", "hex": "000f333536333037303432343431303133"}, 200, `"kind":"identity"`},
		{"decode", map[string]any{"listener": "trackers", "hex": "01"}, 200, `"good":false`},
		{"decode", map[string]any{"codec": "unheard-of", "hex": "01"}, 400, "teltonika"},
		{"setLogLevel", map[string]any{"level": "debug"}, 200, "debug"},
		{"setLogLevel", map[string]any{"level": "loud"}, 400, "loud"},
		{"sendRaw", map[string]any{"deviceId": imei, "hex": "zz"}, 400, "hex"},
		{"reboot", nil, 400, "sendCommand"},
	} {
		if status, payload := sim.Method(c.method, c.payload); status != c.status || !strings.Contains(string(payload), c.holds) {
			t.Errorf("%s %v: status %d, payload %s", c.method, c.payload, status, payload)
		}
	}
	if status, payload := sim.Method("sendRaw", map[string]any{"deviceId": imei, "hex": "0102"}); status != 200 {
		t.Errorf("sendRaw: status %d, payload %s", status, payload)
	}
	if b := d.read(2, 5*time.Second); b[0] != 1 || b[1] != 2 {
		t.Errorf("the device got % x", b)
	}
	if status, _ := sim.Method("disconnectDevice", map[string]any{"deviceId": imei}); status != 200 {
		t.Errorf("disconnectDevice: status %d", status)
	}
	if _, err := d.tryRead(1, 5*time.Second); err == nil {
		t.Error("the device is still connected")
	}
}

func TestDesiredValuesReachTheDeviceAndAreReported(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	sim.Patch(map[string]any{"devices": map[string]any{imei: map[string]any{"desired": map[string]any{"2001": "internet"}}}})
	text, err := d.command(20 * time.Second)
	if err != nil || !strings.Contains(text, "2001:internet") {
		t.Fatalf("the tracker was told %q, %v", text, err)
	}
	d.answer("New value 2001:internet;")
	world.Eventually(t, 20*time.Second, "the confirmed value is reported", func() bool {
		reported := sim.Twin().Properties.Reported.Devices[imei].Reported
		return strings.Contains(string(reported), `"internet"`)
	})
}
