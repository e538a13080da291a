package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// event is the body of a lifecycle message.
type event struct {
	SchemaVersion, Kind, Listener, Codec, Transport, Remote, Session, Reason, PreviousRemote, Command string

	DeviceID  string `json:"deviceId"`
	At        time.Time
	Elsewhere bool
	Dropped   map[string]int
}

func eventOf(t *testing.T, m world.Message) (e event) {
	t.Helper()
	if err := json.Unmarshal(m.Body, &e); err != nil {
		t.Fatalf("event %s: %v", m.Body, err)
	}
	return e
}

// session is the middle of a message's id.
func session(m world.Message) string {
	parts := strings.Split(m.System["messageId"], "-")
	return parts[len(parts)-2]
}

func TestTheLifeOfATrackerIsToldInOrder(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	addr := g.Addr("trackers")
	on := map[string]any{}
	for _, kind := range []string{
		"connected", "disconnected", "takenOver", "commandSent", "commandAnswered", "commandExpired",
	} {
		on[kind] = true
	}
	sim.Patch(map[string]any{"events": on})
	if status := sim.Decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Fatalf("the patch was answered with %d: %s", status.Code, status.Description)
	}

	old := login(t, addr, imei)
	old.send(1)
	old.acknowledged(10 * time.Second)
	answered := make(chan int, 1)
	go func() {
		status, _ := sim.Method("sendCommand", map[string]any{"deviceId": imei, "command": "getver"})
		answered <- status
	}()
	if text, err := old.command(20 * time.Second); err != nil || text != "getver" {
		t.Fatalf("the tracker was told %q, %v", text, err)
	}
	old.answer("Ver:1")
	if status := <-answered; status != 200 {
		t.Fatalf("the command ended with %d", status)
	}
	young := login(t, addr, imei)
	if _, err := old.tryRead(1, 10*time.Second); err == nil {
		t.Fatal("the older link is still open")
	}
	waitOutput(t, sim, "events", 6) // the older link's end among them
	young.send(1)
	young.acknowledged(10 * time.Second)
	_ = young.conn.Close()
	waitOutput(t, sim, "events", 7)

	var lived []string
	var sessions []string // of connected, connected and the two messages
	remote := map[bool]string{true: young.conn.LocalAddr().String(), false: old.conn.LocalAddr().String()}
	taken := false
	for _, m := range sim.Messages(0) {
		if m.Properties["deviceId"] != imei {
			continue
		}
		if m.Output == "telemetry" {
			lived, sessions = append(lived, "a record"), append(sessions, session(m))
			continue
		}
		e := eventOf(t, m)
		taken = taken || e.Kind == "takenOver"
		if m.Output != "events" || m.System["contentType"] != "application/json" || m.System["contentEncoding"] != "utf-8" ||
			m.Properties["kind"] != e.Kind || m.Properties["listener"] != "trackers" || e.SchemaVersion != "1.0" ||
			e.DeviceID != imei || e.Codec != "teltonika" || e.Transport != "tcp" || time.Since(e.At).Abs() > time.Hour ||
			len(e.Dropped) != 0 {
			t.Errorf("the event is %s, of %+v", m.Body, m)
		}
		if e.Kind == "connected" {
			sessions = append(sessions, e.Session)
		}
		if e.Kind != "disconnected" && e.Remote != remote[taken] {
			t.Errorf("%s from %s, want %s", e.Kind, e.Remote, remote[taken])
		}
		if e.Kind == "takenOver" && e.PreviousRemote != remote[false] {
			t.Errorf("taken over from %s, want %s", e.PreviousRemote, remote[false])
		}
		lived = append(lived, strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.Command, e.Reason, map[bool]string{true: " elsewhere"}[e.Elsewhere])))
	}
	want := []string{
		"connected", "a record", "commandSent getver", "commandAnswered getver", "takenOver", "connected",
		"disconnected taken-over elsewhere", "a record", "disconnected closed-by-device",
	}
	if !slices.Equal(lived, want) {
		t.Errorf("it is told as\n%s\nwant\n%s", strings.Join(lived, "\n"), strings.Join(want, "\n"))
	}
	if len(sessions) != 4 || sessions[0] != sessions[1] || sessions[2] != sessions[3] || sessions[0] == sessions[2] {
		t.Errorf("the sessions of connected, message, connected, message are %v", sessions)
	}
}

func TestADeviceThatIsNotLetInIsToldWithoutBeingAsked(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	g.Addr("trackers")
	sim.Patch(map[string]any{"listeners": map[string]any{"trackers": map[string]any{"unknownDevices": "reject"}}})
	if status := sim.Decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Fatalf("the patch was answered with %d: %s", status.Code, status.Description)
	}
	if _, accepted := dialTracker(t, g.Addr("trackers"), imei); accepted {
		t.Fatal("the tracker was let in")
	}
	if e := eventOf(t, waitOutput(t, sim, "events", 1)[0]); e.Kind != "refused" || e.DeviceID != imei || e.Reason != "unknown-device" {
		t.Errorf("the event is %+v", e)
	}
}
