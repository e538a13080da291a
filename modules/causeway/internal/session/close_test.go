package session

import (
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// closing is a codec whose dialogues count how often they were closed.
type closing struct{ closed *int }

func (c closing) Begin(codec.Peer) (codec.Dialogue, error) { return c, nil }

func (c closing) Receive(f codec.Frame, out *codec.Outcome) error {
	out.Add().Body = f.Bytes
	return nil
}

func (c closing) Close() error {
	*c.closed++
	return nil
}

func TestDialogueIsClosedOnceWithItsLink(t *testing.T) {
	closed := 0
	r := newRig(t)
	r.Codec = closing{&closed}
	link, conn := newFakeLink("tcp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	if closed != 0 {
		t.Error("closed while the link lives")
	}
	s.End()
	s.End()
	if closed != 1 {
		t.Errorf("closed %d times", closed)
	}
}

func TestDialogueThatDecodesAgainIsClosed(t *testing.T) {
	closed := 0
	r := newRig(t)
	r.Codec = closing{&closed}
	if _, err := r.Decode(Again{Device: "d", Frame: []byte("x"), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if closed != 1 {
		t.Errorf("closed %d times", closed)
	}
}
