package edge_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestOnePatternMakesManyDevices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, key string
		ids          string
		err          string
	}{
		{"leaf", "", "leaf", ""},
		{"m-[008-011]", "a2V5", "m-008 m-009 m-010 m-011", ""},
		{"[9-10]x", "derived:m", "9x 10x", ""},
		{"m-[2-1]", "", "", "meter-[001-300]"},
		{"m-[1]", "", "", "meter-[001-300]"},
		{"m-[1-2", "", "", "meter-[001-300]"},
		{"m-[1-2][3-4]", "", "", "meter-[001-300]"},
		{"m-[a-b]", "", "", "meter-[001-300]"},
		{"m-[1-30000]", "", "", "30000 devices"},
		{"a b", "", "", "letters, digits"},
		{"leaf", "!", "", "base64"},
		{"leaf", "derived:x", "", "not known"},
	} {
		h := newHub(t, edge.Options{})
		ids, err := h.AddLeaves(c.pattern, c.key)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s %s: %v", c.pattern, c.key, err)
			continue
		}
		if got := strings.Join(ids, " "); err == nil && got != c.ids {
			t.Errorf("%s: %s", c.pattern, got)
		}
		if n := len(h.Identities()); err != nil && n != 3 {
			t.Errorf("%s: %d identities after a failure", c.pattern, n)
		}
	}
}

func TestADerivedKeyIsWhatTheModuleComputes(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	if _, err := h.AddLeaves("meter-[1-2]", "derived:m"); err != nil {
		t.Fatal(err)
	}
	m, err := h.Known(module("m"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(m.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{"meter-1", "meter-2"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(device))
		got, err := h.Known(edge.Identity{Device: device})
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); err != nil || got.Key != want {
			t.Errorf("%s: %s, want %s", device, got.Key, want)
		}
	}
	// A device that is given another key is not let in with the old one.
	id := edge.Identity{Device: "meter-1"}
	token, err := h.Sign(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(id, token); err != nil {
		t.Fatal(err)
	}
	if err := h.AddIdentity(id, "YW5vdGhlcg=="); err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(id, token); !errors.Is(err, edge.ErrUnauthorized) {
		t.Errorf("got %v", err)
	}
	if got := h.IdentityStats()["meter-1"].Refused; got != 1 {
		t.Errorf("%d tokens refused", got)
	}
}

func TestADeviceIsBarredAndLetInAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	if _, err := h.AddLeaves("leaf", "c2hvcnQ="); err != nil {
		t.Fatal(err)
	}
	token, err := h.Sign(leaf, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient()
	h.Connect(leaf, c)
	if err := h.SetDisabled(leaf, true); err != nil {
		t.Fatal(err)
	}
	if len(c.reasons()) != 1 || h.Authenticate(leaf, token) == nil {
		t.Error("a disabled device goes on")
	}
	if err := h.SetDisabled(leaf, false); err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(leaf, token); err != nil {
		t.Error(err)
	}
	if err := h.SetDisabled(edge.Identity{Device: "x"}, true); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Errorf("got %v", err)
	}
}

func TestTheEndsOfMessagesCanBeWatched(t *testing.T) {
	t.Parallel()
	h, device := leafHub(t, true)
	done := make(chan []edge.End, 1)
	go func() { done <- h.Ends(t.Context(), 0, 20*time.Second) }()
	for id, outcome := range map[string]edge.Outcome{"1": edge.Accepted} {
		if err := h.InjectCloudToDevice("leaf", toLeaf(id, "")); err != nil {
			t.Fatal(err)
		}
		(<-device.inputs).Settle(outcome)
	}
	first := <-done
	if len(first) != 1 || first[0].Sequence != 1 || first[0].MessageID != "1" || first[0].Status != edge.FeedbackSuccess {
		t.Fatalf("got %+v", first)
	}
	if err := h.InjectCloudToDevice("leaf", toLeaf("2", "")); err != nil {
		t.Fatal(err)
	}
	(<-device.inputs).Settle(edge.Rejected)
	second := h.Ends(t.Context(), 1, 20*time.Second)
	if len(second) != 1 || second[0].Status != edge.FeedbackRejected || second[0].Device != "leaf" {
		t.Fatalf("got %+v", second)
	}
	if list := h.Ends(t.Context(), 2, 0); list != nil {
		t.Errorf("got %+v", list)
	}
	stats := h.IdentityStats()["leaf"]
	if stats.Completed != 1 || stats.Rejected != 1 || stats.Connections != 1 {
		t.Errorf("got %+v", stats)
	}
}
