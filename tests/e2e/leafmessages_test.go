package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// impatient is a deployment of trackers whose codec gives a silent one up before the cloud does.
const impatient = `{"schemaVersion": "1.0", "listeners": {
	"trackers": {"bind": "tcp://127.0.0.1:0", "codec": "teltonika", "identity": "device", "options": {"commandTimeoutSeconds": 2}}},
	"identity": {"attachesPerSecond": 100, "twinRequestsPerSecond": 100}}`

// told waits until the tracker gets a command.
func (d *tracker) told(want string) {
	d.t.Helper()
	if text, err := d.command(40 * time.Second); text != want || err != nil {
		d.t.Fatalf("tracker %s is told %q, %v, want %q", d.id, text, err, want)
	}
}

// deliveries holds how the deliveries of messages to a device were settled, once none is under way.
func deliveries(t *testing.T, sim *world.Simulator, device string, completed, abandoned, rejected uint64) {
	t.Helper()
	s := sim.Stats().Identities[device]
	if s.Completed != completed || s.Abandoned+s.Lost != abandoned || s.Rejected != rejected {
		t.Errorf("of the deliveries to %s %d were completed, %d abandoned, %d left unsettled, %d rejected; want %d, %d in all, %d",
			device, s.Completed, s.Abandoned, s.Lost, s.Rejected, completed, abandoned, rejected)
	}
}

// What a device has not confirmed comes again, until it does.
func TestAMessageIsAbandonedUntilItsDeviceAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deployment string
		// miss has the device not answer, and returns it as it is when the message comes again.
		miss func(g *world.Gateway, d *tracker) *tracker
	}{
		"silent for too long": {identities, func(_ *world.Gateway, d *tracker) *tracker {
			d.silent(22 * time.Second) // it has 20 s
			d.answer("too late")
			return d
		}},
		"given up by its codec": {impatient, func(_ *world.Gateway, d *tracker) *tracker { return d }},
		"gone": {identities, func(g *world.Gateway, d *tracker) *tracker {
			_ = d.conn.Close()
			return login(d.t, g.Addr("trackers"), d.id)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := overAMQP()
			sim := p.StartSimulator(t, c.deployment)
			sim.AddLeaves(imei, world.Derived)
			g := p.StartGateway(t, sim, world.Workload)
			d := login(t, g.Addr("trackers"), imei)
			id := sim.SendTo(imei, nil, map[string]string{"command": "getinfo", "iothub-ack": "full"}, 0)
			d.told("getinfo")
			d = c.miss(g, d)
			d.told("getinfo")
			if end, ended := sim.Ends()[id]; ended {
				t.Errorf("before the device has answered it has ended as %s", end.Status)
			}
			d.answer("INI:2026/11/29")
			if status := sim.WaitEnd(id, 20*time.Second); status != "Success" {
				t.Errorf("the message ended as %s", status)
			}
			d.silent(2 * time.Second)
			deliveries(t, sim, imei, 1, 1, 0)
		})
	}
}

// A formatter in the vendors' convention, which has no answers, and refuses what it does not know.
const valves = `
function decodeUplink(input) { return { data: { deviceId: String.fromCharCode.apply(null, input.bytes) } }; }
function encodeDownlink(input) {
	if (input.command === "open") return { bytes: [79], fPort: 3 };
	if (input.command === "desired") return { bytes: [68, input.data.minutes] };
	return { errors: ["a valve has no " + input.command] };
}`

// valve is a device over UDP that only listens.
type valve struct {
	t    *testing.T
	conn net.Conn
	id   string
}

func (v *valve) says() {
	v.t.Helper()
	if _, err := v.conn.Write([]byte(v.id)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *valve) hears(want string) {
	v.t.Helper()
	b := make([]byte, 100)
	_ = v.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := v.conn.Read(b); string(b[:n]) != want || err != nil {
		v.t.Fatalf("valve %s hears %q, %v, want %q", v.id, b[:n], err, want)
	}
}

// Nobody knows whether it has arrived: neither a message from the cloud nor a twin says so, unless it
// was said that sending is enough.
func TestWhatNobodyConfirmsIsNotTakenForConfirmed(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	script := filepath.Join(t.TempDir(), "valves.js")
	if err := os.WriteFile(script, []byte(valves), 0o600); err != nil {
		t.Fatal(err)
	}
	listener := func(more string) string {
		return `{"bind": "udp://127.0.0.1:0", "codec": "valves", "identity": "device", "options": {"id": "/deviceId"}` + more + `}`
	}
	sim := p.StartSimulator(t, `{"schemaVersion": "1.0", "codecs": {"valves": {"kind": "js", "source": "file://`+script+`"}},
		"listeners": {"strict": `+listener("")+`, "lenient": `+listener(`, "unconfirmed": "complete"`)+`},
		"identity": {"attachesPerSecond": 100, "twinRequestsPerSecond": 100}}`)
	g := p.StartGateway(t, sim, world.Workload)
	sim.AddLeaves("valve-of-[1-2]", world.Derived)
	by := map[string]*valve{}
	for id, name := range map[string]string{"valve-of-1": "strict", "valve-of-2": "lenient"} {
		conn, err := net.Dial("udp", g.Addr(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		by[id] = &valve{t, conn, id}
		by[id].says()
	}
	for _, c := range []struct{ device, command, hears, end string }{
		{"valve-of-1", "open", "O", "Rejected"},
		{"valve-of-2", "open", "O", "Success"},
		{"valve-of-1", "fly", "", "Rejected"},
		{"valve-of-2", "fly", "", "Rejected"},
	} {
		id := sim.SendTo(c.device, nil, map[string]string{"command": c.command, "iothub-ack": "full"}, 0)
		if c.hears != "" {
			by[c.device].hears(c.hears)
		}
		if status := sim.WaitEnd(id, 30*time.Second); status != c.end {
			t.Errorf("the message %s to %s ended as %s, want %s", c.command, c.device, status, c.end)
		}
	}
	deliveries(t, sim, "valve-of-1", 0, 0, 2)
	deliveries(t, sim, "valve-of-2", 1, 0, 1)

	status, payload := sim.LeafMethod("valve-of-1", "open", nil)
	if status != 202 || string(payload) != `{"sent":true,"codec":{"fPort":3}}` {
		t.Errorf("the method: status %d, %s", status, payload)
	}
	by["valve-of-1"].hears("O")

	for id, v := range by { // also where sending is enough for messages
		sim.PatchLeaf(id, map[string]any{"minutes": 65})
		v.hears("DA")
		sim.WaitReported(id, 20*time.Second, "that its values were sent", func(reported map[string]any) bool {
			text, _ := json.Marshal(reported)
			return strings.Contains(string(text), `"code":202`) && strings.Contains(string(text), "confirms nothing") &&
				!strings.Contains(string(text), "minutes")
		})
		v.says()
	}
	sim.WaitLeafMessages([]string{"valve-of-1", "valve-of-2"}, 2, 20*time.Second)
	for id, v := range by { // they have come again, and are told nothing before this
		sim.PatchLeaf(id, map[string]any{"minutes": 66})
		v.hears("DB")
	}
}
