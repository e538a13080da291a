package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codecs"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
)

// patience bounds every wait.
const patience = 30 * time.Second

// environment describes a gateway whose hub is nowhere: everything here has to
// work without one.
func environment(tb testing.TB) config.Environment {
	tb.Helper()
	return config.Environment{
		DataDir: tb.TempDir(), Shutdown: time.Second, TokenTTL: time.Hour, LogLevel: "info", HubQueueBytes: 4 << 20,
		Hub: config.HubEnvironment{
			Style: config.StyleConnectionString, IoTHubHostName: "h.example", GatewayHostName: "127.0.0.1:1",
			DeviceID: "d", ModuleID: "m", Key: "c2VjcmV0",
		},
	}
}

func newGateway(tb testing.TB, env config.Environment) *Gateway {
	tb.Helper()
	level, err := observe.NewLevel("info")
	if err != nil {
		tb.Fatal(err)
	}
	registry, err := codecs.All()
	if err != nil {
		tb.Fatal(err)
	}
	g, err := New(Options{
		Environment: env, Version: "1.2.3", Log: observe.NewLogger(io.Discard, level), Level: level, Registry: registry,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// run runs the gateway until the returned function is called. It has restored what
// was kept when run returns: it has tried the hub then, which is nowhere.
func run(tb testing.TB, g *Gateway) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	eventually(tb, "the gateway runs", func() bool { return g.observers.connectionError() != "" })
	return func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("run: %v", err)
		}
	}
}

// eventually polls a condition until it holds.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", patience, what)
		}
		<-tick.C
	}
}

