package gateway

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codecs"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const trackerLogin = "\x00\x0f356307042441013"

func TestADeviceAtTheWrongListenerIsNamedInTheLog(t *testing.T) {
	level, err := observe.NewLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	registry, err := codecs.All()
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	g, err := New(Options{
		Environment: environment(t), Version: "1.2.3", Log: observe.NewLogger(&log, level), Level: level,
		Registry: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer run(t, g)()
	g.applyDesired(meters("/serial"), 1)
	conn := dial(t, g, "meters")
	if _, err := fmt.Fprintf(conn, "%s\n", trackerLogin); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log names teltonika", func() bool {
		text := log.String()
		return strings.Contains(text, "listener=meters codec=json: its frames look like teltonika") &&
			strings.Contains(text, "95 %")
	})
}

func TestHintsAreFewAndOnlyForListenersThatUnderstandNothing(t *testing.T) {
	registry, err := codecs.All()
	if err != nil {
		t.Fatal(err)
	}
	fault := func(kind session.FaultKind, frame string) session.Fault {
		return session.Fault{Kind: kind, Err: errors.New("no"), Frame: []byte(frame)}
	}
	told := func(h *hint, f session.Fault) bool { _, ok := h.of(f); return ok }
	good := fault(session.FaultMalformed, trackerLogin)

	h := &hint{registry: registry, codec: "json"}
	for _, f := range []session.Fault{
		fault(session.FaultDropped, trackerLogin), fault(session.FaultMalformed, ""), fault(session.FaultMalformed, "what?"),
	} {
		if told(h, f) {
			t.Errorf("a hint for %+v", f)
		}
	}
	if !told(h, good) || !told(h, fault(session.FaultProtocol, trackerLogin)) {
		t.Error("no hint for a login of a tracker")
	}
	for range hintFrames {
		told(h, good)
	}
	if told(h, good) {
		t.Error("hints have no end")
	}
	if h := (&hint{registry: registry, codec: "teltonika"}); told(h, good) {
		t.Error("the listener's own codec is a hint")
	}
	h = &hint{registry: registry, codec: "json"}
	h.sent()
	if told(h, good) {
		t.Error("a hint for a listener that understands its devices")
	}
}

func TestFramesAreDecodedOnRequest(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(meters("/serial"), 1)
	eventually(t, "the listener is there", func() bool { return g.running()["meters"] != nil })
	packet, err := hex.DecodeString("000000000000002808010000016b40d9ad8001000000000000000000000000000000010302" +
		"1503010101425e100000010000f22a")
	if err != nil {
		t.Fatal(err)
	}
	long := []byte("{\"serial\":\"a\",\"v\":1}\n" + strings.Repeat("[1]\n", 4000))
	cases := map[string]struct {
		request command.Decode
		want    string
	}{
		"a login":              {command.Decode{Codec: "teltonika", Bytes: []byte(trackerLogin)}, `"good":true,"outcome":[{"frame":1,"kind":"identity"`},
		"a packet of a device": {command.Decode{Codec: "teltonika", Device: "356307042441013", Bytes: packet}, `"kind":"message"`},
		"a packet alone":       {command.Decode{Codec: "teltonika", Bytes: packet}, `"good":false,"outcome":[{"frame":1,"kind":"error","error":"protocol"`},
		"half a login":         {command.Decode{Codec: "teltonika", Bytes: []byte("\x00\x0f3563")}, `"rest":6,"good":false`},
		"a listener":           {command.Decode{Listener: "meters", Bytes: []byte("{\"serial\":\"a\"}\n")}, `"device":"a"`},
		"more than an answer":  {command.Decode{Listener: "meters", Bytes: long}, `"cut":true`},
		"no such codec":        {command.Decode{Codec: "none", Bytes: []byte("x")}, "unknown codec"},
		"no such listener":     {command.Decode{Listener: "none", Bytes: []byte("x")}, "no listener"},
		"wrong options":        {command.Decode{Codec: "json", Options: json.RawMessage(`{"x":1}`), Bytes: []byte("x")}, "/x: unknown field"},
		"wrong framing":        {command.Decode{Codec: "json", Frame: json.RawMessage(`{"type":"x"}`), Bytes: []byte("x")}, "/frame/type"},
		"wrong transport":      {command.Decode{Codec: "json", Transport: "sctp", Bytes: []byte("x")}, "/transport"},
		"a device for nothing": {command.Decode{Codec: "json", Device: "d", Bytes: []byte("x")}, "/device"},
	}
	for name, c := range cases {
		answer, err := g.Decode(c.request)
		text, jsonErr := json.Marshal(answer)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		got := string(text)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || len(text) > 100<<10 {
			t.Errorf("%s: got %.300s, want %s", name, got, c.want)
		}
	}
}

// A codec that panics costs its own answer.
func TestADecodeThatPanicsIsAnError(t *testing.T) {
	g := newGateway(t, environment(t))
	bad := codec.Func(func(f codec.Frame, _ *codec.Outcome) error {
		_ = f.Bytes[len(f.Bytes)]
		return nil
	})
	if err := g.opts.Registry.Add("bad", func(json.RawMessage) (codec.Codec, error) { return bad, nil }); err != nil {
		t.Fatal(err)
	}
	defer run(t, g)()
	if _, err := g.Decode(command.Decode{Codec: "bad", Bytes: []byte("x")}); !errors.Is(err, codec.ErrBroken) {
		t.Errorf("got %v", err)
	}
}
