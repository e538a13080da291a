package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// answering has a tracker answer every command until its connection ends: what was asked for,
// or that values were set.
func answering(d *tracker) {
	for {
		text, err := d.command(10 * time.Minute) // longer than any test
		if err != nil {
			return
		}
		if values, set := strings.CutPrefix(text, "setparam "); set {
			d.answer("New value " + strings.ReplaceAll(values, " ", "") + ";")
			continue
		}
		d.answer(text + " of " + d.id)
	}
}

// listening counts the devices that listen to the hub in all three ways.
func listening(sim *world.Simulator) (n int) {
	for _, c := range sim.Stats().Clients {
		if c.Connected && c.Desired && c.Methods && c.C2D {
			n++
		}
	}
	return n
}

// serve has each of the devices patched, called and sent a message, all at once, and waits until all
// of it is answered, confirmed and completed.
func serve(t *testing.T, sim *world.Simulator, ids []string, value int) {
	t.Helper()
	sent := map[string]string{} // by device
	for i, id := range ids {
		sim.PatchLeaf(id, map[string]any{"1001": value + i})
		sent[id] = sim.SendTo(id, nil, map[string]string{"command": "getinfo", "iothub-ack": "full"}, 0)
	}
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			status, payload := sim.LeafMethod(id, "getver", nil)
			if status != 200 || !strings.Contains(string(payload), "getver of "+id) {
				t.Errorf("device %s: status %d, %s", id, status, payload)
			}
		})
	}
	all.Wait()
	for i, id := range ids {
		if status := sim.WaitEnd(sent[id], 60*time.Second); status != "Success" {
			t.Errorf("the message to %s ended as %s", id, status)
		}
		sim.WaitReported(id, 60*time.Second, "its own value", func(reported map[string]any) bool {
			return fmt.Sprint(reported["1001"]) == fmt.Sprint(value+i)
		})
	}
}

// Forty devices at once, each with its own twin, methods and messages from the cloud.
func TestEachDeviceHasItsOwnTwinMethodsAndMessages(t *testing.T) {
	t.Parallel()
	const n = 40
	p := overAMQP()
	sim := p.StartSimulator(t, identities)
	ids := sim.AddLeaves("3563070424410[01-40]", world.Derived)
	g := p.StartGateway(t, sim, world.Workload)
	for _, id := range ids {
		go answering(login(t, g.Addr("trackers"), id))
	}
	world.Eventually(t, 30*time.Second, "all listen to the hub", func() bool { return listening(sim) == n })
	serve(t, sim, ids, 60)
}

// What takes commands has five links more than what only sends. The hub refuses who comes faster than
// it allows, and so does IoT Hub after an outage.
func TestThreeHundredDevicesThatTakeCommandsComeBackWithinTheHubsRates(t *testing.T) {
	t.Parallel()
	const n, served = 300, 40
	p := overAMQP()
	sim := p.StartSimulator(t, strings.ReplaceAll(identities, "PerSecond\": 100", "PerSecond\": 60"),
		"-connect-rate", "100", "-twin-rate", "100", "-throttle-refuses", "-clients", "400")
	ids := sim.AddLeaves("35630704244[4001-4300]", world.Derived)
	g := p.StartGateway(t, sim, world.Workload)
	for _, id := range ids {
		go answering(login(t, g.Addr("trackers"), id))
	}
	began := time.Now()
	all := func(when string) {
		t.Helper()
		world.Eventually(t, 90*time.Second, fmt.Sprintf("%d devices listen to the hub %s", n, when), func() bool {
			return listening(sim) == n
		})
		t.Logf("all %d listen %s after %v", n, when, time.Since(began).Round(time.Millisecond))
	}
	unthrottled := func() {
		t.Helper()
		if a := sim.Stats().Admission; a.Throttled != 0 {
			t.Errorf("%d came too fast of %d that connected, %d in a second at most, and %d twin requests, %d in a second at most",
				a.Throttled, a.Connects.Total, a.Connects.Peak, a.Twins.Total, a.Twins.Peak)
		}
	}
	all("first")
	serve(t, sim, ids[:served], 60)
	unthrottled()

	sim.Proc.Kill()
	sim.Start()
	began = time.Now()
	all("again")
	serve(t, sim, ids[n-served:], 60)
	serve(t, sim, ids[:1], 600)
	unthrottled()
	peak, _ := g.Proc.PeakMemory()
	t.Logf("the gateway's peak memory is %d MiB", peak>>20)
}

// More methods than a device answers at a time wait for their turn, and none is refused.
func TestMethodsInABurstAreAllAnswered(t *testing.T) {
	t.Parallel()
	const devices, methods = 5, 20
	p := overAMQP()
	sim := p.StartSimulator(t, identities)
	ids := sim.AddLeaves("3563070424430[01-05]", world.Derived)
	g := p.StartGateway(t, sim, world.Workload)
	for _, id := range ids {
		go answering(login(t, g.Addr("trackers"), id))
	}
	var all sync.WaitGroup
	for _, id := range ids {
		for i := range methods {
			all.Go(func() {
				want := fmt.Sprintf("getparam %d", 1000+i)
				status, payload := sim.LeafMethod(id, "getparam", map[string]any{"args": []string{fmt.Sprint(1000 + i)}})
				if status != 200 || !strings.Contains(string(payload), want+" of "+id) {
					t.Errorf("device %s, %s: status %d, %s", id, want, status, payload)
				}
			})
		}
	}
	all.Wait()
}

// The hub refuses the link of messages to one device: the others of its connection do not notice.
func TestADeviceWhoseMessagesAreRefusedForAWhileIsNotItsNeighboursTrouble(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, identities)
	ids := sim.AddLeaves("3563070424420[01-03]", world.Derived)
	g := p.StartGateway(t, sim, world.Workload)
	count := func(want int) func() bool { return func() bool { return listening(sim) == want } }
	for _, id := range ids[1:] {
		go answering(login(t, g.Addr("trackers"), id))
	}
	odd := login(t, g.Addr("trackers"), ids[0])
	world.Eventually(t, 30*time.Second, "all listen to the hub", count(3))
	_ = odd.conn.Close()
	world.Eventually(t, 30*time.Second, "one is away, and its messages wait", count(2))
	sim.LeafFault(ids[0], 2, map[string]any{"attach": map[string]any{"description": "not now"}})
	go answering(login(t, g.Addr("trackers"), ids[0]))
	world.Eventually(t, 30*time.Second, "it listens again", count(3))
	stats := sim.Stats()
	if n := stats.Identities[ids[1]].Connections; n != 1 || stats.Identities[ids[0]].Refused != 2 {
		t.Errorf("its neighbour has connected %d times, it was refused %d times", n, stats.Identities[ids[0]].Refused)
	}
	if status := sim.WaitEnd(sim.SendTo(ids[0], nil, map[string]string{"command": "getver", "iothub-ack": "full"}, 0),
		60*time.Second); status != "Success" {
		t.Errorf("the message ended as %s", status)
	}
}
