package edge_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func device(name string) edge.Entry {
	return edge.Entry{KnownIdentity: edge.KnownIdentity{Identity: edge.Identity{Device: name}}}
}

func TestTheRegistryRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(*edge.Hub) error
		want error
	}{
		"a name that is taken": {func(h *edge.Hub) error { _, err := h.Register(device("edge")); return err }, edge.ErrIdentityExists},
		"a bad name":           {func(h *edge.Hub) error { _, err := h.Register(device("a/b")); return err }, edge.ErrInvalidIdentity},
		"a module of no device": {func(h *edge.Hub) error {
			e := device("stranger")
			e.Module = "m"
			_, err := h.Register(e)
			return err
		}, edge.ErrUnknownIdentity},
		"a short key": {func(h *edge.Hub) error {
			e := device("d")
			e.Key = "a2V5"
			_, err := h.Register(e)
			return err
		}, edge.ErrInvalidIdentity},
		"a scope that is none": {func(h *edge.Hub) error {
			e := device("d")
			e.Scope = "else"
			_, err := h.Register(e)
			return err
		}, edge.ErrInvalidIdentity},
		"an update of a stranger":      {func(h *edge.Hub) error { _, err := h.Update(device("x"), "*"); return err }, edge.ErrUnknownIdentity},
		"an old etag":                  {func(h *edge.Hub) error { _, err := h.Update(device("edge"), "old"); return err }, edge.ErrTwinChanged},
		"the removal of a stranger":    {func(h *edge.Hub) error { return h.Unregister(edge.Identity{Device: "x"}, "*") }, edge.ErrUnknownIdentity},
		"the removal of the edge":      {func(h *edge.Hub) error { return h.Unregister(edge.Identity{Device: "edge"}, "*") }, edge.ErrProtectedIdentity},
		"the removal with an old etag": {func(h *edge.Hub) error { return h.Unregister(edge.Identity{Device: "edge"}, "old") }, edge.ErrTwinChanged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.do(newHub(t, edge.Options{})); !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestOnlyChildrenThatAreEnabledMayConnect(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	own, err := h.Entry(edge.Identity{Device: "edge"})
	if err != nil || !own.Edge || own.Scope == "" {
		t.Fatalf("%+v %v", own, err)
	}
	e, err := h.Register(device("leaf"))
	if err != nil {
		t.Fatal(err)
	}
	may := func(want bool) {
		t.Helper()
		token, err := h.Sign(leaf, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Authenticate(leaf, token); (err == nil) != want {
			t.Fatalf("got %v", err)
		}
	}
	may(false)
	e.Scope = own.Scope
	if e, err = h.Update(e, e.ETag); err != nil {
		t.Fatal(err)
	}
	may(true)
	c := newClient()
	h.Connect(leaf, c)
	e.Disabled = true
	if _, err = h.Update(e, "*"); err != nil {
		t.Fatal(err)
	}
	may(false)
	if len(c.closed) != 1 {
		t.Fatal("the session of a disabled device stayed")
	}
	if e, err = h.Entry(leaf); err != nil || !e.Disabled || e.StatusChanged.IsZero() {
		t.Fatalf("%+v %v", e, err)
	}
}

func TestADeviceGoesWithItsModulesAndTwins(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	if _, err := h.Register(device("leaf")); err != nil {
		t.Fatal(err)
	}
	child := device("leaf")
	child.Module = "m"
	if _, err := h.Register(child); err != nil {
		t.Fatal(err)
	}
	if err := h.SetDesired(t.Context(), leaf, json.RawMessage(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := h.Unregister(leaf, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Entry(child.Identity); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Fatalf("the module stayed: %v", err)
	}
	if _, err := h.Register(device("leaf")); err != nil {
		t.Fatal(err)
	}
	twin, err := h.ServiceTwin(t.Context(), leaf)
	if err != nil || twin.Properties.Desired["a"] != nil || twin.Version != 1 {
		t.Fatalf("the twin stayed: %+v %v", twin, err)
	}
}