// bootFile makes the environment name a bootstrap document.
func bootFile(t *testing.T, env *config.Environment, document string) {
	t.Helper()
	env.ConfigFile = filepath.Join(t.TempDir(), "boot.json")
	if err := os.WriteFile(env.ConfigFile, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dial connects to a listener, once it is open.
func dial(tb testing.TB, g *Gateway, name string) net.Conn {
	tb.Helper()
	var network, addr string
	eventually(tb, "listener "+name+" is open", func() bool {
		l := g.running()[name]
		if l == nil {
			return false
		}
		s := l.state()
		network, addr, _ = strings.Cut(s.Bind, "://")
		return s.State == "listening" && !strings.HasSuffix(addr, ":0")
	})
	conn, err := net.Dial(network, addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// alive tells whether the gateway keeps a connection open for a moment.
func alive(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return os.IsTimeout(err)
}

func TestEveryFaultOfADocumentIsToldWithItsPlace(t *testing.T) {
	g := newGateway(t, environment(t))
	defer g.observers.close()
	listener := func(rest string) string {
		return `{"schemaVersion":"1.0","listeners":{"l":{"bind":"tcp://127.0.0.1:0",` + rest + `}}}`
	}
	for name, c := range map[string]struct{ document, pointer, text string }{
		"unknown codec":           {listener(`"codec":"morse"`), "/listeners/l/codec", "teltonika"},
		"unknown option":          {listener(`"codec":"json","options":{"idd":"/id"}`), "/listeners/l/options/idd", "known"},
		"unknown framing":         {listener(`"codec":"raw","frame":{"type":"magic"}`), "/listeners/l/frame/type", "magic"},
		"framing for datagrams":   {listener(`"codec":"raw","frame":{"type":"datagram"}`), "/listeners/l/frame/type", "udp://"},
		"missing certificate":     {strings.Replace(listener(`"codec":"raw"`), "tcp:", "tls:", 1), "/listeners/l/tls", "workload"},
		"certificate not there":   {strings.Replace(listener(`"codec":"raw","tls":{"certificate":"/nowhere","key":"/nowhere"}`), "tcp:", "tls:", 1), "/listeners/l/tls", "/nowhere"},
		"condition that is wrong": {`{"schemaVersion":"1.0","routes":{"r":{"when":"message.size >","output":"o"}}}`, "/routes/r/when", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, faults := g.compile(t.Context(), []byte(c.document), changed)
			if p != nil || len(faults) != 1 {
				t.Fatalf("plan %v, faults %v", p, faults)
			}
			if f := faults[0]; f.Pointer != c.pointer || !strings.Contains(f.Message, c.text) {
				t.Errorf("fault %q: %q", f.Pointer, f.Message)
			}
		})
	}
}

func TestABootstrapFileIsServedWithoutAHub(t *testing.T) {
	env := environment(t)
	bootFile(t, &env, `{"schemaVersion":"1.0","listeners":{"lines":{"bind":"tcp://127.0.0.1:0","codec":"csv",
		"options":{"columns":["id","v"],"id":"id","ack":"OK"},"ack":"decoded"}}}`)
	g := newGateway(t, env)
	defer run(t, g)()
	conn := dial(t, g, "lines")
	if _, err := fmt.Fprintln(conn, "meter-1,7"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 3)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "OK\n" {
		t.Fatalf("answer %q, %v", answer, err)
	}
	eventually(t, "the device is in the table", func() bool {
		_, there := g.Device("meter-1")
		return there
	})
	eventually(t, "its message waits for the hub, in memory or on disk", func() bool {
		return g.uplink.Stats().Messages+g.spooling.state().Messages == 1
	})
	if ready, _ := g.Ready(); !ready {
		t.Error("the gateway is not ready")
	}
	if err := g.Alive(); err != nil {
		t.Errorf("the gateway is not alive: %v", err)
	}
}

func TestAListenerThatDidNotChangeKeepsItsConnections(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	document := func(version int, extra, frame string) {
		g.applyDesired(json.RawMessage(fmt.Sprintf(`{"schemaVersion":"1.0","$version":%d,"listeners":{
			"kept":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"}},
			"changed":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":%q}}%s}}`, version, frame, extra)), int64(version))
	}
	document(1, "", "line")
	kept, changed := dial(t, g, "kept"), dial(t, g, "changed")
	document(2, `,"added":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"}}`, "none")
	dial(t, g, "added")
	if !alive(kept) {
		t.Error("the listener that did not change lost its connection")
	}
	eventually(t, "the changed listener closes its connection", func() bool { return !alive(changed) })
	document(3, `,"added":{"bind":"nonsense"}`, "line")
	if g.status.Code != 400 || !strings.Contains(g.status.Description, "/listeners/added") {
		t.Errorf("a faulty document: %+v", g.status)
	}
	if len(g.running()) != 3 || !alive(kept) {
		t.Errorf("%d listeners run after a faulty document", len(g.running()))
	}
	document(4, "", "none")
	if g.status.Code != 200 || len(g.running()) != 2 {
		t.Errorf("%+v, %d listeners", g.status, len(g.running()))
	}
}

func TestTheLastGoodConfigurationSurvivesARestart(t *testing.T) {
	env := environment(t)
	g := newGateway(t, env)
	stop := run(t, g)
	g.applyDesired(json.RawMessage(`{"schemaVersion":"1.0","$version":9,"listeners":{
		"lines":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"}}}}`), 9)
	dial(t, g, "lines")
	stop()
	again := newGateway(t, env)
	defer run(t, again)()
	dial(t, again, "lines")
}

func TestAListenerWhosePortIsTakenIsOpenedWhenItIsFree(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(json.RawMessage(`{"schemaVersion":"1.0","$version":1,"listeners":{
		"lines":{"bind":"tcp://`+taken.Addr().String()+`","codec":"raw","frame":{"type":"line"}}}}`), 1)
	if s := g.running()["lines"].state(); s.State != "failed" || !strings.Contains(s.Error, "address already in use") {
		t.Errorf("state %+v", s)
	}
	if ready, _ := g.Ready(); ready {
		t.Error("ready without its listener")
	}
	_ = taken.Close()
	dial(t, g, "lines")
}
