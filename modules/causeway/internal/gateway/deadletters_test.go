package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/deadletter"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// meters is a document with one listener whose devices name themselves in JSON.
func meters(id string) json.RawMessage {
	return json.RawMessage(`{"schemaVersion":"1.0","deadLetters":{"count":3},"listeners":{"meters":{
		"bind":"tcp://127.0.0.1:0","codec":"json","frame":{"type":"line"},"options":{"id":"` + id + `"}}}}`)
}

// listed is the first page of letters.
func listed(t *testing.T, g *Gateway, listener string) []letterView {
	t.Helper()
	page, err := g.letters.List(0, 100, listener)
	if err != nil {
		t.Fatal(err)
	}
	return page.(letterPage).Letters
}

func TestGarbageBecomesALetterAndTheOldestGo(t *testing.T) {
	env := environment(t)
	g := newGateway(t, env)
	stop := run(t, g)
	g.applyDesired(meters("/serial"), 1)
	conn := dial(t, g, "meters")
	for i := range 5 {
		if _, err := fmt.Fprintf(conn, "garbage %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three letters are kept", func() bool {
		s := g.letters.state()
		return s.Count == 3 && s.Dropped == 2
	})
	list := listed(t, g, "meters")
	l := list[len(list)-1]
	if l.Kind != "malformed" || l.Listener != "meters" || l.Codec != "json" || l.CodecVersion != "1.2.3" ||
		l.Transport != "tcp" || l.Remote != conn.LocalAddr().String() || l.Device != "" || l.Reason == "" ||
		l.Hex != fmt.Sprintf("%x", "garbage 4") || l.Bytes != 9 {
		t.Errorf("%+v", l)
	}
	if len(listed(t, g, "others")) != 0 {
		t.Error("another listener has letters")
	}
	page, err := g.letters.List(list[0].ID, 1, "")
	if p := page.(letterPage); err != nil || len(p.Letters) != 1 || p.Next != list[1].ID || p.Total != 3 {
		t.Errorf("the second page is %+v, %v", page, err)
	}
	stop()
	again := newGateway(t, env)
	defer run(t, again)()
	if list := listed(t, again, ""); len(list) != 3 {
		t.Errorf("%d letters after a restart", len(list))
	}
}

func TestAReplayThatCannotSucceedKeepsTheLetters(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(meters("/serial"), 1)
	g.letters.ring.Add(deadletter.Letter{Listener: "gone", Kind: deadletter.Malformed, Body: []byte("x")})
	g.letters.ring.Add(deadletter.Letter{Listener: "meters", Kind: deadletter.Malformed, Body: []byte("still garbage")})
	eventually(t, "two letters are kept", func() bool { return g.letters.state().Count == 2 })
	got, err := g.letters.Replay(t.Context(), command.Replay{All: true, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	r := got.(*replayReport)
	if r.Failed != 2 || r.Replayed != 0 || r.Remaining != 2 || len(r.Failures) != 2 ||
		!strings.Contains(r.Failures[0].Reason, `no listener "gone"`) {
		t.Errorf("%+v", r)
	}
	ids := []uint64{listed(t, g, "meters")[0].ID, 7}
	got, err = g.letters.Replay(t.Context(), command.Replay{IDs: ids, Limit: 10})
	if r := got.(*replayReport); err != nil || r.Failed != 2 || r.Remaining != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	g.letters.replaying.Lock()
	defer g.letters.replaying.Unlock()
	if _, err := g.letters.Replay(t.Context(), command.Replay{All: true, Limit: 1}); !errors.Is(err, command.ErrReplaying) {
		t.Errorf("beside another: %v", err)
	}
}

func TestWhatMayNotBecomeALetter(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.letters.mu.Lock()
	g.letters.again["d-1-2"] = true
	g.letters.mu.Unlock()
	for _, m := range []message.Message{
		{Device: "d", Output: "deadletter", Epoch: 5},          // a dead letter
		{Device: "d", Output: "telemetry", Epoch: 1, Seq: 2},   // one that a replay waits for
		{Device: "d", Output: "deadletter", Epoch: 1, Seq: 3},  // a route of the user's
		{Device: "d", Output: "telemetry", Epoch: 100, Seq: 1}, // telemetry
	} {
		g.letters.refused(&message.Refused{Message: &m, Reason: errors.New("no")})
	}
	eventually(t, "the others are kept", func() bool { return g.letters.state().Count == 2 })
	if l := listed(t, g, "")[1]; l.MessageID != "d-2s-1" || l.Kind != "refused" || l.Output != "telemetry" {
		t.Errorf("%+v", l)
	}
}
