package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// answering is a script that answers each line with a word of its version.
func answering(word string) string {
	return `module.exports = {receive: function () { return {reply: "` + word + `"}; }};`
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// source is a program as a file.
func source(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "acme.js")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// scripted is a document with one listener whose codec is a script.
func scripted(version int, codec string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"schemaVersion":"1.0","$version":%d,"codecs":{"acme":%s},
		"listeners":{"lines":{"bind":"tcp://127.0.0.1:0","codec":"acme","frame":{"type":"line"}}}}`, version, codec))
}

// ask says a line and returns the answer.
func ask(t *testing.T, conn net.Conn) string {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

func status(g *Gateway) desiredStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// converges asks until the answer is the wanted one: a link goes over between two frames.
func converges(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	eventually(t, "the answer is "+want, func() bool { return ask(t, conn) == want })
}

func TestACodecIsExchangedWithoutDroppingAConnection(t *testing.T) {
	path := source(t, answering("one"))
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+path+`"}`), 1)
	conn := dial(t, g, "lines")
	if got := ask(t, conn); got != "one" {
		t.Fatalf("answer %q", got)
	}
	write(t, path, answering("two"))
	if _, err := g.ReloadCodecs(t.Context()); err != nil {
		t.Fatal(err)
	}
	converges(t, conn, "two") // on the same connection
	write(t, path, "not a script")
	if _, err := g.ReloadCodecs(t.Context()); err == nil || !strings.Contains(err.Error(), "/codecs/acme/source") {
		t.Errorf("a bad program gives %v", err)
	}
	if got := ask(t, conn); got != "two" {
		t.Errorf("after a bad program the answer is %q", got)
	}
	g.plugins.mu.Lock()
	g.plugins.closeUnused()
	retired := len(g.plugins.retired)
	g.plugins.mu.Unlock()
	if retired != 0 {
		t.Errorf("%d exchanged codecs are still open", retired)
	}
}

func TestProgramsThatAreNotWhatTheyShouldBeAreRefused(t *testing.T) {
	good := answering("one")
	path := source(t, good)
	cases := []struct{ name, codec, fault string }{
		{"another digest", `{"kind":"js","source":"file://` + path + `","sha256":"` + digestOf("x") + `"}`, "/codecs/acme/source: digest mismatch"},
		{"no file", `{"kind":"js","source":"file:///does/not/exist.js"}`, "/codecs/acme/source: read program"},
		{"no URL", `{"kind":"js","source":"acme.js"}`, "/codecs/acme/source: bad source"},
		{"another kind", `{"kind":"wasm","source":"file://` + path + `"}`, "/codecs/acme/source: wasm module acme"},
		{"not delivered", `{"kind":"js","source":"put:","sha256":"` + digestOf("y") + `"}`, "/codecs/acme/source: program not delivered"},
		{"settings of another kind", `{"kind":"rpc","settings":{"endpoint":"x"}}`, "/codecs/acme/settings/endpoint: unknown field"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t, environment(t))
			defer run(t, g)()
			g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+path+`"}`), 1)
			conn := dial(t, g, "lines")
			g.applyDesired(scripted(2, c.codec), 2)
			if s := status(g); s.Code != 400 || !strings.Contains(s.Description, c.fault) {
				t.Errorf("status %+v, want %q", s, c.fault)
			}
			if got := ask(t, conn); got != "one" {
				t.Errorf("the codec before answers %q", got)
			}
		})
	}
}

func TestABuiltInNameIsNotTakenAndAnUnknownOneTold(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(json.RawMessage(`{"schemaVersion":"1.0","$version":1,
		"codecs":{"json":{"kind":"js","source":"file:///x.js"}}}`), 1)
	if s := status(g); !strings.Contains(s.Description, "/codecs/json/kind: codec json is built in") {
		t.Errorf("status %+v", s)
	}
	g.applyDesired(json.RawMessage(`{"schemaVersion":"1.0","$version":2,
		"listeners":{"l":{"bind":"tcp://127.0.0.1:0","codec":"acme"}}}`), 2)
	if s := status(g); !strings.Contains(s.Description, `/listeners/l/codec: unknown codec "acme"`) {
		t.Errorf("status %+v", s)
	}
}

func TestAProgramThatIsPutAppliesTheDocumentThatWantedIt(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	text := answering("put")
	document := scripted(1, `{"kind":"js","source":"put:","sha256":"`+digestOf(text)+`"}`)
	g.applyDesired(document, 1)
	if s := status(g); s.Code != 400 {
		t.Fatalf("status %+v", s)
	}
	half := len(text) / 2
	for i, part := range []string{text[:half], text[half:]} {
		missing, err := g.PutCodec(t.Context(), command.Part{SHA256: digestOf(text), Number: i + 1, Of: 2, Bytes: []byte(part)})
		if err != nil || missing != 1-i {
			t.Fatalf("part %d: %d are missing, %v", i+1, missing, err)
		}
	}
	if s := status(g); s.Code != 200 {
		t.Errorf("status %+v", s)
	}
	if got := ask(t, dial(t, g, "lines")); got != "put" {
		t.Errorf("answer %q", got)
	}
}

func TestAGatewayStartsWithWhatASourceGaveLast(t *testing.T) {
	env, path := environment(t), source(t, answering("kept"))
	g := newGateway(t, env)
	stop := run(t, g)
	g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+path+`"}`), 1)
	if got := ask(t, dial(t, g, "lines")); got != "kept" {
		t.Fatalf("answer %q", got)
	}
	stop()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	g = newGateway(t, env)
	defer run(t, g)()
	if got := ask(t, dial(t, g, "lines")); got != "kept" {
		t.Errorf("answer %q", got)
	}
	if s := g.plugins.state()["acme"]; !s.Stale || s.SHA256 == "" {
		t.Errorf("state %+v", s)
	}
}

