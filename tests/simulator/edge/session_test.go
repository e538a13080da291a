package edge_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestTheNewestSessionWins(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	first, second := newClient(), newClient()
	leaveFirst := h.Connect(module("m"), first)
	h.Subscribe(module("m"), edge.TopicMethods)
	leaveSecond := h.Connect(module("m"), second)
	if got := first.reasons(); len(got) != 1 || !strings.HasPrefix(got[0], "Multiple connections detected") {
		t.Fatalf("closed %q", got)
	}
	if h.Subscribed(module("m"), edge.TopicMethods) {
		t.Fatal("the new session inherited a subscription")
	}
	leaveFirst()
	if !h.Connected(module("m")) {
		t.Fatal("the old session took the new one away")
	}
	leaveSecond()
	if h.Connected(module("m")) || len(h.Presences()) != 0 {
		t.Fatal("the session is still there")
	}
}

func TestConnectionsCanBeDropped(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	m, n := newClient(), newClient()
	h.Connect(module("m"), m)
	h.Connect(module("n"), n)
	if !h.DropConnection(module("m"), "x") || h.DropConnection(module("stranger"), "x") {
		t.Fatal("wrong answers")
	}
	if len(m.reasons()) != 1 || len(n.reasons()) != 0 {
		t.Fatalf("closed %q, %q", m.reasons(), n.reasons())
	}
	if got := h.DropConnections("y"); got != 2 {
		t.Fatalf("dropped %d", got)
	}
}

func TestADepartureIsOverWhenTheHubHoldsTheSessionsNoMore(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	leaveM, leaveN := h.Connect(module("m"), newClient()), h.Connect(module("n"), newClient())
	m := module("m")
	one, all := h.Departure(&m), h.Departure(nil)
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := one(short); !errors.Is(err, context.Canceled) {
		t.Fatalf("a session that is there has left: %v", err)
	}
	leaveM()
	if err := one(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := all(short); !errors.Is(err, context.Canceled) {
		t.Fatalf("n is there: %v", err)
	}
	again := h.Connect(module("n"), newClient()) // takes its place, which ends the one before
	leaveN()
	if err := all(t.Context()); err != nil {
		t.Fatal(err)
	}
	again()
}

func TestIdentitiesComeAndGo(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	if err := h.AddIdentity(module("m"), "not base64"); err == nil {
		t.Fatal("a bad key was taken")
	}
	if err := h.AddIdentity(module("m"), "a2V5"); err != nil {
		t.Fatal(err)
	}
	if k, err := h.Known(module("m")); err != nil || k.Key != "a2V5" || k.Generation == "" {
		t.Fatalf("got %+v, %v", k, err)
	}
	c := newClient()
	h.Connect(module("m"), c)
	if err := h.RemoveIdentity(module("m")); err != nil || len(c.reasons()) != 1 {
		t.Fatalf("%v, closed %q", err, c.reasons())
	}
	if _, err := h.Known(module("m")); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Fatalf("got %v", err)
	}
	if err := h.RemoveIdentity(module("m")); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Fatalf("got %v", err)
	}
}

func TestAClosedHubClosesWhoConnects(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	h.Close()
	h.Close()
	c := newClient()
	h.Connect(module("m"), c)()
	if len(c.reasons()) != 1 {
		t.Fatal("the session was taken")
	}
}
