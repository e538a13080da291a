package chaos

import (
	"errors"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
	"github.com/causeway-iot/causeway/tests/world/proxy"
)

// fault is one thing that goes wrong. Run lets it happen, waits, and takes back what
// does not end by itself; a gateway and a simulator run when it returns.
type fault struct {
	name string
	run  func(*rig)
	// long keeps a fault out of a short run.
	long bool
	// identities is of devices that have an identity of their own.
	identities bool
	// amqp is something that MQTT has no word for.
	amqp bool
}

// The conditions of refusals that pass later, and of those that do not.
var (
	conditionsLater = []string{
		"com.microsoft:device-container-throttled", "com.microsoft:timeout", "amqp:resource-limit-exceeded",
	}
	conditionsNever = []string{"amqp:not-allowed", "amqp:link:message-size-exceeded", "amqp:decode-error"}
)

// faults are all that the schedule draws from.
var faults = []fault{
	{name: "gateway killed", run: func(r *rig) {
		r.killGateway()
		r.pause(0, 2*time.Second)
		r.startGateway()
	}},
	{name: "gateway terminated", run: func(r *rig) {
		r.weigh()
		if code := r.gateway.Proc.Terminate(r.t); code != 0 {
			r.t.Errorf("gateway: exit code %d after SIGTERM", code)
		}
		r.startGateway()
	}},
	{name: "gateway killed while the hub is away", run: func(r *rig) {
		r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
		r.pause(time.Second, 3*time.Second)
		r.killGateway()
		r.startGateway()
		r.pause(0, time.Second)
		r.sim.Must("POST", "/hub/up", nil, nil)
	}},
	{name: "simulator killed", run: func(r *rig) {
		r.sim.Proc.Kill()
		r.pause(0, 3*time.Second)
		r.sim.Start()
	}},
	{name: "gateway and simulator killed", run: func(r *rig) {
		r.sim.Proc.Kill()
		r.pause(0, time.Second)
		r.killGateway()
		if r.dice.IntN(2) == 0 {
			r.startGateway()
			r.pause(0, time.Second)
			r.sim.Start()
			return
		}
		r.sim.Start()
		r.startGateway()
	}},
	{name: "hub down, with a close", run: func(r *rig) { r.away("/hub/down") }},
	{name: "hub down, without a word", run: func(r *rig) { r.away("/hub/down?abrupt=true") }},
	{name: "hub connections dropped", run: func(r *rig) { r.sim.Must("POST", "/connections/drop", nil, nil) }},
	{name: "token expired", run: func(r *rig) { r.sim.Must("POST", "/tokens/expire", nil, nil) }},
	{name: "dispositions delayed", run: func(r *rig) {
		r.sim.Fault(map[string]any{"delayMs": 50 + r.dice.IntN(400), "count": 1 + r.dice.IntN(8)})
		r.pause(time.Second, 3*time.Second)
	}},
	{name: "dispositions withheld, connection dropped", run: func(r *rig) {
		r.withhold()
		r.sim.Must("POST", "/connections/drop", nil, nil)
	}},
	{name: "dispositions withheld, gateway killed", run: func(r *rig) {
		r.withhold()
		r.killGateway()
		r.startGateway()
	}},
	{name: "dispositions withheld until the gateway gives up", long: true, run: func(r *rig) {
		r.withhold()
		r.pause(60*time.Second, 62*time.Second)
	}},
	{name: "stored, but the connection lost", run: func(r *rig) {
		r.sim.Fault(map[string]any{"drop": true, "count": 1 + r.dice.IntN(3)})
		r.pause(time.Second, 2*time.Second)
	}},
	{name: "refused for a while", run: func(r *rig) { r.refuse(conditionsLater[r.dice.IntN(len(conditionsLater))], 1+r.dice.IntN(5)) }},
	// Devices were acknowledged from disk, so that they have messages in several transfers
	// of which the hub refuses some and takes others.
	{name: "refused for a while, with a backlog", run: func(r *rig) {
		r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
		r.pause(time.Second, 3*time.Second)
		r.sim.Fault(map[string]any{
			"refuse": map[string]any{"condition": conditionsLater[r.dice.IntN(len(conditionsLater))]}, "count": 1 + r.dice.IntN(3),
		})
		r.sim.Must("POST", "/hub/up", nil, nil)
		r.pause(500*time.Millisecond, 2*time.Second)
	}},
	{name: "refused by an internal error", amqp: true, run: func(r *rig) { r.refuse("amqp:internal-error", 1+r.dice.IntN(2)) }},
	{name: "refused as unauthorized", amqp: true, run: func(r *rig) { r.refuse("amqp:unauthorized-access", 1) }},
	{name: "refused for good", run: refusedForGood},
	{name: "identity used twice", run: duplicateIdentity},
	{name: "hub link stalled", run: func(r *rig) {
		r.hub.Set(proxy.Weather{Stall: true})
		r.pause(time.Second, 4*time.Second)
		r.hub.Set(proxy.Weather{})
		if r.dice.IntN(2) == 0 { // else what was held arrives late
			r.hub.Reset()
		}
	}},
	{name: "hub link slow", run: func(r *rig) {
		r.hub.Set(proxy.Weather{Delay: 20 * time.Millisecond, Jitter: 200 * time.Millisecond})
		r.pause(time.Second, 4*time.Second)
		r.hub.Set(proxy.Weather{})
	}},
	{name: "hub link cut mid-frame", run: func(r *rig) { r.hub.Cut(1); r.pause(0, time.Second) }},
	{name: "device links cut mid-frame", run: func(r *rig) {
		r.trackers.Cut(r.dice.Float64())
		r.lines.Cut(r.dice.Float64())
		r.pause(0, time.Second)
	}},
	{name: "device links half-open", run: func(r *rig) {
		r.trackers.Set(proxy.Weather{Stall: true})
		r.lines.Set(proxy.Weather{Stall: true})
		r.pause(time.Second, 4*time.Second)
		r.calm()
	}},
	{name: "device links reset", run: func(r *rig) { r.trackers.Reset(); r.lines.Reset() }},
	{name: "devices' network bad", run: func(r *rig) {
		for _, p := range r.deviceNets() {
			p.Set(proxy.Weather{Jitter: 300 * time.Millisecond, Loss: 0.3, Reorder: 0.3})
		}
		r.pause(time.Second, 4*time.Second)
		r.calm()
	}},
	{name: "addresses of UDP devices changed", run: func(r *rig) { r.udp.Rebind(); r.meters.Rebind() }},
	{name: "disk full", run: diskFull},
	{name: "spool full, devices wait", run: spoolFull},
	{name: "clock set by hours", run: clockSet},
	{name: "clock set while the gateway is dead", run: clockSetMeanwhile},
	{name: "disk read-only, hub away, gateway killed: nowhere safe", run: nowhere},
	{name: "last record torn while the gateway is dead", run: torn},
	{name: "connection of a device closed", identities: true, run: func(r *rig) {
		r.sim.CloseLeaf(r.device())
		r.pause(0, time.Second)
	}},
	{name: "token of a device expired", identities: true, run: func(r *rig) { r.sim.ExpireLeaf(r.device(), true) }},
	{name: "device barred for a while", identities: true, run: func(r *rig) {
		device := r.device()
		r.sim.DisableLeaf(device, true)
		r.pause(time.Second, 4*time.Second)
		r.sim.DisableLeaf(device, false)
	}},
	{name: "device refused when it attaches", identities: true, run: func(r *rig) {
		device := r.device()
		r.sim.LeafFault(device, 2, map[string]any{"attach": map[string]any{"description": "not now"}})
		r.sim.CloseLeaf(device)
		r.pause(time.Second, 4*time.Second)
	}},
}

