package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/lifecycle"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// heard keeps the events of a gateway, and settles them at once.
type heard struct {
	mu   sync.Mutex
	list []map[string]any
}

func hearEvents(g *Gateway) *heard {
	h := &heard{}
	g.events.output = lifecycle.NewOutput(h)
	return h
}

// TrySend implements lifecycle.Sender.
func (h *heard) TrySend(list []message.Message, r message.Receipt) error {
	for _, m := range list {
		var e map[string]any
		if err := json.Unmarshal(m.Body, &e); err != nil {
			return err
		}
		h.mu.Lock()
		h.list = append(h.list, e)
		h.mu.Unlock()
		r.Settled(nil)
	}
	return nil
}

// await waits for the n-th event and returns it; it is of the kind.
func (h *heard) await(t *testing.T, n int, kind string) (e map[string]any) {
	t.Helper()
	eventually(t, "an event "+kind, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.list) < n {
			return false
		}
		e = h.list[n-1]
		return true
	})
	if e["kind"] != kind {
		t.Fatalf("event %d is %v, want %s", n, e, kind)
	}
	return e
}

// eventful is a document with a TCP and a UDP listener of the same codec, and switches.
func eventful(events string) json.RawMessage {
	return json.RawMessage(`{"events":{` + events + `},"devices":{"m-1":{}},"listeners":{
		"meters":{"bind":"tcp://127.0.0.1:0","codec":"json","frame":{"type":"line"},"options":{"id":"/serial"},
			"unknownDevices":"reject"},
		"grams":{"bind":"udp://127.0.0.1:0","codec":"json","options":{"id":"/serial"},"limits":{"idleSeconds":1}}}}`)
}

func say(t *testing.T, w interface{ Write([]byte) (int, error) }, device string) {
	t.Helper()
	if _, err := fmt.Fprintf(w, "{\"serial\":%q,\"kWh\":1}\n", device); err != nil {
		t.Fatal(err)
	}
}

func TestWhatHappensToDevicesIsTold(t *testing.T) {
	g := newGateway(t, environment(t))
	h := hearEvents(g)
	defer run(t, g)()
	g.applyDesired(eventful(``), 1)

	// From the start, only what asks somebody to do something.
	conn := dial(t, g, "meters")
	say(t, conn, "m-1")
	say(t, conn, "stranger")
	if e := h.await(t, 1, "refused"); e["deviceId"] != "stranger" || e["reason"] != "unknown-device" ||
		e["listener"] != "meters" || e["codec"] != "json" || e["transport"] != "tcp" || e["remote"] != conn.LocalAddr().String() ||
		e["session"] == nil || e["schemaVersion"] != "1.0" {
		t.Errorf("refused: %v", e)
	}

	// Switched on while the link stands, which stays.
	g.applyDesired(eventful(`"connected":true,"disconnected":true,"refused":false,"commandExpired":true`), 2)
	say(t, conn, "stranger")
	_ = conn.Close()
	e := h.await(t, 2, "disconnected")
	if e["deviceId"] != "m-1" || e["reason"] != "closed-by-device" || e["session"] != h.list[0]["session"] {
		t.Errorf("disconnected: %v", e)
	}

	// A datagram's peer comes with its first and goes when it is silent.
	peer := dial(t, g, "grams")
	say(t, peer, "g-1")
	if e := h.await(t, 3, "connected"); e["deviceId"] != "g-1" || e["transport"] != "udp" || e["reason"] != nil {
		t.Errorf("connected: %v", e)
	}
	if e := h.await(t, 4, "disconnected"); e["deviceId"] != "g-1" || e["reason"] != "idle" {
		t.Errorf("disconnected: %v", e)
	}

	// A command that waits for nobody.
	status, _ := handler{g}.Method(t.Context(), "sendCommand",
		json.RawMessage(`{"deviceId":"away","command":"setparam 2003:secret","queueSeconds":1}`))
	if e := h.await(t, 5, "commandExpired"); status != 408 || e["deviceId"] != "away" || e["command"] != "setparam" ||
		e["reason"] != "not-sent" || e["commandId"] == "" || e["listener"] != nil {
		t.Errorf("%d, expired: %v", status, e)
	}
	if s := g.Status().(map[string]any)["events"].(lifecycle.Stats); s.Sent != 5 || len(s.Dropped) != 0 {
		t.Errorf("the status says %+v", s)
	}
}

func TestIdentitiesAreTold(t *testing.T) {
	g := newGateway(t, environment(t))
	h := hearEvents(g)
	defer run(t, g)()
	g.applyDesired(eventful(`"identityAttached":true,"identityDetached":true`), 1)
	for i, kind := range []lifecycle.Kind{
		lifecycle.IdentityAttached, lifecycle.IdentityDetached, lifecycle.IdentityRefused,
	} {
		g.events.identity(kind, "meters", "m-1", "a reason")
		if e := h.await(t, i+1, kind.String()); e["deviceId"] != "m-1" || e["listener"] != "meters" || e["reason"] != "a reason" {
			t.Errorf("%v", e)
		}
	}
}

func TestEveryTurnIsAnEventOfItsName(t *testing.T) {
	e := newEvents(&heard{})
	seen := map[lifecycle.Kind]bool{}
	for turn := session.TurnConnected; turn <= session.TurnCommandExpired; turn++ {
		seen[kindOf(turn)] = true
	}
	if len(seen) != int(session.TurnCommandExpired)+1 {
		t.Errorf("%d kinds of events for the turns", len(seen))
	}
	if n := testing.AllocsPerRun(100, func() { // a turn of a kind that is off
		e.of("l", "c")(session.Turn{Kind: session.TurnConnected, Device: "d"})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheEndOfTheGatewayIsToldToo(t *testing.T) {
	g := newGateway(t, environment(t))
	h := hearEvents(g)
	stop := run(t, g)
	g.applyDesired(eventful(`"connected":true,"disconnected":true`), 1)
	conn := dial(t, g, "meters")
	say(t, conn, "m-1")
	h.await(t, 1, "connected")
	stop()
	if e := h.await(t, 2, "disconnected"); e["reason"] != "gateway-stopped" {
		t.Errorf("%v", e)
	}
	if strings.Contains(fmt.Sprint(h.list), "c2VjcmV0") {
		t.Error("the key of the gateway is told")
	}
}
