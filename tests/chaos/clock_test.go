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