// away takes the hub away for a while.
func (r *rig) away(path string) {
	r.sim.Must("POST", path, nil, nil)
	r.pause(500*time.Millisecond, 4*time.Second)
	r.sim.Must("POST", "/hub/up", nil, nil)
}

// withhold leaves batches without a disposition. The gateway waits a minute for one,
// so whoever calls it has to end the connection.
func (r *rig) withhold() {
	r.sim.Fault(map[string]any{"withhold": true, "count": 1 + r.dice.IntN(3)})
	r.pause(500*time.Millisecond, 2*time.Second)
	r.sim.Must("DELETE", "/faults", nil, nil)
}

// refuse waits until there is no backlog: see the fault that does not. What is on disk is
// acknowledged, and of that nothing may be refused for good; nor may the disk be in use as
// soon as the hub refuses, for want of a connection.
func (r *rig) refuse(condition string, count int) {
	world.Eventually(r.t, 60*time.Second, "the gateway has no backlog", func() bool {
		return r.connected() && r.spooled() == 0 && r.left() < 16<<10
	})
	r.sim.Fault(map[string]any{"refuse": map[string]any{"condition": condition}, "count": count})
	r.pause(500*time.Millisecond, 2*time.Second)
	r.sim.Must("DELETE", "/faults", nil, nil)
}

