package e2e

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// letters is the answer of listDeadLetters.
type letters struct {
	Letters []struct {
		ID                          uint64
		Kind, Reason, Listener, Hex string
		DeviceID                    string `json:"deviceId"`
		Codec                       string
		MessageID                   string `json:"messageId"`
	}
	Total int
}

// waitLetters waits until n letters are listed.
func waitLetters(t *testing.T, sim *world.Simulator, n int) (page letters) {
	t.Helper()
	world.Eventually(t, 20*time.Second, "the dead letters are listed", func() bool {
		status, payload := sim.Method("listDeadLetters", map[string]any{"listener": "trackers"})
		if err := json.Unmarshal(payload, &page); err != nil || status != 200 {
			t.Fatalf("status %d, payload %s", status, payload)
		}
		return len(page.Letters) == n
	})
	return page
}

// waitOutput waits for n messages of an output.
func waitOutput(t *testing.T, sim *world.Simulator, output string, n int) (list []world.Message) {
	t.Helper()
	world.Eventually(t, 20*time.Second, "messages on the output "+output, func() bool {
		list = nil
		for _, m := range sim.Messages(0) {
			if m.Output == output {
				list = append(list, m)
			}
		}
		return len(list) >= n
	})
	return list
}

// replay calls replayDeadLetters and checks its report.
func replay(t *testing.T, sim *world.Simulator, what map[string]any, replayed, messages, failed, remaining int) {
	t.Helper()
	status, payload := sim.Method("replayDeadLetters", what)
	var report struct{ Replayed, Messages, Failed, Remaining int }
	if err := json.Unmarshal(payload, &report); err != nil || status != 200 || report.Replayed != replayed ||
		report.Messages != messages || report.Failed != failed || report.Remaining != remaining {
		t.Fatalf("replay %v: status %d, payload %s", what, status, payload)
	}
}

func TestAFrameThatCannotBeDecodedIsKeptAndSentOnceItCanBe(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	frame := packet(append(append([]byte{8, 1}, record(7)...), 1))
	frame[len(frame)-1] ^= 0xff // the checksum is wrong
	d.write(frame)
	d.silent(300 * time.Millisecond)

	m := waitOutput(t, sim, "deadletter", 1)[0]
	if m.Properties["kind"] != "malformed" || m.Properties["deviceId"] != imei || m.Properties["listener"] != "trackers" ||
		m.Properties["codec"] != "teltonika" || m.Properties["codecVersion"] == "" ||
		!strings.Contains(m.Properties["reason"], "crc") || !bytes.Equal(m.BodyBase64, frame) {
		t.Errorf("the dead letter is %+v", m)
	}
	page := waitLetters(t, sim, 1)
	if l := page.Letters[0]; l.Kind != "malformed" || l.DeviceID != imei || page.Total != 1 {
		t.Errorf("the list is %+v", page)
	}
	replay(t, sim, map[string]any{"all": true}, 0, 0, 1, 1) // nothing has changed yet

	// It survives kill -9, and the change of the listener that makes it readable.
	g.Kill()
	g.Start()
	waitLetters(t, sim, 1)
	sim.Patch(map[string]any{"listeners": map[string]any{"trackers": map[string]any{
		"options": map[string]any{"strictCrc": false},
	}}})
	if status := sim.Decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Fatalf("the patch was answered with %d: %s", status.Code, status.Description)
	}
	replay(t, sim, map[string]any{"listener": "trackers"}, 1, 1, 0, 0)
	if m := waitOutput(t, sim, "telemetry", 1)[0]; m.Properties["deviceId"] != imei || sequence(t, m) != 7 {
		t.Errorf("the replayed message is %+v", m)
	}
	waitLetters(t, sim, 0)
}

func TestAMessageThatTheHubRefusesIsKeptAndSentAgainUnderItsID(t *testing.T) {
	t.Parallel()
	refusedAndReplayed(t, built)
}

