package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// doorScript is a protocol of lines with a login and a password.
const doorScript = `
module.exports = {
  receive(frame) {
    const w = toText(frame, "utf8").trim().split(" ");
    if (w[0] === "login") return { identity: { device: w[1], secret: w[2] || "", accept: "welcome", refuse: "no" } };
    if (w[0] !== "note") throw new Malformed("no such word");
    return { messages: [{ body: { text: w[1] } }], ack: "OK " + w[1] };
  },
};
`

// quiet leaves events out, so that messages can be counted.
const quiet = `, "events": {"refused": false, "quarantined": false}`

// guarded is a gateway with the listeners tcp and udp of the protocol.
type guarded struct {
	*world.Gateway
	t   *testing.T
	sim *world.Simulator
}

func startGuarded(t *testing.T, listener, more string) guarded {
	t.Helper()
	script := filepath.Join(t.TempDir(), "door.js")
	if err := os.WriteFile(script, []byte(doorScript), 0o600); err != nil {
		t.Fatal(err)
	}
	l := func(transport string) string {
		return `{"bind": "` + transport + `://127.0.0.1:0", "codec": "door", "frame": {"type": "line"}` + listener + `}`
	}
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0", "listeners": {"tcp": `+l("tcp")+`, "udp": `+l("udp")+`},
		"codecs": {"door": {"kind": "js", "source": "file://`+script+`"}}`+quiet+more+`}`)
	g := guarded{Gateway: built.StartGateway(t, sim, world.Workload), t: t, sim: sim}
	if s := sim.Decided().Properties.Reported.LastDesiredStatus; s.Code != 200 {
		t.Fatalf("document: %+v", s)
	}
	return g
}

func (g guarded) call(name string, payload map[string]any, status int) string {
	g.t.Helper()
	got, answer := g.sim.Method(name, payload)
	if got != status {
		g.t.Fatalf("%s %v: status %d, want %d: %s", name, payload, got, status, answer)
	}
	return string(answer)
}

// speaker is a device of the protocol.
type speaker struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (g guarded) connect(network string) *speaker {
	g.t.Helper()
	conn, err := net.Dial(network, g.Addr(network))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return &speaker{t: g.t, conn: conn, in: bufio.NewReader(conn)}
}

func (s *speaker) send(line string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.conn, line); err != nil {
		s.t.Fatalf("send %q: %v", line, err)
	}
}

// hears expects the next line.
func (s *speaker) hears(want string) {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := s.in.ReadString('\n'); err != nil || got != want+"\n" {
		s.t.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

func (s *speaker) says(line, want string) {
	s.t.Helper()
	s.send(line)
	s.hears(want)
}

// asks sends a datagram until it is answered, as devices do.
func (s *speaker) asks(line, want string) {
	s.t.Helper()
	world.Eventually(s.t, 20*time.Second, line+" is answered", func() bool {
		s.send(line)
		_ = s.conn.SetReadDeadline(time.Now().Add(time.Second))
		got, err := s.in.ReadString('\n')
		return err == nil && got == want+"\n" // else it is late, or of an earlier one
	})
}

// closed expects that the gateway has nothing more to say.
func (s *speaker) closed() {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := s.in.ReadString('\n'); err == nil || os.IsTimeout(err) {
		s.t.Fatalf("the link stays open: %q, %v", got, err)
	}
}

const ownDatabase = `, "authentication": {"own": {"kind": "database"}}, "limits": {"failedLogins": 3, "coolDownSeconds": 2}`

func TestAWrongPasswordIsRefusedAndCoolsDownAndTheRightOneIsAcknowledged(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", ownDatabase)
	g.call("putDevice", map[string]any{"deviceId": "d-1", "password": "sesame"}, 200)
	for range 3 {
		s := g.connect("tcp")
		s.says("login d-1 guess", "no")
		s.closed()
	}
	g.connect("tcp").says("login d-1 sesame", "no")
	if list := g.call("listBans", nil, 200); !strings.Contains(list, `"deviceId":"d-1"`) {
		t.Errorf("cooling down: %s", list)
	}
	world.Eventually(t, 20*time.Second, "the cool-down ends", func() bool {
		return strings.Contains(g.call("listBans", nil, 200), `"coolingDown":[]`)
	})
	s := g.connect("tcp")
	s.says("login d-1 sesame", "welcome")
	s.says("note a", "OK a")
	g.sim.WaitMessages("d-1", 1, 30*time.Second)
	g.call("removeDevice", map[string]any{"deviceId": "d-1"}, 200)
	s.closed()
}

func TestADatagramsLoginIsJudgedWhileItsSocketGoesOn(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", ownDatabase)
	g.call("putDevice", map[string]any{"deviceId": "d-1", "password": "sesame"}, 200)
	s, stranger := g.connect("udp"), g.connect("udp")
	s.asks("login d-1 sesame", "welcome")
	for range 5 { // forged ones keep nobody out
		stranger.asks("login d-1 guess", "no")
	}
	s.asks("note a", "OK a")
	g.sim.WaitMessages("d-1", 1, 30*time.Second)
	stranger.send("note b") // nobody has logged in there
	g.connect("udp").asks("login d-1 sesame", "welcome")
	if list := g.sim.Messages(0); len(list) != 1 {
		t.Errorf("messages %v", list)
	}
}

func TestADeviceInQuarantineIsAdmittedByAMethod(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"listeners": {"trackers": {
		"bind": "tcp://127.0.0.1:0", "codec": "teltonika", "unknownDevices": "quarantine"}}`+quiet+`}`)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	d.send(2)
	d.silent(500 * time.Millisecond)
	var list struct {
		Devices []struct {
			DeviceID string   `json:"deviceId"`
			Frames   []string `json:"frames"`
		} `json:"devices"`
	}
	_, answer := sim.Method("listQuarantine", nil)
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Devices) != 1 ||
		list.Devices[0].DeviceID != imei || len(list.Devices[0].Frames) != 1 || !strings.HasPrefix(list.Devices[0].Frames[0], "00000000") {
		t.Fatalf("in quarantine: %s, %v", answer, err)
	}
	if n := len(sim.Messages(0)); n != 0 {
		t.Errorf("%d messages of a device in quarantine", n)
	}
	if status, answer := sim.Method("admitDevice", map[string]any{"deviceId": imei}); status != 200 {
		t.Fatalf("admitted: %d %s", status, answer)
	}
	if n := d.acknowledged(10 * time.Second); n != 2 {
		t.Errorf("acknowledged %d, sent 2", n)
	}
	d.send(1)
	d.acknowledged(10 * time.Second)
	sim.WaitMessages(imei, 3, 30*time.Second)
	login(t, g.Addr("trackers"), imei).send(1) // it is known by now
	sim.WaitMessages(imei, 4, 30*time.Second)
}

