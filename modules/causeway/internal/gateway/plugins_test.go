package gateway

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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

func TestAListenerWaitsForAProcessThatIsAway(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "acme.sock")
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(json.RawMessage(`{"schemaVersion":"1.0","$version":1,
		"codecs":{"acme":{"kind":"rpc","settings":{"endpoints":["unix:`+socket+`"]}}},
		"listeners":{"lines":{"bind":"tcp://127.0.0.1:0","codec":"acme"},
			"others":{"bind":"tcp://127.0.0.1:0","codec":"raw","frame":{"type":"line"}}}}`), 1)
	if s := status(g); s.Code != 200 {
		t.Fatalf("status %+v", s)
	}
	dial(t, g, "others") // serves meanwhile
	if s, ok := g.describe()["listeners"].(map[string]any)["lines"].(listenerState); !ok || s.State != "waiting" {
		t.Fatalf("listeners %v", g.describe()["listeners"])
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- kit.Server{Factory: acme.New}.Serve(t.Context(), l) }()
	defer func() { _ = l.Close() }()
	eventually(t, "the listener opens", func() bool {
		g.applyAgain(t.Context(), false) // as it does every few seconds
		return g.running()["lines"] != nil
	})
	conn := dial(t, g, "lines")
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("\x00\x02\x03\x03")); err != nil { // a heartbeat
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := conn.Read(answer); err != nil || string(answer) != "\x00\x02\x83\x83" {
		t.Errorf("answer %x, %v", answer, err)
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
