package edge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestTheHubRemembersWhenAClientWasSeen(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h, err := edge.New(edge.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	id := edge.Identity{Device: "edge", Module: "m"}
	if err := h.AddIdentity(id, ""); err != nil {
		t.Fatal(err)
	}
	if at := h.LastSeen(id); !at.IsZero() {
		t.Fatalf("seen at %v before it came", at)
	}
	now = now.Add(time.Second)
	if err := h.Publish(t.Context(), id, []edge.Message{{Output: "o"}}); err != nil {
		t.Fatal(err)
	}
	if at := h.LastSeen(id); !at.Equal(now) {
		t.Errorf("seen at %v, want %v", at, now)
	}
	if err := h.RemoveIdentity(id); err != nil {
		t.Fatal(err)
	}
	if at := h.LastSeen(id); !at.IsZero() {
		t.Errorf("a removed identity was seen at %v", at)
	}
}

func TestTokensThatArePutAreCounted(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	cloud, err := edge.NewCloud(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := module("m")
	good, err := h.Sign(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	old, err := h.Sign(id, -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{good, old, "nonsense", good, strings.Replace(good, "%2Fm&", "%2Fnobody&", 1)} {
		_, _, _ = h.CheckToken(token)
	}
	if _, _, err := cloud.CheckToken(good); err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(id, good); err != nil {
		t.Fatal(err)
	}
	if stats := h.IdentityStats(); len(stats) != 1 || stats[id.String()].Tokens != 3 {
		t.Errorf("got %+v", stats)
	}
}

func TestRoutesCountWhatTheyTake(t *testing.T) {
	t.Parallel()
	h, err := edge.New(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	routes := []edge.Route{
		{Name: "a", Text: "FROM /messages/modules/m/outputs/a INTO $upstream"},
		{Name: "b", Text: "FROM /messages/modules/m/outputs/b INTO $upstream"},
	}
	if err := h.SetRoutes(routes, 0); err != nil {
		t.Fatal(err)
	}
	id := edge.Identity{Device: "edge", Module: "m"}
	if err := h.Publish(t.Context(), id, []edge.Message{{Output: "a"}, {Output: "a"}, {Output: "c"}}); err != nil {
		t.Fatal(err)
	}
	if list := h.Routes(); list[0].Taken != 2 || list[1].Taken != 0 {
		t.Errorf("got %+v", list)
	}
}

func TestOneFaultIsTakenBack(t *testing.T) {
	t.Parallel()
	h, err := edge.New(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, f := range []edge.Fault{{Withhold: true}, {Drop: true}} {
		if err := h.AddFault(edge.FaultRule{Count: -1, Fault: f}); err != nil {
			t.Fatal(err)
		}
	}
	if !h.ClearFault(1) || h.ClearFault(1) {
		t.Error("the first fault must be taken back once")
	}
	if list := h.Faults(); len(list) != 1 || list[0].ID != 2 || !list[0].Fault.Drop {
		t.Errorf("left are %+v", list)
	}
	if f := h.PublishFault(edge.Identity{Device: "edge"}); !f.Drop {
		t.Errorf("got %+v", f)
	}
}
