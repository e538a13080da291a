package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// mixed is a deployment with every kind of device that the fleet has.
const mixed = `{"schemaVersion": "1.0", "listeners": {
	"trackers":     {"bind": "tcp://127.0.0.1:0", "codec": "teltonika"},
	"trackers-udp": {"bind": "udp://127.0.0.1:0", "codec": "teltonika"},
	"meters":       {"bind": "udp://127.0.0.1:0", "codec": "json", "options": {"id": "/serial", "ack": "OK"}},
	"lines":        {"bind": "tcp://127.0.0.1:0", "codec": "csv", "options":
		{"columns": ["device", "seq", "time", "value"], "id": "device", "ack": "OK"}}}}`

func TestTheSimulatorIsKilledAndRestartedUnderTraffic(t *testing.T) {
	t.Parallel()
	killedUnderTraffic(t, built, "12s")
}

func killedUnderTraffic(t *testing.T, p world.Programs, duration string) {
	t.Helper()
	sim := p.StartSimulator(t, mixed)
	g := p.StartGateway(t, sim, world.Workload)
	f := p.StartFleet(t, g.Addresses(), "-trackers", "6", "-udp-trackers", "4", "-meters", "4", "-lines", "6",
		"-rate", "20", "-duration", duration, "-window", "1") // a hub that refuses keeps the order of devices that wait

	sim.WaitMessages("line-1", 20, 20*time.Second)
	sim.Proc.Kill()
	g.Logged("edge hub lost")
	sim.Start()
	before := len(sim.Messages(0))
	world.Eventually(t, 30*time.Second, "messages flow again", func() bool { return len(sim.Messages(0)) > before })
	if status, _ := sim.Method("ping", nil); status != 200 {
		t.Errorf("ping after the restart: %d", status)
	}
	sim.Patch(map[string]any{"log": map[string]any{"level": "debug"}})
	if status := sim.Decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Errorf("twin after the restart: %+v", status)
	}
	sim.Must("POST", "/connections/drop", nil, nil)
	sim.Must("POST", "/connections/drop?polite=true", nil, nil)
	sim.Fault(map[string]any{"drop": true, "count": 2})
	sim.Fault(map[string]any{"refuse": map[string]any{"condition": "com.microsoft:device-container-throttled"}, "count": 3})
	f.Proc.Wait(t, 60*time.Second)
	// Over MQTT each of the five faults has cost a connection, the next of which comes up to 10 s
	// later, and meanwhile the disk has acknowledged.
	zero := regexp.MustCompile(`(?m)^causeway_(hub_queue_bytes|spool_messages)\{.*\} 0$`)
	world.Eventually(t, 90*time.Second, "the hub has everything", func() bool {
		_, metrics := g.Get("/metrics")
		return len(zero.FindAllString(metrics, -1)) == 2
	})
	f.Check(sim, 60*time.Second)
}

func TestHostileConnectionsCostNobodyElseAnything(t *testing.T) {
	t.Parallel()
	// Those that misbehave come from an address of their own and may have 500 links
	// of it; 3 s is what a device has to log in.
	sim := built.StartSimulator(t, strings.Replace(mixed, `"codec": "teltonika"}`,
		`"codec": "teltonika", "limits": {"connectionsPerAddress": 500, "loginSeconds": 3}}`, 1))
	g := built.StartGateway(t, sim, world.Workload)
	addr := g.Addr("trackers")
	hostile := world.Start(t, "hostile fleet", nil, built.Fleet, "-tcp", addr, "-trackers", "0", "-udp-trackers", "0",
		"-meters", "0", "-lines", "0", "-sources", "127.0.0.2",
		"-misbehave", "idle=1000,garbage=20,half=20,oversized=20,slow-loris=20", "-duration", "8s")
	f := built.StartFleet(t, g.Addresses(), "-trackers", "5", "-udp-trackers", "2", "-meters", "2", "-lines", "5",
		"-rate", "10", "-duration", "8s")
	d := login(t, addr, imei)
	for range 3 {
		began := time.Now()
		d.send(1)
		if n := d.acknowledged(5 * time.Second); n != 1 {
			t.Fatalf("acknowledged %d, sent 1", n)
		}
		t.Logf("acknowledged within %v beside the hostile links", time.Since(began))
	}
	world.Eventually(t, 30*time.Second, "links over the address's bound are refused", func() bool {
		_, metrics := g.Get("/metrics")
		return strings.Contains(metrics, `reason="per-address"`)
	})
	f.Check(sim, 60*time.Second, imei)
	if code := hostile.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("hostile fleet: exit code %d", code)
	}
	world.Eventually(t, 30*time.Second, "only the tracker's link is left", func() bool {
		_, metrics := g.Get("/metrics")
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "causeway_links{") && strings.Contains(line, `listener="trackers"`) {
				return strings.HasSuffix(strings.TrimSpace(line), " 1")
			}
		}
		return false
	})
}
