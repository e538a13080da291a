package e2e

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// figures has the costs of identities measured with 300 devices and for longer; otherwise it is
// merely held that they are not out of all proportion.
var figures = flag.Bool("figures", false, "measure what identities cost with 300 devices")

// residentOf is the gateway's resident memory.
func residentOf(t *testing.T, g *world.Gateway) int64 {
	t.Helper()
	n, err := g.Proc.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// streams has every meter send lines without waiting for their acknowledgements, some in flight,
// and returns how many were acknowledged in a second.
func (c *crowd) streams(during time.Duration) float64 {
	c.t.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	until := time.Now().Add(during)
	for _, m := range c.list {
		all.Go(func() {
			const window = 64
			for open := 0; ; {
				for ; open < window && time.Now().Before(until); open++ {
					if m.put() != nil {
						return
					}
				}
				if open == 0 {
					return
				}
				_ = m.conn.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := m.in.ReadString('\n'); err != nil {
					c.t.Errorf("meter %s: %v", m.id, err)
					return
				}
				open--
				done.Add(1)
			}
		})
	}
	began := time.Now()
	all.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

func TestWhatAnIdentityCosts(t *testing.T) {
	n, during := 40, time.Second
	if *figures {
		n, during = 300, 10*time.Second
	}
	p := overAMQP()

	// By the module's identity, for comparison.
	sim := p.StartSimulator(t, strings.ReplaceAll(meters, `"identity": "device"`, `"identity": "module"`), "-keep", "1000")
	g := p.StartGateway(t, sim, world.Workload)
	c := newCrowd(t, sim, g.Addr("meters"), n)
	c.send(1, 30*time.Second)
	module := residentOf(t, g)
	byModule := c.streams(during)
	for _, m := range c.list {
		_ = m.conn.Close()
	}
	if code := g.Proc.Terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	sim.Proc.Kill()

	sim = p.StartSimulator(t, strings.ReplaceAll(meters, `"attachesPerSecond": 100`, `"attachesPerSecond": 1000`), "-keep", "1000")
	g = p.StartGateway(t, sim, world.Workload)
	c = newCrowd(t, sim, g.Addr("meters"), n)
	began := time.Now()
	c.send(1, 30*time.Second)
	settled(t, g, n)
	attached := time.Since(began)
	device := residentOf(t, g)
	byDevice := c.streams(during)
	settled(t, g, n)
	each := (device - module) / int64(n)

	others, own := c.losing(t, sim, during)
	served := (servedBy(t, p, n) - module) / int64(n)
	t.Logf("%d devices: %d KiB each beyond those of a module's, %d KiB with commands; attached at %.0f/s; "+
		"%.0f messages/s by the module, %.0f by the devices (%.2f); while one connection was lost, the slowest "+
		"acknowledgement of the others %v, of its own %v",
		n, each>>10, served>>10, float64(n)/attached.Seconds(), byModule, byDevice, byDevice/byModule,
		others.Round(time.Millisecond), own.Round(time.Millisecond))
	most := int64(512 << 10)
	if world.RaceDetector { // which keeps some hundred KiB for each goroutine
		most = 4 << 20
	}
	if each > most || served > 2*most {
		t.Errorf("a device takes %d bytes, %d with commands", each, served)
	}
	if others > 10*time.Second {
		t.Errorf("the others waited %v for their acknowledgement", others)
	}
}

// servedBy is the resident memory of a gateway with so many trackers, which take commands.
func servedBy(t *testing.T, p world.Programs, n int) int64 {
	t.Helper()
	sim := p.StartSimulator(t, strings.ReplaceAll(identities, `"attachesPerSecond": 100`, `"attachesPerSecond": 1000`))
	g := p.StartGateway(t, sim, world.Workload)
	for _, id := range sim.AddLeaves(fmt.Sprintf("356307042[000001-%06d]", n), world.Derived) {
		login(t, g.Addr("trackers"), id)
	}
	world.Eventually(t, 30*time.Second, "all listen to the hub", func() bool {
		listening := 0
		for _, client := range sim.Stats().Clients {
			if client.Desired && client.Methods && client.C2D {
				listening++
			}
		}
		return listening == n
	})
	return residentOf(t, g)
}

// losing has all send, one line after the other, while a connection is closed, and returns the
// slowest acknowledgement of devices on other connections and of those on that one.
func (c *crowd) losing(t *testing.T, sim *world.Simulator, during time.Duration) (others, own time.Duration) {
	t.Helper()
	before := sim.Stats().Identities
	slowest := make([]time.Duration, len(c.list))
	var all sync.WaitGroup
	until := time.Now().Add(during)
	for i, m := range c.list {
		all.Go(func() {
			for time.Now().Before(until) {
				began := time.Now()
				if err := m.send(time.Minute); err != nil {
					t.Error(err)
					return
				}
				slowest[i] = max(slowest[i], time.Since(began))
			}
		})
	}
	if !sim.CloseLeaf(c.list[0].id) {
		t.Error("there was no connection to close")
	}
	all.Wait()
	after := sim.Stats().Identities
	lost := 0
	for i, m := range c.list {
		if after[m.id].Connections > before[m.id].Connections {
			lost++
			own = max(own, slowest[i])
		} else {
			others = max(others, slowest[i])
		}
	}
	if lost == 0 || lost > 20 || slices.Max(slowest) == 0 {
		t.Errorf("%d devices were on that connection", lost)
	}
	return others, own
}
