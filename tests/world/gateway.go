package world

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The styles of the module's environment.
const (
	Workload         = "workload"
	ConnectionString = "connectionstring"
)

// Gateway is the program under test as a process.
type Gateway struct {
	t     testing.TB
	path  string
	sim   *Simulator
	style string
	env   []string // of the simulator
	own   []string // its clock and what it speaks
	// Data is its data directory, Proc the process that runs or ran last.
	Data string
	Proc *Process
}

// NewGateway prepares a gateway on a data directory; Start starts it.
func (p Programs) NewGateway(tb testing.TB, s *Simulator, style, data string) *Gateway {
	tb.Helper()
	return &Gateway{t: tb, path: p.Causeway, sim: s, style: style, Data: data,
		own: append(p.Clock.environment(), "UpstreamProtocol="+p.Upstream)}
}

// StartGateway starts a gateway on an empty data directory and waits until it has
// applied its twin.
func (p Programs) StartGateway(tb testing.TB, s *Simulator, style string, env ...string) *Gateway {
	tb.Helper()
	g := p.NewGateway(tb, s, style, tb.TempDir())
	g.Start(env...)
	s.Decided()
	return g
}

// Start starts the process; again on the same data after a kill. Variables given
// here take the place of the simulator's.
func (g *Gateway) Start(env ...string) {
	g.t.Helper()
	env = slices.Concat(g.Environment(), g.own, env)
	env = append(env, "CAUSEWAY_DATA_DIR="+g.Data, "CAUSEWAY_METRICS_ADDR=127.0.0.1:0")
	g.Proc = Start(g.t, "causeway", env, g.path)
}

// Kill ends the process at once, and returns when the hub has noticed: until then it would hand
// a method to a connection that is dead, and its caller wait in vain.
func (g *Gateway) Kill() {
	g.t.Helper()
	g.Proc.Kill()
	Eventually(g.t, 20*time.Second, "the hub notices that the gateway is gone", func() bool {
		return !g.sim.Connected()["edge/"+Module]
	})
}

// Environment is what the simulator gives the module. It is asked once, so that a
// gateway can be started while the simulator is away.
func (g *Gateway) Environment() []string {
	g.t.Helper()
	if g.env == nil {
		g.env = g.sim.Env(g.style)
	}
	return g.env
}

// Addr is where a listener listens, once it does. The gateway is asked itself, so
// the hub may be away.
func (g *Gateway) Addr(listener string) (addr string) {
	g.t.Helper()
	Eventually(g.t, 20*time.Second, "listener "+listener+" is open", func() bool {
		_, body := g.Get("/readyz")
		var ready struct {
			Details struct {
				Listeners map[string]struct{ State, Bind string } `json:"listeners"`
			} `json:"details"`
		}
		if json.Unmarshal([]byte(body), &ready) != nil {
			return false
		}
		l := ready.Details.Listeners[listener]
		_, addr, _ = strings.Cut(l.Bind, "://")
		return l.State == "listening"
	})
	return addr
}

// Addresses are where the fleet's kinds of devices find their listeners.
type Addresses struct{ Trackers, UDPTrackers, Meters, Lines string }

// Addresses asks for the listeners trackers, trackers-udp, meters and lines.
func (g *Gateway) Addresses() Addresses {
	g.t.Helper()
	return Addresses{
		Trackers: g.Addr("trackers"), UDPTrackers: g.Addr("trackers-udp"), Meters: g.Addr("meters"), Lines: g.Addr("lines"),
	}
}

// Get asks the metrics server.
func (g *Gateway) Get(path string) (status int, body string) {
	g.t.Helper()
	var addr []string
	Eventually(g.t, 10*time.Second, "the metrics server says where it is", func() bool {
		addr = regexp.MustCompile(`metrics open addr=(\S+)`).FindStringSubmatch(g.Proc.Output())
		return addr != nil
	})
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+addr[1]+path, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Close = true // the gateway may be killed between two calls
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatalf("get %s: %v", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("get %s: %v", path, err)
	}
	return resp.StatusCode, string(b)
}

// Logged waits for a line of the gateway's log.
func (g *Gateway) Logged(text string) {
	g.t.Helper()
	Eventually(g.t, 20*time.Second, "the gateway logs "+text, func() bool {
		return strings.Contains(g.Proc.Output(), text)
	})
}
