package chaos

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// spoolFull takes the hub away until a small spool is full, and lets devices wait
// for a while. Half of the time the gateway is killed in this state.
func spoolFull(r *rig) {
	defer r.sim.Patch(map[string]any{"spool": map[string]any{"bytes": spoolBytes}})
	if !world.Within(20*time.Second, r.connected) || !r.spoolOf(spoolSmall, "block") {
		r.cannot("the gateway does not take the small spool")
		return
	}
	r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
	defer r.sim.Must("POST", "/hub/up", nil, nil)
	stop := r.fill()
	full := world.Within(20*time.Second, func() bool { return r.metric("causeway_spool_full") == 1 })
	stop()
	if !full {
		r.cannot("the spool is not full")
		return
	}
	r.pause(500*time.Millisecond, 2*time.Second)
	if r.dice.IntN(2) == 0 {
		r.killGateway()
		r.startGateway()
		r.pause(0, time.Second)
	}
}

// filler is a device of the test's own, which sends without being asked to keep
// anything, so that the spool is full soon.
const filler = "filler"

// fill sends large messages until the returned function is called.
func (r *rig) fill() (stop func()) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.gateway.Addr(filler))
	if err != nil {
		r.t.Error(err)
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		line := []byte(strings.Repeat("x", 32<<10) + "\n")
		for err := error(nil); err == nil; {
			_, err = conn.Write(line) // waits when the gateway does
		}
	}()
	return func() {
		_ = conn.Close()
		<-done
	}
}

// Under drop-oldest acknowledged messages may be missing, but not more than the gateway
// says, and what arrives is in order all the same. The gateway is not killed here, for
// it counts since its start; its memory is small, for what is still there is delivered
// although it was given up on disk.
func TestNothingIsLostUncountedUnderDropOldest(t *testing.T) {
	r := newRig(t, seed(t), "stored", size{trackers: 40, lines: 40, udpTrackers: 20, meters: 20, rate: "10", queueBytes: 64 << 10})
	if !r.spoolOf(spoolLeast, "drop-oldest") {
		t.Fatal("the gateway does not take the small spool")
	}
	for range 2 {
		dropped := r.evidence.Dropped
		r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
		world.Eventually(t, 60*time.Second, "messages are given up", func() bool {
			r.evidence.Dropped = r.metric("causeway_spool_dropped_total")
			return r.evidence.Dropped > dropped+200
		})
		if r.dice.IntN(2) == 0 {
			r.trackers.Cut(r.dice.Float64())
			r.lines.Cut(r.dice.Float64())
		}
		r.pause(0, time.Second)
		r.sim.Must("POST", "/hub/up", nil, nil)
		r.pause(500*time.Millisecond, 2*time.Second)
		r.say("%d messages were given up", r.evidence.Dropped)
	}
	e := r.finish()
	e.Dropped = r.metric("causeway_spool_dropped_total")
	var out strings.Builder
	e.Write(&out)
	t.Log("\n" + out.String())
	if lost, _, _ := totals(e.Table); lost == 0 {
		t.Error("nothing acknowledged is missing: this run has shown nothing")
	}
	if broken := e.Judge(); len(broken) > 0 {
		t.Errorf("%d promises broken, seed %d", len(broken), e.Seed)
	}
}
