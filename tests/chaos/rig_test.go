package chaos

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
	"github.com/causeway-iot/causeway/tests/world/proxy"
)

// deployment has a listener for every kind of device. ACK is replaced by the level
// of acknowledgement, WHOSE by whose messages they are.
const deployment = `{"schemaVersion": "1.0", "listeners": {
	"trackers":     {"bind": "tcp://127.0.0.1:0", "codec": "teltonika", "ack": "ACK", "identity": "WHOSE"},
	"trackers-udp": {"bind": "udp://127.0.0.1:0", "codec": "teltonika", "ack": "ACK", "identity": "WHOSE"},
	"meters":       {"bind": "udp://127.0.0.1:0", "codec": "json", "ack": "ACK", "identity": "WHOSE",
		"options": {"id": "/serial", "ack": "OK"}},
	"lines":        {"bind": "tcp://127.0.0.1:0", "codec": "csv", "ack": "ACK", "identity": "WHOSE", "options":
		{"columns": ["device", "seq", "time", "value"], "id": "device", "ack": "OK", "nak": "NAK"}},
	"filler":       {"bind": "tcp://127.0.0.1:0", "codec": "raw", "frame": {"type": "line"}, "device": "filler", "ack": "ACK"}},
	"identity": {"attachesPerSecond": 200, "twinRequestsPerSecond": 200},
	"spool": {"bytes": 67108864, "full": "block"}}`

// spoolBytes is the spool of the deployment. spoolSmall is soon filled and holds the
// largest queue twice, spoolLeast is the smallest that there is.
const (
	spoolBytes = 64 << 20
	spoolSmall = 8 << 20
	spoolLeast = 1 << 20
)

// tokenTTL has renewals, two a minute, fall among the faults.
const tokenTTL = "CAUSEWAY_TOKEN_TTL_SECONDS=40"

// memoryLimit is what a gateway process may have: its queue is 4 MiB at most, and 300
// links cost some tens of KiB each; the rest is the program itself, several times as
// much under the race detector.
const (
	memoryLimit     = 192 << 20
	memoryLimitRace = 768 << 20
	// identityRace is what the race detector keeps for the links of a device that has an
	// identity, beyond memoryLimitRace; without it the limit is the same.
	identityRace = 3 << 20
)

// size is how many devices of each kind there are, and how often each sends.
type size struct {
	trackers, lines, udpTrackers, meters int
	rate                                 string
	identities                           bool // each is a device of the hub
	queueBytes                           int  // of the gateway; 0: drawn anew at each start
}

// rig is everything that takes part: fleet, bad network, gateway, bad network,
// simulator, and the gateway's disk.
type rig struct {
	t        *testing.T
	dice     *rand.Rand
	sim      *world.Simulator
	gateway  *world.Gateway
	fleet    *world.Fleet
	disk     *Disk
	trackers *proxy.TCP
	lines    *proxy.TCP
	udp      *proxy.UDP
	meters   *proxy.UDP
	hub      *proxy.TCP
	evidence Evidence
	skipped  bool // the fault that runs could not be had
	began    time.Time
	queue    int // size.queueBytes
	// devices are those that have an identity of their own; nil where none has.
	devices []string
	// told are the dead letters among the messages up to number read.
	told map[string]bool
	read uint64
}

// newRig starts all of it and returns when every kind of device is acknowledged.
func newRig(t *testing.T, seed uint64, ack string, n size) *rig {
	t.Helper()
	r := &rig{
		t: t, dice: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), queue: n.queueBytes, told: map[string]bool{},
		evidence: Evidence{Seed: seed, MemoryLimit: memoryLimit, Faults: map[string]int{}},
	}
	if world.RaceDetector {
		r.evidence.MemoryLimit = memoryLimitRace
		if n.identities {
			r.evidence.MemoryLimit += int64(len(identified(n))) * identityRace
		}
	}
	var err error
	if r.disk, err = NewDisk(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.setClock(0)
		if err := r.disk.Close(); err != nil {
			t.Error(err)
		}
	})
	whose := "module"
	if n.identities {
		whose, r.devices = "device", identified(n)
	}
	r.sim = built.StartSimulator(t, strings.NewReplacer("ACK", ack, "WHOSE", whose).Replace(deployment), "-keep", "2000000")
	for _, device := range r.devices {
		r.sim.AddLeaves(device, world.Derived)
	}
	r.gateway = built.NewGateway(t, r.sim, world.Workload, r.disk.Data)
	r.openProxies(seed)
	r.startGateway()
	r.sim.Decided()
	r.fleet = built.StartFleet(t, world.Addresses{
		Trackers: r.trackers.Addr(), UDPTrackers: r.udp.Addr(), Meters: r.meters.Addr(), Lines: r.lines.Addr(),
	}, "-trackers", strconv.Itoa(n.trackers), "-lines", strconv.Itoa(n.lines),
		"-udp-trackers", strconv.Itoa(n.udpTrackers), "-meters", strconv.Itoa(n.meters),
		"-rate", n.rate, "-settle", settle.String(), "-ack-timeout", "3s", "-clock-steps", "1h")
	for _, device := range []string{"line-1", "meter-1"} {
		r.sim.WaitMessages(device, 1, 30*time.Second)
	}
	return r
}

