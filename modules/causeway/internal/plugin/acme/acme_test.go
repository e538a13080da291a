package acme

import (
	"encoding/json"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestDialogues(t *testing.T) { codectest.Run(t, New, "testdata") }

func TestNativeBudget(t *testing.T) { codectest.Run(t, New, "testdata/native") }

func FuzzDialogues(f *testing.F) { codectest.Fuzz(f, New, "testdata") }

func TestOptionsAreRefused(t *testing.T) {
	if _, err := New([]byte(`{"speed": 1}`)); err == nil {
		t.Error("an option was taken")
	}
}

func TestACodecThatDiffersIsFound(t *testing.T) {
	same, err := Differences(New)
	if err != nil || len(same) > 0 {
		t.Errorf("of itself it differs in %v: %v", same, err)
	}
	silent := codec.Func(func(codec.Frame, *codec.Outcome) error { return nil })
	_, err = Differences(func(json.RawMessage) (codec.Codec, error) { return silent, nil })
	if err == nil {
		t.Error("a codec that cuts no stream could be played")
	}
	found, err := Differences(func(json.RawMessage) (codec.Codec, error) { return deaf{}, nil })
	if err != nil || len(found) < 5 {
		t.Errorf("a codec that says nothing differs in %d steps: %v", len(found), err)
	}
}

// deaf cuts frames and makes nothing of them.
type deaf struct{}

func (deaf) Begin(codec.Peer) (codec.Dialogue, error)       { return deaf{}, nil }
func (deaf) Receive(codec.Frame, *codec.Outcome) error      { return nil }
func (deaf) Command(codec.Command, *codec.Outcome) error    { return nil }
func (deaf) Split(data []byte, _ bool) (int, []byte, error) { return len(data), data, nil }