// Over MQTT the hub ends the connection in place of a refusal. That it is the message shows
// when those of others are stored meanwhile.
func refusedAndReplayed(t *testing.T, p world.Programs) {
	t.Helper()
	sim := p.StartSimulator(t, mixed)
	g := p.StartGateway(t, sim, world.Workload)
	f := p.StartFleet(t, g.Addresses(), "-trackers", "0", "-udp-trackers", "0", "-meters", "0", "-lines", "5", "-rate", "5")
	d := login(t, g.Addr("trackers"), imei)
	sim.WaitMessages("line-1", 1, 20*time.Second)
	count, reason := 1, "not now"
	if p.MQTT() {
		count, reason = -1, "ended the connection 5 times over this message"
	}
	sim.Fault(map[string]any{
		"refuse": map[string]any{"condition": "amqp:not-allowed", "description": "not now"}, "count": count,
		"holding": `"tripOdometer":1`,
	})
	d.send(1)
	world.Eventually(t, time.Minute, "the message is a dead letter", func() bool {
		_, metrics := g.Get("/metrics")
		return regexp.MustCompile(`(?m)^causeway_dead_letters_total\{.*\} 1$`).MatchString(metrics)
	})
	sim.Must("DELETE", "/faults", nil, nil) // the letter holds the message, and has to get through

	l := waitLetters(t, sim, 1).Letters[0]
	if l.Kind != "refused" || l.DeviceID != imei || !strings.Contains(l.Reason, reason) {
		t.Errorf("the letter is %+v", l)
	}
	if m := waitOutput(t, sim, "deadletter", 1)[0]; m.Properties["kind"] != "refused" || len(m.Body) == 0 {
		t.Errorf("the dead letter is %+v", m)
	}
	replay(t, sim, map[string]any{"ids": []uint64{l.ID}}, 1, 1, 0, 0)
	list := sim.WaitMessages(imei, 2, 20*time.Second)
	m := list[len(list)-1] // behind the letter
	if m.System["messageId"] != l.MessageID || sequence(t, m) != 1 {
		t.Errorf("the replayed message is %+v, its id was %s", m, l.MessageID)
	}
	f.Proc.Ask(t)
	f.Check(sim, time.Minute, imei) // nobody else has noticed
}

func TestAQueuedCommandSurvivesKillAndReachesTheDeviceOnce(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	g.Addr("trackers")
	status, payload := sim.Method("sendCommand", map[string]any{
		"deviceId": imei, "command": "getver", "queueSeconds": 3600,
	})
	var queued struct {
		CommandID string `json:"commandId"`
	}
	if err := json.Unmarshal(payload, &queued); err != nil || status != 202 || queued.CommandID == "" {
		t.Fatalf("status %d, payload %s", status, payload)
	}
	g.Kill()
	g.Start()
	addr := g.Addr("trackers")
	d := login(t, addr, imei)
	if text, err := d.command(20 * time.Second); err != nil || text != "getver" {
		t.Fatalf("the tracker was told %q, %v", text, err)
	}
	d.answer("Ver:1")
	m := waitOutput(t, sim, "results", 1)[0]
	var result struct {
		CommandID string `json:"commandId"`
		Status    int    `json:"status"`
	}
	if err := json.Unmarshal(m.Body, &result); err != nil || result.CommandID != queued.CommandID || result.Status != 200 {
		t.Errorf("the result is %s", m.Body)
	}

	// The next is on its way to the device when the gateway is killed: it is told of, and not sent again.
	if status, payload = sim.Method("sendCommand", map[string]any{
		"deviceId": "352093086403655", "command": "getver", "queueSeconds": 3600,
	}); status != 202 {
		t.Fatalf("status %d, payload %s", status, payload)
	}
	other := login(t, addr, "352093086403655")
	if text, err := other.command(20 * time.Second); err != nil || text != "getver" {
		t.Fatalf("the tracker was told %q, %v", text, err)
	}
	g.Kill()
	g.Start()
	other = login(t, g.Addr("trackers"), "352093086403655")
	other.silent(500 * time.Millisecond)
	m = waitOutput(t, sim, "results", 2)[1]
	if err := json.Unmarshal(m.Body, &result); err != nil || result.Status != 504 {
		t.Errorf("the end of the interrupted command is %s", m.Body)
	}
}
