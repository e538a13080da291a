package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

func TestATwinPatchAddsAListenerWhileConnectionsStayOpen(t *testing.T) {
	t.Parallel()
	aPatchAddsAListener(t, built)
}

func aPatchAddsAListener(t *testing.T, p world.Programs) {
	t.Helper()
	sim := p.StartSimulator(t, trackers)
	g := p.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)

	sim.Patch(map[string]any{"listeners": map[string]any{"lines": map[string]any{
		"bind": "tcp://127.0.0.1:0", "codec": "csv", "options": map[string]any{"columns": []string{"id", "seq", "value"}, "id": "id"},
		"output": "lines",
	}}})
	if status := sim.Decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Fatalf("the patch was answered with %d: %s", status.Code, status.Description)
	}
	line, err := net.Dial("tcp", g.Addr("lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = line.Close() }()
	if _, err := line.Write([]byte("line-1,1,21.5\n")); err != nil {
		t.Fatal(err)
	}
	if m := sim.WaitMessages("line-1", 1, 10*time.Second)[0]; m.Output != "lines" {
		t.Errorf("output %q", m.Output)
	}
	d.send(1)
	if n := d.acknowledged(10 * time.Second); n != 1 {
		t.Errorf("the tracker's connection did not survive: acknowledged %d", n)
	}

	sim.Patch(map[string]any{
		"listeners": map[string]any{
			"lines": map[string]any{"ack": "sometimes"},
			"extra": map[string]any{"bind": "tcp://127.0.0.1:0", "codec": "morse"},
		},
		"colour": "blue",
	})
	reported := sim.Decided().Properties.Reported
	if reported.LastDesiredStatus.Code != 400 {
		t.Errorf("a faulty patch was answered with %d", reported.LastDesiredStatus.Code)
	}
	for _, pointer := range []string{"/listeners/lines/ack", "/colour"} {
		if !strings.Contains(reported.LastDesiredStatus.Description, pointer) {
			t.Errorf("%s is not in %q", pointer, reported.LastDesiredStatus.Description)
		}
	}
	if _, open := reported.Listeners["extra"]; open || len(reported.Listeners) != 2 {
		t.Errorf("listeners after the faulty patch: %v", reported.Listeners)
	}
	d.send(1)
	if n := d.acknowledged(10 * time.Second); n != 1 {
		t.Errorf("the old configuration does not run on: acknowledged %d", n)
	}

	sim.Patch(map[string]any{"listeners": map[string]any{"lines": nil, "extra": nil}, "colour": nil})
	reported = sim.Decided().Properties.Reported
	if reported.LastDesiredStatus.Code != 200 || len(reported.Listeners) != 1 {
		t.Errorf("after the repair: %+v, listeners %v", reported.LastDesiredStatus, reported.Listeners)
	}
	if _, err := line.Read(make([]byte, 1)); err == nil {
		t.Error("the removed listener's connection is still open")
	}
	d.send(1)
	if n := d.acknowledged(10 * time.Second); n != 1 {
		t.Errorf("the tracker's connection did not survive the repair: acknowledged %d", n)
	}
}