// serveAcme serves acme at a socket until the test ends.
func serveAcme(t *testing.T, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- kit.Server{Factory: acme.New}.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// processed is a document with a listener whose codec is a process, beside another.
func processed(version int, socket string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"schemaVersion":"1.0","$version":%d,
		"codecs":{"acme":{"kind":"rpc","settings":{"endpoints":["unix:%s"]}}},
		"listeners":{"lines":{"bind":"tcp://127.0.0.1:0","codec":"acme"},
			"others":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"}}}}`, version, socket))
}

// beat sends a heartbeat of acme and waits for the answer.
func beat(t *testing.T, conn net.Conn) error {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("\x00\x02\x03\x03")); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "\x00\x02\x83\x83" {
		return fmt.Errorf("answer %x: %w", answer, err)
	}
	return nil
}

func listenerStateOf(t *testing.T, g *Gateway, name string) string {
	t.Helper()
	listeners, _ := g.describe()["listeners"].(map[string]any)
	s, ok := listeners[name].(listenerState)
	if !ok {
		t.Fatalf("no listener %s in %v", name, listeners)
	}
	return s.State
}

func TestAListenerWaitsForAProcessThatIsAway(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "acme.sock")
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(processed(1, socket), 1)
	if s := status(g); s.Code != 200 {
		t.Fatalf("status %+v", s)
	}
	dial(t, g, "others") // serves meanwhile
	if s := listenerStateOf(t, g, "lines"); s != "waiting" {
		t.Fatalf("the listener is %s", s)
	}
	g.applyDesired(json.RawMessage(`{"listener":{}}`), 2) // refused, and changes nothing
	serveAcme(t, socket)
	eventually(t, "the listener opens", func() bool {
		g.applyAgain(t.Context(), false) // as it does every few seconds
		return g.running()["lines"] != nil
	})
	if err := beat(t, dial(t, g, "lines")); err != nil {
		t.Error(err)
	}
}

func TestAListenerKeepsItsProcessUntilTheNewOneIsThere(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1.sock"), filepath.Join(dir, "2.sock")
	serveAcme(t, first)
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(processed(1, first), 1)
	conn := dial(t, g, "lines")
	if err := beat(t, conn); err != nil {
		t.Fatal(err)
	}
	g.applyDesired(processed(2, second), 2)
	if s := status(g); s.Code != 200 {
		t.Fatalf("status %+v", s)
	}
	g.plugins.mu.Lock()
	g.plugins.closeUnused()
	g.plugins.mu.Unlock()
	for _, c := range []net.Conn{conn, dial(t, g, "lines")} {
		if err := beat(t, c); err != nil {
			t.Errorf("while the new process is away: %v", err)
		}
	}
	serveAcme(t, second)
	eventually(t, "the codec is exchanged", func() bool {
		g.applyAgain(t.Context(), false)
		return g.running()["lines"].codec() == g.plugins.current()["acme"]
	})
	if err := beat(t, dial(t, g, "lines")); err != nil {
		t.Errorf("with the new process: %v", err)
	}
}

func TestAPinnedProgramIsNotReplacedByAnotherAtAStart(t *testing.T) {
	env, path := environment(t), source(t, answering("old"))
	g := newGateway(t, env)
	stop := run(t, g)
	g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+path+`"}`), 1)
	dial(t, g, "lines")
	stop()
	pinned := scripted(2, `{"kind":"js","source":"file://`+path+`","sha256":"`+digestOf(answering("new"))+`"}`)
	if err := g.store.Save(pinned, 2); err != nil {
		t.Fatal(err)
	}
	g = newGateway(t, env)
	defer run(t, g)()
	if len(g.running()) != 0 {
		t.Error("another program than the pinned one runs")
	}
}

func TestTheMethodDecodeUsesTheCodecThatIsInForce(t *testing.T) {
	path := source(t, answering("one"))
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+path+`"}`), 1)
	dial(t, g, "lines")
	write(t, path, answering("two"))
	if _, err := g.ReloadCodecs(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range []command.Decode{{Listener: "lines", Bytes: []byte("x\n")}, {Codec: "acme", Frame: json.RawMessage(`{"type":"line"}`), Bytes: []byte("x\n")}} {
		answer, err := g.Decode(r)
		text, _ := json.Marshal(answer)
		if err != nil || !strings.Contains(string(text), "74776f") && !strings.Contains(string(text), "two") {
			t.Errorf("%+v: %s, %v", r, text, err)
		}
	}
}

func TestNothingIsAppliedOnceTheGatewayIsDown(t *testing.T) {
	g := newGateway(t, environment(t))
	stop := run(t, g)
	stop()
	g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+source(t, answering("late"))+`"}`), 1)
	if n := len(g.running()); n != 0 {
		t.Errorf("%d listeners run", n)
	}
}

func TestWhetherLinksThatCannotGoOverAreClosedIsSaidInTheTwin(t *testing.T) {
	for setting, want := range map[string]bool{"": false, `,"exchange":"keep"`: false, `,"exchange":"close"`: true} {
		g := newGateway(t, environment(t))
		stop := run(t, g)
		g.applyDesired(scripted(1, `{"kind":"js","source":"file://`+source(t, answering("one"))+`"`+setting+`}`), 1)
		if got := g.plugins.current()["acme"].insists(); got != want {
			t.Errorf("with %q: %v, status %+v", setting, got, status(g))
		}
		stop()
	}
}
