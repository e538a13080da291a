package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// Devices that the hub does not know send as fast as they can, and nothing of it can ever be
// delivered: they fill what they may use of the disk and then wait, for themselves.
func TestDevicesThatAreRefusedAndFillTheDiskHoldUpNobody(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, strings.Replace(meters, `"identity": {`, `"spool": {"bytes": 1048576}, "identity": {`, 1))
	g := p.StartGateway(t, sim, world.Workload)
	sim.AddLeaves("good-[0-1]", world.Derived)
	good := dialMeter(t, g.Addr("meters"), "good-0")
	if err := good.send(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	const refused, pad = 100, 900
	for i := range refused {
		m := dialMeter(t, g.Addr("meters"), fmt.Sprintf("gone-%02d", i))
		go func() {
			for n := 0; ; n++ {
				_ = m.conn.SetWriteDeadline(time.Now().Add(time.Minute))
				if _, err := fmt.Fprintf(m.conn, `{"serial":%q,"seq":%d,"pad":"%s"}`+"\n", m.id, n, strings.Repeat("x", pad)); err != nil {
					return
				}
			}
		}()
	}
	last, since := -1.0, time.Now()
	world.Eventually(t, time.Minute, "the refused ones have filled what they may, and wait", func() bool {
		held := metric(t, g, "causeway_identity_spool_messages") + metric(t, g, "causeway_identity_queue_bytes")
		if held != last || held == 0 {
			last, since = held, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
	for range 20 {
		if err := good.send(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := dialMeter(t, g.Addr("meters"), "good-1").send(20 * time.Second); err != nil {
		t.Errorf("one that comes now: %v", err)
	}
	sim.WaitLeafMessages([]string{"good-0"}, 21, 20*time.Second)
	sim.WaitLeafMessages([]string{"good-1"}, 1, 20*time.Second)
}

func TestWhatWaitsOfADeviceThatWillNotComeBackIsDiscardedByAMethod(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, meters)
	g := p.StartGateway(t, sim, world.Workload)
	m := dialMeter(t, g.Addr("meters"), "gone")
	for range 3 {
		if err := m.send(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	discard := func() (int, string) {
		status, payload := sim.Method("discardMessages", map[string]any{"deviceId": "gone"})
		return status, string(payload)
	}
	if status, payload := discard(); status != 409 || !strings.Contains(payload, "connected") {
		t.Errorf("while it is connected: %d, %s", status, payload)
	}
	_ = m.conn.Close()
	world.Eventually(t, 20*time.Second, "its messages are discarded", func() bool {
		status, payload := discard()
		return status == 200 && payload == `{"discarded":3}`
	})
	if status, payload := discard(); status != 200 || payload != `{"discarded":0}` {
		t.Errorf("once more: %d, %s", status, payload)
	}
	if n := metric(t, g, "causeway_identity_spool_messages"); n != 0 {
		t.Errorf("%v messages wait", n)
	}
	for i, letter := range waitOutput(t, sim, "deadletter", 3) {
		if want := fmt.Sprintf(`{"serial":"gone","seq":%d}`, i+1); string(letter.Body) != want ||
			!strings.Contains(letter.Properties["reason"], "discarded by an operator") {
			t.Errorf("dead letter %s for %q, want %s", letter.Body, letter.Properties["reason"], want)
		}
	}
	sim.AddLeaves("gone", world.Derived)
	again := dialMeter(t, g.Addr("meters"), "gone")
	if err := again.send(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	sim.WaitLeafMessages([]string{"gone"}, 1, time.Minute)
}

// Whoever the hub refuses does not keep its place among the devices that may be known, though
// its messages are on disk, where they stay.
func TestDevicesThatAreRefusedGiveTheirPlacesBack(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, strings.Replace(meters, `"identity": {`, `"identity": {"devices": 2, "idleSeconds": 10, `, 1))
	g := p.StartGateway(t, sim, world.Workload)
	sim.AddLeaves("good", world.Derived)
	for i := range 2 {
		m := dialMeter(t, g.Addr("meters"), fmt.Sprintf("gone-%d", i))
		if err := m.send(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		_ = m.conn.Close()
	}
	world.Eventually(t, 45*time.Second, "a device that the hub knows has a place", func() bool {
		conn := dialMeter(t, g.Addr("meters"), "good")
		defer func() { _ = conn.conn.Close() }()
		return conn.send(2*time.Second) == nil
	})
	sim.WaitLeafMessages([]string{"good"}, 1, 20*time.Second)

	sim.AddLeaves("gone-[0-1]", world.Derived)
	world.Eventually(t, time.Minute, "what the others said is in the cloud when they come back", func() bool {
		for i := range 2 {
			m := dialMeter(t, g.Addr("meters"), fmt.Sprintf("gone-%d", i))
			_ = m.send(2 * time.Second)
			_ = m.conn.Close()
		}
		by := sim.LeafMessages()
		return len(by["gone-0"]) >= 2 && len(by["gone-1"]) >= 2
	})
	for device, list := range sim.LeafMessages() {
		if device != "good" && !strings.Contains(string(list[0].Body), `"seq":1}`) {
			t.Errorf("of %s came first %s", device, list[0].Body)
		}
	}
}
