package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// Over AMQP a token is renewed on the open connection, over MQTT by a new one. Devices and
// callers of methods notice neither.
func TestATokenIsRenewedUnderTrafficAndNothingIsLostRepeatedOrUnanswered(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"Amqp", "AmqpWs", "Mqtt", "MqttWs"} {
		t.Run(upstream, func(t *testing.T) {
			t.Parallel()
			renewedUnderTraffic(t, built.Over(upstream))
		})
	}
}

func renewedUnderTraffic(t *testing.T, p world.Programs) {
	t.Helper()
	const renewals = 2
	sim := p.StartSimulator(t, mixed)
	g := p.StartGateway(t, sim, world.Workload, "CAUSEWAY_TOKEN_TTL_SECONDS=10")
	f := p.StartFleet(t, g.Addresses(), "-trackers", "3", "-udp-trackers", "2", "-meters", "2", "-lines", "3",
		"-rate", "10", "-ack-timeout", "20s") // nothing is sent twice but after a loss
	calls, began := 0, time.Now()
	for tick := time.NewTicker(10 * time.Millisecond); tokens(t, g) < renewals || calls == 0; <-tick.C {
		if status, answer := sim.Method("ping", nil); status != 200 {
			t.Fatalf("call %d: status %d, %s", calls, status, answer)
		}
		if calls++; time.Since(began) > time.Minute {
			t.Fatalf("%d renewals in a minute", tokens(t, g))
		}
	}
	t.Logf("%d methods were answered over %d renewals", calls, renewals)
	sim.Patch(map[string]any{"log": map[string]any{"level": "debug"}})
	if status := sim.Decided().Properties.Reported.LastDesiredStatus; status.Code != 200 {
		t.Errorf("twin after the renewals: %+v", status)
	}
	f.Proc.Ask(t)
	f.Check(sim, time.Minute)
	seen := map[string]bool{}
	for _, m := range sim.Messages(0) {
		if id := m.System["messageId"]; seen[id] {
			t.Errorf("%s has come twice", id)
		} else {
			seen[id] = true
		}
	}
	if out := g.Proc.Output(); strings.Contains(out, "edge hub lost") {
		t.Errorf("a renewal was a loss of the hub:\n%s", out)
	}
}

// tokens is how many times the gateway has renewed its token.
func tokens(t *testing.T, g *world.Gateway) int {
	t.Helper()
	_, metrics := g.Get("/metrics")
	m := regexp.MustCompile(`(?m)^causeway_hub_token_renewals_total\{.*\} (\d+)$`).FindStringSubmatch(metrics)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
