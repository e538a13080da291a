package trial

import (
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/payload"
)

// The names of the trials that the targets are about.
const (
	Lines50   = "lines-50"
	Lines1000 = "lines-1000"
	Tracker   = "teltonika"
	Late      = "late-hub"
	Paced     = "latency"
	Idle10k   = "idle"
	Stopped   = "outage"
	UDP       = "udp"
	Start     = "start"
)

// All are the trials of the report, in the order of the page. With quick they are short and
// done once: to see that all of it works, not to be believed.
func All(quick bool) []Trial {
	list := []Trial{
		{
			Name: Lines50, Title: "Throughput, 50 connections", Kind: payload.Lines, Network: "tcp", Connections: 50,
			Contenders: []string{"causeway", "prototype", "prototype-json", "prototype-plain", "naive", "benthos", "node"},
			Rounds:     3, Seconds: 6,
		},
		{
			Name: "lines-1", Title: "Throughput, one connection", Kind: payload.Lines, Network: "tcp", Connections: 1,
			Contenders: []string{"causeway", "prototype", "naive", "benthos"}, Rounds: 1, Seconds: 5,
		},
		{
			Name: Lines1000, Title: "Throughput, 1,000 connections", Kind: payload.Lines, Network: "tcp", Connections: 1000,
			Contenders: []string{"causeway", "prototype", "naive", "benthos"}, Rounds: 2, Seconds: 6,
		},
		{
			Name: "lines-10000", Title: "Throughput, 10,000 connections", Kind: payload.Lines, Network: "tcp",
			Connections: 10_000, Contenders: []string{"causeway", "prototype", "naive"}, Rounds: 1, Seconds: 6,
		},
		{
			Name: Tracker, Title: "Teltonika, 50 trackers, packets of 16 records, acknowledged", Kind: payload.Teltonika,
			Network: "tcp", Connections: 50, Contenders: []string{"causeway"}, Rounds: 3, Seconds: 5,
		},
		{
			Name: "devices-tls", Title: "Throughput, 50 connections with TLS", Kind: payload.Lines, Network: "tls",
			Connections: 50, Contenders: []string{"causeway"}, Rounds: 1, Seconds: 5,
		},
		{
			Name: "prefixed", Title: "Throughput, 50 connections, length-prefixed frames", Kind: payload.Prefixed,
			Network: "tcp", Connections: 50, Contenders: []string{"causeway"}, Rounds: 1, Seconds: 5,
		},
		{
			Name: Late, Title: "A hub that answers 20 ms late, 50 connections", Kind: payload.Lines, Network: "tcp",
			Connections: 50, Delay: 20 * time.Millisecond, Contenders: []string{"causeway", "prototype", "naive"},
			Rounds: 2, Seconds: 5,
		},
		{
			Name: Paced, Title: "Latency at 10,000 messages a second, 50 connections", Kind: payload.Lines, Network: "tcp",
			Connections: 50, Rate: 10_000, Contenders: []string{"causeway", "prototype", "naive", "benthos", "node"},
			Rounds: 3, Seconds: 5,
		},
		{
			Name: Idle10k, Title: "10,000 idle connections", Kind: payload.Lines, Network: "tcp", Connections: 10_000,
			Shape: Idle, Contenders: []string{"causeway", "naive", "benthos"}, Rounds: 1, Seconds: 15,
		},
		{
			Name: Stopped, Title: "Full load, the hub stopped for 30 seconds", Kind: payload.Lines, Network: "tcp",
			Connections: 50, Shape: Outage, Contenders: []string{"causeway"}, Rounds: 1, Seconds: 30,
		},
		{
			Name: UDP, Title: "UDP, 50 peers, 100,000 datagrams a second", Kind: payload.Datagrams, Network: "udp",
			Connections: 50, Rate: 100_000, Contenders: []string{"causeway"}, Rounds: 2, Seconds: 5,
		},
		{
			Name: Start, Title: "Start to the first accepted connection", Kind: payload.Lines, Network: "tcp",
			Connections: 1, Shape: Startup, Contenders: []string{"causeway"}, Rounds: 5,
		},
	}
	list = append(list, growth()...)
	if quick {
		for i := range list {
			list[i].Rounds, list[i].Seconds = 1, min(list[i].Seconds, 2)
		}
	}
	return list
}

// doublings is how often each size is doubled.
const doublings = 4

// growth doubles one size at a time, at a rate that leaves the machine room, so that what
// changes is the cost.
func growth() (list []Trial) {
	point := func(group string, x int, change func(*Trial)) {
		t := Trial{
			Name: fmt.Sprintf("growth-%s-%d", group, x), Group: group, X: float64(x), Kind: payload.Lines, Network: "tcp",
			Title: "How cost grows: " + group, Connections: 50, Rate: 20_000, Contenders: []string{"causeway"},
			Rounds: 1, Seconds: 3,
		}
		change(&t)
		list = append(list, t)
	}
	for i := range doublings + 1 {
		n := 1 << i
		point("messages", 5_000*n, func(t *Trial) { t.Rate = 5_000 * float64(n) })
		point("connections", 50*n, func(t *Trial) { t.Connections = 50 * n })
		point("devices", 500*n, func(t *Trial) { t.Devices = 500 * n })
		point("listeners", 4*n, func(t *Trial) { t.Connections, t.Listeners = 64, 4*n })
		point("routes", 16*n, func(t *Trial) { t.Routes = 16 * n })
	}
	return list
}
