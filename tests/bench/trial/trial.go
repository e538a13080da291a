package trial

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/payload"
	"github.com/causeway-iot/causeway/tests/bench/rig"
)

// Trial is one thing to measure.
type Trial struct {
	// Name is how it is asked for, Title what is written above its table.
	Name, Title string
	Kind        payload.Kind
	// Network is tcp, tls or udp.
	Network string
	// Connections, Devices (as many, if 0), Listeners (one, if 0) and Routes are the size.
	Connections, Devices, Listeners, Routes int
	// Rate is messages a second; 0 is as fast as the gateway reads.
	Rate float64
	// Delay is how late the hub answers.
	Delay time.Duration
	// Shape is how it is measured, Flow if empty.
	Shape Shape
	// Contenders are who is measured, Rounds how often each (once, if 0).
	Contenders []string
	Rounds     int
	// Seconds is how long is measured, after a warm-up of a fifth of that.
	Seconds float64
	// Group joins trials that are points of one curve; X is where on it.
	Group string
	X     float64
}

// Shape is how a trial is measured.
type Shape string

// The shapes.
const (
	// Flow sends all the time.
	Flow Shape = "flow"
	// Idle opens the connections, sends one message on each, and looks at the memory.
	Idle Shape = "idle"
	// Outage stops the hub in the middle of the load.
	Outage Shape = "outage"
	// Startup starts the gateway again on the configuration that it has kept.
	Startup Shape = "startup"
)

// For says whether a contender can be measured: all but Causeway take lines over TCP at one
// place, and keep no configuration.
func (t *Trial) For(contender string) bool {
	simple := t.Kind == payload.Lines && t.Network == "tcp" && t.listeners() == 1 && t.Routes == 0 && t.Shape != Startup
	return simple || contender == rig.Causeway
}

func (t *Trial) listeners() int { return max(t.Listeners, 1) }

// desired is Causeway's twin for the trial. It names what has no default: where to listen,
// the codec and its options, how lines end.
func (t *Trial) desired(addresses []string, s *rig.Sink) ([]byte, error) {
	listeners, routes := map[string]any{}, map[string]any{}
	for i, address := range addresses {
		l := map[string]any{"bind": t.Network + "://" + address, "codec": "json", "options": map[string]any{"id": "/id"}}
		switch t.Kind {
		case payload.Lines:
			l["frame"] = map[string]any{"type": "line"}
		case payload.Prefixed:
			l["frame"] = map[string]any{"type": "length", "size": 2}
		case payload.Datagrams:
		case payload.Teltonika:
			l["codec"] = "teltonika"
			delete(l, "options")
		}
		if t.Network == "tls" {
			l["tls"] = map[string]any{"certificate": s.Certificate, "key": s.Key}
		}
		listeners[fmt.Sprintf("l%d", i)] = l
	}
	for i := range t.Routes {
		routes[fmt.Sprintf("r%d", i)] = map[string]any{
			"when": fmt.Sprintf(`message.device == "nobody-%d"`, i), "output": "other",
		}
	}
	return json.Marshal(map[string]any{"listeners": listeners, "routes": routes})
}

// Result is what one run of a trial gave. Fields that a shape does not measure are zero.
type Result struct {
	Trial     string  `json:"trial"`
	Contender string  `json:"contender"`
	Round     int     `json:"round"`
	X         float64 `json:"x,omitempty"`
	// Rate is messages a second at the sink, CPU is seconds for a million of them.
	Rate float64 `json:"rate,omitempty"`
	CPU  float64 `json:"cpu,omitempty"`
	// SinkCPU is the same of the sink, to see that it was not what was measured.
	SinkCPU float64 `json:"sinkCpu,omitempty"`
	// P50, P99 and P999 are milliseconds from sending to arrival; of a paced load only.
	P50  float64 `json:"p50,omitempty"`
	P99  float64 `json:"p99,omitempty"`
	P999 float64 `json:"p999,omitempty"`
	// IdleRSS is bytes before anybody is connected, LoadRSS with all connections: under
	// load, or idle. PeakRSS is the most since the load began.
	IdleRSS int64 `json:"idleRss,omitempty"`
	LoadRSS int64 `json:"loadRss,omitempty"`
	PeakRSS int64 `json:"peakRss,omitempty"`
	// Allocations are those on the heap for one message, nil where the gateway does not tell.
	Allocations *float64 `json:"allocations,omitempty"`
	// StartMS is milliseconds from the start of the process to the first connection.
	StartMS float64 `json:"startMs,omitempty"`
	// What was sent, and what became of it.
	Sent       int64 `json:"sent"`
	Lost       int64 `json:"lost"`
	Duplicates int64 `json:"duplicates"`
	Reordered  int64 `json:"reordered"`
	Foreign    int64 `json:"foreign,omitempty"`
	// Resends tells that the hub was away, so that what it had and could not answer may come
	// twice: delivery is at least once, and a message that is sent again has its id again.
	Resends bool `json:"resends,omitempty"`
	// LoadAverage is the machine's, at the end.
	LoadAverage float64 `json:"loadAverage"`
}

// Wrong says what must not be, empty when all is well. A peer may reorder: that it does is in
// the table.
func (r *Result) Wrong(peer bool) string {
	switch {
	case r.Lost != 0:
		return fmt.Sprintf("%d of %d messages were lost", r.Lost, r.Sent)
	case r.Foreign != 0:
		return fmt.Sprintf("%d messages could not be read", r.Foreign)
	case r.Duplicates != 0 && !r.Resends:
		return fmt.Sprintf("%d messages arrived twice", r.Duplicates)
	case r.Reordered != 0 && !peer:
		return fmt.Sprintf("%d messages arrived out of order", r.Reordered)
	}
	return ""
}
