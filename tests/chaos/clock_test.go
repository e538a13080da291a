package chaos

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

func TestTheClockOfGatewayAndHubIsSet(t *testing.T) {
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0"}`)
	built.StartGateway(t, sim, world.Workload)
	t.Cleanup(func() {
		if err := built.Clock.Set(0); err != nil {
			t.Error(err)
		}
	})
	for _, shift := range []time.Duration{5 * time.Hour, -40 * time.Minute, 0} {
		if err := built.Clock.Set(shift); err != nil {
			t.Fatal(err)
		}
		var got time.Duration
		world.Eventually(t, 20*time.Second, "the gateway answers, although its token may have expired", func() bool {
			status, payload := sim.Method("ping", map[string]any{})
			var pong struct{ Time time.Time }
			if status != 200 || json.Unmarshal(payload, &pong) != nil {
				return false
			}
			got = time.Until(pong.Time)
			return true
		})
		if d := (got - shift).Abs(); d > 10*time.Second {
			t.Errorf("with the clock set by %v the gateway's differs by %v", shift, got)
		}
	}
}

// setClock sets the clock of gateway and hub, which are on one machine.
func (r *rig) setClock(shift time.Duration) {
	r.t.Helper()
	if err := built.Clock.Set(shift); err != nil {
		r.t.Error(err)
	}
}

// hours draws a step of the clock. Backwards it is less than an hour from the machine's
// time: from there on the certificates of the hub are not yet valid. The way back from
// a step forwards is one of hours.
func (r *rig) hours() time.Duration {
	if r.dice.IntN(3) == 0 {
		return -time.Duration(1+r.dice.IntN(50)) * time.Minute
	}
	return time.Duration(1+r.dice.IntN(5*60)) * time.Minute
}

// clockSet sets the clock, half of the time with the hub away, and then back.
func clockSet(r *rig) {
	if r.dice.IntN(2) == 0 {
		r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
		r.pause(time.Second, 2*time.Second) // the disk is in use
	}
	shift := r.hours()
	r.say("by %v", shift)
	r.setClock(shift)
	r.pause(500*time.Millisecond, 3*time.Second)
	r.setClock(0)
	r.pause(0, time.Second)
	r.sim.Must("POST", "/hub/up", nil, nil)
}

// clockSetMeanwhile sets the clock between two lives of the gateway, and back between
// two more, so that what is on disk is hours old, or of hours to come.
func clockSetMeanwhile(r *rig) {
	r.sim.Must("POST", "/hub/down?abrupt=true", nil, nil)
	r.pause(time.Second, 2*time.Second)
	shift := r.hours()
	r.say("by %v", shift)
	for _, d := range []time.Duration{shift, 0} {
		r.killGateway()
		r.setClock(d)
		r.startGateway()
		r.pause(time.Second, 2*time.Second)
	}
	r.sim.Must("POST", "/hub/up", nil, nil)
}