// openProxies opens the bad networks; their targets are set when the gateway runs.
func (r *rig) openProxies(seed uint64) {
	r.t.Helper()
	stream := func() *proxy.TCP {
		p, err := proxy.ListenTCP("", seed)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = p.Close() })
		return p
	}
	datagram := func() *proxy.UDP {
		p, err := proxy.ListenUDP("", seed)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = p.Close() })
		return p
	}
	r.trackers, r.lines, r.hub = stream(), stream(), stream()
	r.udp, r.meters = datagram(), datagram()
}

// startGateway starts the gateway on its data and shows the devices where it is. The
// way to the hub leads through the proxy. The queue is small, so that it gets full, or
// large enough for several messages of a device in several batches.
func (r *rig) startGateway() {
	r.t.Helper()
	_, port, _ := strings.Cut(r.hub.Addr(), ":")
	r.hub.Target(strings.Replace(r.hubAddr(), "localhost", "127.0.0.1", 1))
	queue := 128 << 10 << (5 * r.dice.IntN(2))
	if r.queue > 0 {
		queue = r.queue
	}
	r.gateway.Start("IOTEDGE_GATEWAYHOSTNAME=localhost:"+port,
		"CAUSEWAY_HUB_QUEUE_BYTES="+strconv.Itoa(queue), "CAUSEWAY_HUB_BATCH_BYTES=16384", tokenTTL)
	to := r.gateway.Addresses()
	r.trackers.Target(to.Trackers)
	r.lines.Target(to.Lines)
	r.udp.Target(to.UDPTrackers)
	r.meters.Target(to.Meters)
}

// hubAddr is where the simulator's hub listens.
func (r *rig) hubAddr() string {
	r.t.Helper()
	for _, pair := range r.gateway.Environment() {
		if addr, ok := strings.CutPrefix(pair, "IOTEDGE_GATEWAYHOSTNAME="); ok {
			return addr
		}
	}
	r.t.Fatal("the environment does not say where the hub is")
	return ""
}

// killGateway is kill -9, after a look at the memory.
func (r *rig) killGateway() {
	r.weigh()
	r.gateway.Proc.Kill()
}

// weigh notes the gateway's peak memory so far.
func (r *rig) weigh() {
	r.t.Helper()
	n, err := r.gateway.Proc.PeakMemory()
	if err != nil {
		r.t.Errorf("the gateway ended by itself: %v\n%s", err, world.Tail(r.gateway.Proc.Output()))
	}
	r.evidence.PeakMemory = max(r.evidence.PeakMemory, n)
}