// refusedForGood refuses as often as it takes to find one record of a packet. The checker
// learns from the dead letter which one may come late, and a gateway that is killed
// forgets those on their way: so the next fault waits for them.
func refusedForGood(r *rig) {
	open := r.letters()
	r.refuse(conditionsNever[r.dice.IntN(len(conditionsNever))], 1+r.dice.IntN(3))
	if !world.Within(20*time.Second, func() bool { return r.letters() <= open }) {
		r.say("a dead letter has not reached the cloud: were its record late, it would count as out of order")
	}
}

// duplicateIdentity starts a second gateway of the same module for a while: the hub
// lets the newest connection win, so they throw each other out. Its devices are none,
// for its listeners are on ports of their own.
func duplicateIdentity(r *rig) {
	twin := built.NewGateway(r.t, r.sim, world.Workload, r.t.TempDir())
	twin.Start()
	r.pause(time.Second, 3*time.Second)
	twin.Proc.Kill()
}

// diskFull fills the disk, half of the time with the hub away, so that the disk is
// asked for.
func diskFull(r *rig) {
	if !r.disk.CanFill() {
		r.cannot("the disk is " + r.disk.Kind())
		return
	}
	if err := r.disk.Fill(); err != nil {
		r.t.Error(err)
	}
	if r.dice.IntN(2) == 0 {
		r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
	}
	r.pause(time.Second, 3*time.Second)
	if r.dice.IntN(3) == 0 {
		r.killGateway()
		r.startGateway()
		r.pause(time.Second, 2*time.Second)
	}
	if err := r.disk.Empty(); err != nil {
		r.t.Error(err)
	}
	r.sim.Must("POST", "/hub/up", nil, nil)
}

// nowhere makes a time in which no place is safe: the gateway starts on a disk that it
// can read only, and the hub is away. No device may be acknowledged. Then the gateway
// is killed, and with it whatever it may have acknowledged all the same.
func nowhere(r *rig) {
	r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
	r.killGateway()
	if err := r.disk.ReadOnly(true); err != nil {
		r.t.Error(err)
	}
	r.startGateway()
	// What was acknowledged before may still be on its way, and the fleet says once a second what it knows.
	r.pause(proxy.Lateness+2*time.Second, proxy.Lateness+2*time.Second)
	w := Window{Fault: "hub away, disk read-only", Before: r.acked()}
	r.pause(3*time.Second, 5*time.Second)
	w.After = r.acked()
	r.evidence.Windows = append(r.evidence.Windows, w)
	r.killGateway()
	if err := r.disk.ReadOnly(false); err != nil {
		r.t.Error(err)
	}
	r.sim.Must("POST", "/hub/up", nil, nil)
	r.startGateway()
}

// torn tears the last record of the spool while the gateway is dead, after some time
// without the hub, so that there are records.
func torn(r *rig) {
	r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
	r.pause(time.Second, 3*time.Second)
	r.killGateway()
	name, err := Tear(r.spool(), r.dice)
	switch {
	case errors.Is(err, errNoSegment):
		r.cannot("the gateway has written no spool")
	case err != nil:
		r.t.Error(err)
	default:
		r.say("tore %s", strings.TrimPrefix(name, r.disk.Data))
	}
	r.startGateway()
	r.sim.Must("POST", "/hub/up", nil, nil)
}
