package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mixed is a deployment with every kind of device that the fleet has.
const mixed = `{"schemaVersion": "1.0", "listeners": {
	"trackers":     {"bind": "tcp://127.0.0.1:0", "codec": "teltonika"},
	"trackers-udp": {"bind": "udp://127.0.0.1:0", "codec": "teltonika"},
	"meters":       {"bind": "udp://127.0.0.1:0", "codec": "json", "options": {"id": "/serial", "ack": "OK"}},
	"lines":        {"bind": "tcp://127.0.0.1:0", "codec": "csv", "options":
		{"columns": ["device", "seq", "time", "value"], "id": "device", "ack": "OK"}}}}`

// fleet is a run of simulated devices that note what was acknowledged.
type fleet struct {
	t      *testing.T
	proc   *process
	report string
}

// startFleet sends the fleet's devices to the gateway's listeners.
func startFleet(t *testing.T, g *gateway, args ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, report: filepath.Join(t.TempDir(), "report.json")}
	args = append([]string{
		"-tcp", g.addr("trackers"), "-udp", g.addr("trackers-udp"),
		"-meters-addr", g.addr("meters"), "-meters-ack", "OK", "-lines-addr", g.addr("lines"),
		"-ack-timeout", "2s", "-settle", "20s", "-report", f.report,
	}, args...)
	f.proc = start(t, "fleet", nil, built.fleet, args...)
	return f
}

// check waits for the fleet's end and lets it compare what its devices were told
// with what reached the cloud. Devices of the test itself are left out.
func (f *fleet) check(sim *simulator, limit time.Duration, others ...string) {
	f.t.Helper()
	if code := f.proc.wait(f.t, limit); code != 0 {
		f.t.Errorf("fleet: exit code %d", code)
	}
	list := slices.DeleteFunc(sim.messages(0), func(m message) bool {
		return slices.Contains(others, m.Properties["deviceId"])
	})
	b, err := json.Marshal(list)
	if err != nil {
		f.t.Fatal(err)
	}
	messages := filepath.Join(f.t.TempDir(), "messages.json")
	if err := os.WriteFile(messages, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	p := start(f.t, "fleet check", nil, built.fleet, "check", "-report", f.report, "-messages", messages)
	if code := p.wait(f.t, 30*time.Second); code != 0 {
		f.t.Errorf("the integrity check failed with exit code %d", code)
	}
	f.t.Log(tail(p.out.String()))
}

func TestTheSimulatorIsKilledAndRestartedUnderTraffic(t *testing.T) {
	t.Parallel()
	sim := startSimulator(t, mixed)
	g := startGateway(t, sim, workload)
	f := startFleet(t, g, "-trackers", "6", "-udp-trackers", "4", "-meters", "4", "-lines", "6",
		"-rate", "20", "-duration", "12s", "-window", "1") // a hub that refuses keeps the order of devices that wait

	sim.waitMessages("line-1", 20, 20*time.Second)
	sim.proc.kill()
	g.logged("edge hub lost")
	sim.start()
	before := len(sim.messages(0))
	eventually(t, 30*time.Second, "messages flow again", func() bool { return len(sim.messages(0)) > before })
	if status, _ := sim.method("ping", nil); status != 200 {
		t.Errorf("ping after the restart: %d", status)
	}
	sim.patch(map[string]any{"log": map[string]any{"level": "debug"}})
	if status := sim.decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Errorf("twin after the restart: %+v", status)
	}
	sim.must("POST", "/connections/drop", nil, nil)
	sim.must("POST", "/connections/drop?polite=true", nil, nil)
	sim.fault(map[string]any{"drop": true, "count": 2})
	sim.fault(map[string]any{"refuse": map[string]any{"condition": "com.microsoft:device-container-throttled"}, "count": 3})
	f.check(sim, 60*time.Second)
}

func TestHostileConnectionsCostNobodyElseAnything(t *testing.T) {
	t.Parallel()
	// Those that misbehave come from an address of their own and may have 500 links
	// of it; 3 s is what a device has to log in.
	sim := startSimulator(t, strings.Replace(mixed, `"codec": "teltonika"}`,
		`"codec": "teltonika", "limits": {"connectionsPerAddress": 500, "loginSeconds": 3}}`, 1))
	g := startGateway(t, sim, workload)
	addr := g.addr("trackers")
	hostile := start(t, "hostile fleet", nil, built.fleet, "-tcp", addr, "-trackers", "0", "-udp-trackers", "0",
		"-meters", "0", "-lines", "0", "-sources", "127.0.0.2",
		"-misbehave", "idle=1000,garbage=20,half=20,oversized=20,slow-loris=20", "-duration", "8s")
	f := startFleet(t, g, "-trackers", "5", "-udp-trackers", "2", "-meters", "2", "-lines", "5",
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
	eventually(t, 10*time.Second, "links over the address's bound are refused", func() bool {
		_, metrics := g.get("/metrics")
		return strings.Contains(metrics, `reason="per-address"`)
	})
	f.check(sim, 60*time.Second, imei)
	if code := hostile.wait(t, 30*time.Second); code != 0 {
		t.Errorf("hostile fleet: exit code %d", code)
	}
	eventually(t, 10*time.Second, "only the tracker's link is left", func() bool {
		_, metrics := g.get("/metrics")
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "causeway_links{") && strings.Contains(line, `listener="trackers"`) {
				return strings.HasSuffix(strings.TrimSpace(line), " 1")
			}
		}
		return false
	})
}
