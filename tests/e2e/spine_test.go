package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// trackers is a deployment with one listener for Teltonika trackers.
const trackers = `{"schemaVersion": "1.0", "listeners": {
	"trackers": {"bind": "tcp://127.0.0.1:0", "codec": "teltonika"}}}`

const imei = "356307042441013"

func TestATrackerIsAcknowledgedOnlyAfterTheHubHasSettled(t *testing.T) {
	t.Parallel()
	for _, style := range []string{world.Workload, world.ConnectionString} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			acknowledgedAfterTheHub(t, built, style)
		})
	}
}

func acknowledgedAfterTheHub(t *testing.T, p world.Programs, style string) {
	t.Helper()
	sim := p.StartSimulator(t, trackers)
	g := p.StartGateway(t, sim, style)
	d := login(t, g.Addr("trackers"), imei)

	const held = 2 * time.Second
	sim.Fault(map[string]any{"delayMs": held.Milliseconds()})
	sent := time.Now()
	d.send(3)
	d.silent(held - 500*time.Millisecond)
	if n := d.acknowledged(10 * time.Second); n != 3 {
		t.Errorf("acknowledged %d records, sent 3", n)
	}
	if waited := time.Since(sent); waited < held {
		t.Errorf("acknowledged after %v, the hub settled after %v", waited, held)
	}

	list := sim.WaitMessages(imei, 3, 30*time.Second)
	for i, m := range list {
		if m.Output != "telemetry" || m.System["contentType"] != "application/json" {
			t.Errorf("message %d: output %q, content type %q", i, m.Output, m.System["contentType"])
		}
		if seq := sequence(t, m); seq != i+1 {
			t.Errorf("message %d carries sequence %d", i, seq)
		}
		if !strings.HasPrefix(m.System["messageId"], imei+"-") {
			t.Errorf("message %d has id %q", i, m.System["messageId"])
		}
	}
}

// sequence reads the number that the tracker put into AVL element 199.
func sequence(t *testing.T, m world.Message) int {
	t.Helper()
	var body struct {
		IO map[string]json.RawMessage `json:"io"`
	}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatalf("body %s: %v", m.Body, err)
	}
	for name, value := range body.IO {
		if strings.Contains(strings.ToLower(name), "trip") && strings.Contains(strings.ToLower(name), "odometer") {
			n, err := strconv.Atoi(string(value))
			if err != nil {
				t.Fatalf("element %s of %s: %v", name, m.Body, err)
			}
			return n
		}
	}
	t.Fatalf("no trip odometer in %s", m.Body)
	return 0
}

func TestADeviceThatMayNotComeInIsRefusedAndClosed(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0", "listeners": {"trackers": {"bind": "tcp://127.0.0.1:0",
		"codec": "teltonika", "unknownDevices": "allow-pattern", "allowPattern": "^35"}}}`)
	g := built.StartGateway(t, sim, world.Workload)
	addr := g.Addr("trackers")
	stranger, accepted := dialTracker(t, addr, "111111111111111")
	if accepted {
		t.Fatal("a device outside the pattern was accepted")
	}
	if _, err := stranger.tryRead(1, 5*time.Second); err == nil {
		t.Error("the refused device's link stays open")
	}
	login(t, addr, imei)
}

func TestASecondLoginTakesOver(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	addr := g.Addr("trackers")
	first := login(t, addr, imei)
	second := login(t, addr, imei)
	if _, err := first.tryRead(1, 5*time.Second); err == nil {
		t.Error("the first link stays open")
	}
	second.send(1)
	if n := second.acknowledged(10 * time.Second); n != 1 {
		t.Errorf("acknowledged %d, sent 1", n)
	}
}

func TestSigtermAcknowledgesWhatWasTakenAndEndsInTime(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	sim.Fault(map[string]any{"delayMs": 1500})
	d.send(2)
	d.silent(300 * time.Millisecond) // the hub has it, and holds its answer
	began := time.Now()
	if code := g.Proc.Terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the end took %v", took)
	}
	if n := d.acknowledged(time.Second); n != 2 {
		t.Errorf("acknowledged %d, sent 2", n)
	}
	sim.WaitMessages(imei, 2, 10*time.Second)
}

func TestTheGatewayServesAndKeepsWhileTheHubIsAwayAndItIsKilledItself(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.ConnectionString)
	if code := g.Proc.Terminate(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	sim.Must("POST", "/hub/down", nil, nil)
	g.Start()
	g.Logged("last good configuration applied")
	if status, body := g.Get("/readyz"); status != 200 || !strings.Contains(body, `"hubConnected":false`) {
		t.Errorf("readyz without a hub: %d %s", status, body)
	}
	var ready struct {
		Details struct {
			Listeners map[string]struct{ Bind string } `json:"listeners"`
		} `json:"details"`
	}
	_, body := g.Get("/readyz")
	if err := json.Unmarshal([]byte(body), &ready); err != nil {
		t.Fatal(err)
	}
	d := login(t, strings.TrimPrefix(ready.Details.Listeners["trackers"].Bind, "tcp://"), imei)
	d.send(3)
	if n := d.acknowledged(10 * time.Second); n != 3 { // from the disk
		t.Errorf("acknowledged %d, sent 3", n)
	}

	g.Kill()
	g.Start()
	g.Logged("spool holds messages of an earlier life")
	sim.Must("POST", "/hub/up", nil, nil)
	for i, m := range sim.WaitMessages(imei, 3, 30*time.Second) {
		if seq := sequence(t, m); seq != i+1 {
			t.Errorf("message %d carries sequence %d", i, seq)
		}
	}
	world.Eventually(t, 30*time.Second, "the disk is empty", func() bool {
		_, payload := sim.Method("getStatus", nil)
		return strings.Contains(string(payload), `"spool":{"state":"idle","messages":0,`)
	})
}
