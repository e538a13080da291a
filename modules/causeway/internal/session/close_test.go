package session

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// holder is a codec whose dialogue writes down what is called.
type holder struct{ calls []string }

func (h *holder) Begin(codec.Peer) (codec.Dialogue, error) { return h, nil }

func (h *holder) called(name string) error { h.calls = append(h.calls, name); return nil }

func (h *holder) Receive(codec.Frame, *codec.Outcome) error   { return h.called("receive") }
func (h *holder) Command(codec.Command, *codec.Outcome) error { return h.called("command") }
func (h *holder) Tick(time.Time, *codec.Outcome) error        { return h.called("tick") }
func (h *holder) Close() error                                { _ = h.called("close"); panic("too late to matter") }

func TestCloseIsTheLastCallOfADialogue(t *testing.T) {
	r, h := newRig(t), &holder{}
	r.Codec = h
	link, conn := newFakeLink("tcp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	s.Datagram([]byte("x"), time.Now())
	s.tick(t.Context(), time.Now())
	s.turn.Lock() // a frame is being decoded: the tick is left for the next time
	s.tick(t.Context(), time.Now())
	s.turn.Unlock()
	s.End()
	s.End()
	if err := s.tickDialogue(time.Now(), new(codec.Outcome)); err != nil { // it was under way when the link ended
		t.Error(err)
	}
	late := codec.Command{Name: "ask", Payload: json.RawMessage("1")}
	if err := s.orderDialogue(late, new(codec.Outcome)); !errors.Is(err, ErrGone) {
		t.Errorf("a command after the end: %v", err)
	}
	if want := []string{"receive", "tick", "close"}; !slices.Equal(h.calls, want) {
		t.Errorf("calls %v, want %v", h.calls, want)
	}
}

func TestADialogueBegunToDecodeOneFrameIsClosed(t *testing.T) {
	r, h := newRig(t), &quietHolder{}
	r.Codec = h
	if _, err := r.Decode(Again{Frame: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if h.closed != 1 {
		t.Errorf("closed %d times", h.closed)
	}
}

type quietHolder struct{ closed int }

func (h *quietHolder) Begin(codec.Peer) (codec.Dialogue, error)  { return h, nil }
func (h *quietHolder) Receive(codec.Frame, *codec.Outcome) error { return nil }
func (h *quietHolder) Close() error                              { h.closed++; return nil }
