package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// meters is a deployment of meters that send lines and wait for their acknowledgement, each a
// device of IoT Hub.
const meters = `{"schemaVersion": "1.0", "listeners": {
	"meters": {"bind": "tcp://127.0.0.1:0", "codec": "json", "identity": "device", "options": {"id": "/serial", "ack": "OK"}}},
	"identity": {"attachesPerSecond": 100, "twinRequestsPerSecond": 100}}`

// meter is a device that sends numbered lines.
type meter struct {
	id   string
	conn net.Conn
	in   *bufio.Reader
	next int
}

func dialMeter(t *testing.T, addr, id string) *meter {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatalf("dial meter %s: %v", id, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &meter{id: id, conn: conn, in: bufio.NewReader(conn)}
}

// send sends the next line and waits until it is acknowledged.
func (m *meter) send(limit time.Duration) error {
	if err := m.put(); err != nil {
		return err
	}
	_ = m.conn.SetReadDeadline(time.Now().Add(limit))
	answer, err := m.in.ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "OK" {
		return fmt.Errorf("meter %s, line %d: answer %q, %w", m.id, m.next, answer, err)
	}
	return nil
}

// put sends the next line.
func (m *meter) put() error {
	m.next++
	_ = m.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := fmt.Fprintf(m.conn, `{"serial":%q,"seq":%d}`+"\n", m.id, m.next)
	return err
}

// crowd is many meters.
type crowd struct {
	t    *testing.T
	sim  *world.Simulator
	list []*meter
}

func meterID(i int) string { return fmt.Sprintf("meter-%03d", i) }

// newCrowd registers and connects n meters.
func newCrowd(t *testing.T, sim *world.Simulator, addr string, n int) *crowd {
	t.Helper()
	c := &crowd{t: t, sim: sim}
	sim.AddLeaves(fmt.Sprintf("meter-[000-%03d]", n-1), world.Derived)
	for i := range n {
		c.list = append(c.list, dialMeter(t, addr, meterID(i)))
	}
	return c
}

// send has every meter but those named send so many lines, each after the acknowledgement of
// the one before.
func (c *crowd) send(lines int, limit time.Duration, but ...string) {
	c.t.Helper()
	var all sync.WaitGroup
	for _, m := range c.list {
		if slices.Contains(but, m.id) {
			continue
		}
		all.Go(func() {
			for range lines {
				if err := m.send(limit); err != nil {
					c.t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// arrived holds that everything acknowledged is in the cloud, of each meter in its order, under
// its identity.
func (c *crowd) arrived(but ...string) {
	c.t.Helper()
	order := map[string][]int{}
	seen := map[string]bool{}
	for _, m := range c.sim.Messages(0) {
		if m.Module != "" || seen[m.System["messageId"]] {
			continue
		}
		seen[m.System["messageId"]] = true
		var body struct {
			Serial string
			Seq    int
		}
		if err := json.Unmarshal(m.Body, &body); err != nil || body.Serial != m.Device {
			c.t.Errorf("device %s sent %s", m.Device, m.Body)
		}
		order[m.Device] = append(order[m.Device], body.Seq)
	}
	for _, m := range c.list {
		if slices.Contains(but, m.id) {
			continue
		}
		if got := order[m.id]; len(got) != m.next || !slices.IsSorted(got) {
			c.t.Errorf("meter %s sent %d lines, arrived are %v", m.id, m.next, got)
		}
	}
}

// metric is the sum of the gateway's series of that name.
func metric(t *testing.T, g *world.Gateway, name string) (sum float64) {
	t.Helper()
	_, text := g.Get("/metrics")
	for line := range strings.Lines(text) {
		if series, rest, _ := strings.Cut(line, "{"); series != name {
			continue
		} else if _, value, found := strings.Cut(rest, "} "); found {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += f
		}
	}
	return sum
}

func TestThreeHundredDevicesShareFifteenConnections(t *testing.T) {
	const n = 300
	p := overAMQP()
	// The hub lets in as many as the devices may be in a second, and refuses what is faster.
	sim := p.StartSimulator(t, meters, "-connect-rate", "100", "-throttle-refuses")
	g := p.StartGateway(t, sim, world.Workload)
	began := time.Now()
	c := newCrowd(t, sim, g.Addr("meters"), n)
	c.send(3, 30*time.Second)
	t.Logf("%d devices attached and acknowledged three times within %v", n, time.Since(began).Round(time.Millisecond))
	settled(t, g, n)
	t.Logf("nothing is on its way after %v", time.Since(began).Round(time.Millisecond))
	if got := metric(t, g, "causeway_identity_connections"); got != n/20 {
		t.Errorf("%v connections, want %d", got, n/20)
	}
	c.arrived()
	peak, _ := g.Proc.PeakMemory()
	t.Logf("the gateway's peak memory is %d MiB", peak>>20)

	sim.Proc.Kill()
	sim.Start()
	began = time.Now()
	c.send(3, 60*time.Second)
	settled(t, g, n)
	t.Logf("all back %v after the hub", time.Since(began).Round(time.Millisecond))
	c.arrived()
	if a := sim.Stats().Admission; a.Throttled != 0 {
		t.Errorf("%d of %d came too fast", a.Throttled, a.Connects.Total)
	}
}

// settled waits until so many devices are attached and nothing of theirs is on its way.
func settled(t *testing.T, g *world.Gateway, attached int) {
	t.Helper()
	world.Eventually(t, 60*time.Second, fmt.Sprintf("%d devices attached, nothing on its way", attached), func() bool {
		return metric(t, g, "causeway_identities_attached") == float64(attached) &&
			metric(t, g, "causeway_identity_spool_messages") == 0 && metric(t, g, "causeway_identity_queue_bytes") == 0
	})
}

// One that the hub refuses, for whatever reason, waits for itself alone, and loses nothing.
func TestWhatIsWrongWithOneDeviceIsNotTheOthersTrouble(t *testing.T) {
	t.Parallel()
	const n, wrong, deleted, expired, flooding = 300, "meter-000", "meter-001", "meter-002", "meter-003"
	p := overAMQP()
	sim := p.StartSimulator(t, meters)
	g := p.StartGateway(t, sim, world.Workload)
	c := newCrowd(t, sim, g.Addr("meters"), n)
	sim.RekeyLeaf(wrong, "YW5vdGhlciBrZXkgb2YgMzI=")
	c.send(2, 30*time.Second) // that with the wrong key is acknowledged from disk
	settledBut := func(attached int, but ...string) {
		t.Helper()
		world.Eventually(t, 60*time.Second, fmt.Sprintf("%d devices are attached", attached), func() bool {
			return metric(t, g, "causeway_identities_attached") == float64(attached)
		})
		world.Eventually(t, 60*time.Second, "the others' messages are in the cloud", func() bool {
			held := 0
			for _, m := range c.list {
				if slices.Contains(but, m.id) {
					held += m.next
				}
			}
			return metric(t, g, "causeway_identity_queue_bytes") == 0 &&
				metric(t, g, "causeway_identity_spool_messages") <= float64(held)
		})
		c.arrived(but...)
	}
	settledBut(n-1, wrong)
	if got := metric(t, g, "causeway_identity_connections"); got != n/20 {
		t.Errorf("%v connections, want %d", got, n/20)
	}
	if s := identityOf(t, sim, wrong); s.State != "refused" || !strings.Contains(s.Reason, "not-allowed") {
		t.Errorf("the device with a wrong key is %q for %q", s.State, s.Reason)
	}

	sim.RemoveLeaf(deleted)
	c.send(2, 30*time.Second)
	settledBut(n-2, wrong, deleted)
	if s := identityOf(t, sim, deleted); s.State != "refused" {
		t.Errorf("the deleted device is %q for %q", s.State, s.Reason)
	}

	sim.ExpireLeaf(expired, true)
	c.send(2, 30*time.Second)
	settledBut(n-2, wrong, deleted)

	flood := c.list[3]
	go func() {
		for range 20_000 {
			if flood.put() != nil {
				return
			}
		}
	}()
	c.send(20, 30*time.Second, flooding)
	settledBut(n-2, wrong, deleted, flooding)

	// What waited for the two comes, in order, when they are let in.
	sim.RemoveLeaf(wrong)
	sim.AddLeaves(wrong, world.Derived)
	sim.AddLeaves(deleted, world.Derived)
	world.Eventually(t, 60*time.Second, "those that were refused are attached", func() bool {
		return metric(t, g, "causeway_identities_attached") == n && metric(t, g, "causeway_identity_spool_messages") == 0
	})
	c.arrived(flooding)
}

// identityState is what listIdentities says of a device.
type identityState struct{ DeviceID, HubDeviceID, State, Reason string }

func identityOf(t *testing.T, sim *world.Simulator, device string) identityState {
	t.Helper()
	status, payload := sim.Method("listIdentities", map[string]any{"limit": 200})
	var page struct{ Identities []identityState }
	if err := json.Unmarshal(payload, &page); err != nil || status != 200 {
		t.Fatalf("listIdentities: status %d, %s", status, payload)
	}
	for _, s := range page.Identities {
		if s.DeviceID == device {
			return s
		}
	}
	t.Fatalf("listIdentities does not know %s: %s", device, payload)
	return identityState{}
}

// A device because of which the hub closes the connection again and again ends up alone: the
// hub does not say who it was.
func TestADeviceThatKeepsEndingItsConnectionIsQuarantined(t *testing.T) {
	t.Parallel()
	const n, culprit = 8, "meter-005"
	p := overAMQP()
	sim := p.StartSimulator(t, meters)
	g := p.StartGateway(t, sim, world.Workload)
	c := newCrowd(t, sim, g.Addr("meters"), n)
	c.send(1, 30*time.Second)
	settled(t, g, n)
	world.Eventually(t, 60*time.Second, "the culprit is in quarantine", func() bool {
		sim.CloseLeaf(culprit)
		return identityOf(t, sim, culprit).State == "quarantined"
	})
	c.send(2, 30*time.Second) // its own are acknowledged from disk
	world.Eventually(t, 60*time.Second, "the others are attached", func() bool {
		return metric(t, g, "causeway_identities_attached") == n-1
	})
	world.Eventually(t, 60*time.Second, "the others' messages are in the cloud", func() bool {
		return metric(t, g, "causeway_identity_spool_messages") <= 2
	})
	c.arrived(culprit)
	if got := identityOf(t, sim, culprit); !strings.Contains(got.Reason, "closed") {
		t.Errorf("it is in quarantine for %q", got.Reason)
	}
}

func TestTokensOfDevicesAreRenewedOnTheOpenConnection(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, meters)
	g := p.StartGateway(t, sim, world.Workload, "CAUSEWAY_TOKEN_TTL_SECONDS=10")
	c := newCrowd(t, sim, g.Addr("meters"), 10)
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); <-pace.C { // two lives of a token
		c.send(5, 30*time.Second)
	}
	settled(t, g, 10)
	c.arrived()
	for id, s := range sim.Stats().Identities {
		if strings.HasPrefix(id, "meter-") && s.Connections != 1 {
			t.Errorf("%s has had %d connections", id, s.Connections)
		}
	}
}

func TestDevicesThatAreGoneAreReleased(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, strings.Replace(meters, `"identity": {`, `"identity": {"idleSeconds": 10, `, 1))
	g := p.StartGateway(t, sim, world.Workload)
	c := newCrowd(t, sim, g.Addr("meters"), 5)
	c.send(1, 30*time.Second)
	settled(t, g, 5)
	for _, m := range c.list[1:] {
		_ = m.conn.Close()
	}
	world.Eventually(t, 60*time.Second, "four of five are released", func() bool {
		return metric(t, g, "causeway_identities_attached") == 1
	})
	c.list[1] = dialMeter(t, g.Addr("meters"), c.list[1].id)
	c.list[1].next = 1 // it goes on where it was
	for _, m := range c.list[:2] {
		if err := m.send(30 * time.Second); err != nil {
			t.Error(err)
		}
	}
	settled(t, g, 2)
	c.arrived()
}