// pause waits between least and most, or fails when a process ends meanwhile.
func (r *rig) pause(least, most time.Duration) {
	r.t.Helper()
	timer := time.NewTimer(least + time.Duration(r.dice.Int64N(int64(most-least)+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.fleet.Proc.Ended():
		r.t.Fatal("the fleet has ended by itself")
	}
}

// say notes what is done, with the time since the beginning.
func (r *rig) say(format string, args ...any) {
	r.t.Helper()
	r.t.Logf("%6.1fs %s", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// cannot notes that a fault cannot be had, and why.
func (r *rig) cannot(why string) {
	r.t.Helper()
	r.skipped = true
	r.say("not done: %s", why)
}

// connected says whether the gateway's links to the hub stand.
func (r *rig) connected() bool {
	r.t.Helper()
	_, body := r.gateway.Get("/readyz")
	return strings.Contains(body, `"hubConnected":true`)
}

// acked is how many messages the devices were acknowledged in all, by the fleet's
// status line, one a second.
func (r *rig) acked() uint64 {
	r.t.Helper()
	out := r.fleet.Proc.Output()
	all := regexp.MustCompile(`acked=(\d+)`).FindAllStringSubmatch(out[max(0, len(out)-500):], -1)
	if all == nil {
		return 0
	}
	n, err := strconv.ParseUint(all[len(all)-1][1], 10, 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// heal ends every fault that may still be there.
func (r *rig) heal() {
	r.t.Helper()
	r.calm()
	r.setClock(0)
	r.hub.Set(proxy.Weather{})
	r.sim.Must("DELETE", "/faults", nil, nil)
	r.sim.Must("POST", "/hub/up", nil, nil)
}

// calm ends bad weather between devices and gateway.
func (r *rig) calm() {
	for _, p := range r.deviceNets() {
		p.Set(proxy.Weather{})
	}
}

// deviceNets are the networks between devices and gateway.
func (r *rig) deviceNets() []interface{ Set(proxy.Weather) } {
	return []interface{ Set(proxy.Weather) }{r.trackers, r.lines, r.udp, r.meters}
}

// finish lets everything settle and gathers the evidence.
func (r *rig) finish() *Evidence {
	r.t.Helper()
	r.heal()
	world.Eventually(r.t, 60*time.Second, "the gateway is connected again", r.connected)
	r.say("all is well again; waiting for what is open")
	r.fleet.Proc.Ask(r.t)
	if code := r.fleet.Proc.Wait(r.t, settle+30*time.Second); code != 0 {
		r.t.Errorf("fleet: exit code %d", code)
	}
	for line := range strings.Lines(r.fleet.Proc.Output()) {
		if strings.Contains(line, "are not acknowledged") {
			r.evidence.Open = append(r.evidence.Open, strings.TrimSpace(line))
		}
	}
	world.Within(60*time.Second, func() bool { // what is left is judged
		r.evidence.Left = r.left()
		return r.evidence.Left == 0
	})
	r.weigh()
	r.evidence.Messages = r.messages()
	code, table := r.fleet.Compare(slices.DeleteFunc(slices.Clone(r.evidence.Messages), func(m world.Message) bool {
		return m.Properties["deviceId"] == filler || m.Output == outputEvents // none of the fleet's own
	}))
	r.evidence.CheckFailed, r.evidence.Table = code != 0, table
	return &r.evidence
}

// left is what the gateway has not yet brought to the hub: bytes in its queue, and
// messages on its disk.
func (r *rig) left() int64 {
	r.t.Helper()
	return r.metric("causeway_hub_queue_bytes") + r.metric("causeway_identity_queue_bytes") + r.spooled()
}

// spooled is how many messages are on the gateway's disk.
func (r *rig) spooled() int64 {
	r.t.Helper()
	return r.metric("causeway_spool_messages") + r.metric("causeway_identity_spool_messages")
}

// metric is the sum of the gateway's series of that name.
func (r *rig) metric(wanted string) (n int64) {
	r.t.Helper()
	_, metrics := r.gateway.Get("/metrics")
	for line := range strings.Lines(metrics) {
		name, rest, _ := strings.Cut(line, "{")
		if name != wanted {
			continue
		}
		_, value, _ := strings.Cut(rest, "} ")
		f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			r.t.Fatalf("metric %s: %v", line, err)
		}
		n += int64(f)
	}
	return n
}

// letters is how many dead letters are on their way: the gateway made them, and neither
// gave them up nor are they in the cloud. Those of gateways that were killed are taken
// off, so only its change means something while one gateway lives.
func (r *rig) letters() int64 {
	r.t.Helper()
	on := r.metric("causeway_dead_letters_total") - r.metric("causeway_dead_letters_unsent_total")
	for page := r.sim.Messages(r.read); len(page) > 0; page = r.sim.Messages(r.read) {
		for i := range page {
			if m := &page[i]; m.Output == outputDead {
				r.told[m.Properties["letterId"]] = true
			}
		}
		r.read = page[len(page)-1].Sequence
	}
	return on - int64(len(r.told))
}

// spoolOf changes the gateway's spool in the twin and waits until that is applied;
// false when the gateway has no hub for too long.
func (r *rig) spoolOf(bytes int, full string) bool {
	r.t.Helper()
	r.sim.Patch(map[string]any{"spool": map[string]any{"bytes": bytes, "full": full}})
	return world.Within(20*time.Second, func() bool {
		p := r.sim.Twin().Properties
		return p.Reported.LastDesiredVersion == p.Desired.Version && p.Reported.LastDesiredStatus.Code == 200
	})
}

// messages are all that reached the cloud, page by page.
func (r *rig) messages() (all []world.Message) {
	r.t.Helper()
	for {
		since := uint64(0)
		if len(all) > 0 {
			since = all[len(all)-1].Sequence
		}
		page := r.sim.Messages(since)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// spool is the folder of the gateway's log.
func (r *rig) spool() string {
	if r.devices != nil {
		return filepath.Join(r.disk.Data, "spool-devices")
	}
	return filepath.Join(r.disk.Data, "spool")
}