func TestAnAdmissionThatExpiresClosesTheConnection(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", ownDatabase)
	g.call("putDevice", map[string]any{
		"deviceId": "d-1", "password": "sesame", "expiresAt": time.Now().Add(4 * time.Second).UTC().Format(time.RFC3339),
	}, 200)
	s := g.connect("tcp")
	s.says("login d-1 sesame", "welcome")
	s.says("note a", "OK a")
	s.closed()
	world.Eventually(t, 30*time.Second, "the link is closed for that", func() bool {
		_, page := g.Get("/metrics")
		return strings.Contains(page, `reason="expired"`)
	})
	g.connect("tcp").says("login d-1 sesame", "no")
}

func TestABanOfTheTwinClosesAndKeepsOut(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", "")
	s, other := g.connect("tcp"), g.connect("tcp")
	s.says("login d-1", "welcome")
	other.says("login d-2", "welcome")
	g.sim.Patch(map[string]any{"bans": map[string]any{"stolen": map[string]any{"device": "d-1", "reason": "stolen"}}})
	s.closed()
	g.connect("tcp").says("login d-1", "no")
	other.says("note a", "OK a")
	g.sim.Patch(map[string]any{"bans": map[string]any{"stolen": nil}})
	g.sim.Decided()
	g.connect("tcp").says("login d-1", "welcome")
}
