package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The styles of the module's environment.
const (
	workload         = "workload"
	connectionString = "connectionstring"
)

// gateway is the program under test as a process.
type gateway struct {
	t     *testing.T
	sim   *simulator
	style string
	data  string
	proc  *process
}

// startGateway starts the gateway against the simulator and waits until it has
// applied its twin.
func startGateway(t *testing.T, s *simulator, style string, env ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, sim: s, style: style, data: t.TempDir()}
	g.start(env...)
	g.sim.decided()
	return g
}

// start starts the process; again on the same data after a kill.
func (g *gateway) start(env ...string) {
	g.t.Helper()
	env = append(g.sim.env(g.style), env...)
	env = append(env, "CAUSEWAY_DATA_DIR="+g.data, "CAUSEWAY_METRICS_ADDR=127.0.0.1:0")
	g.proc = start(g.t, "causeway", env, built.causeway)
}

// addr is where a listener listens, once it does.
func (g *gateway) addr(listener string) (addr string) {
	g.t.Helper()
	eventually(g.t, 20*time.Second, "listener "+listener+" is open", func() bool {
		_, payload := g.sim.method("getStatus", nil)
		var status struct {
			Listeners map[string]struct{ State, Bind string } `json:"listeners"`
		}
		if json.Unmarshal(payload, &status) != nil {
			return false
		}
		l := status.Listeners[listener]
		_, addr, _ = strings.Cut(l.Bind, "://")
		return l.State == "listening"
	})
	return addr
}

// get asks the metrics server.
func (g *gateway) get(path string) (status int, body string) {
	g.t.Helper()
	var addr []string
	eventually(g.t, 10*time.Second, "the metrics server says where it is", func() bool {
		addr = regexp.MustCompile(`metrics open addr=(\S+)`).FindStringSubmatch(g.proc.out.String())
		return addr != nil
	})
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+addr[1]+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
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

// logged waits for a line of the gateway's log.
func (g *gateway) logged(text string) {
	g.t.Helper()
	eventually(g.t, 20*time.Second, "the gateway logs "+text, func() bool {
		return strings.Contains(g.proc.out.String(), text)
	})
}
