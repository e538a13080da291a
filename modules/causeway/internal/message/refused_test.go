package message

import (
	"errors"
	"testing"
)

func TestAMessageIDIsReadAsItWasWritten(t *testing.T) {
	for _, m := range []Message{
		{Device: "356307042441013", Epoch: 1<<60 + 5, Seq: 36},
		{Device: "a-b-c", Epoch: 0, Seq: 1},
		{Device: "x", Epoch: 1<<64 - 1, Seq: 1<<64 - 1},
	} {
		epoch, seq, err := ParseID(m.Device, string(m.AppendID(nil)))
		if err != nil || epoch != m.Epoch || seq != m.Seq {
			t.Errorf("%s: %d, %d, %v", m.AppendID(nil), epoch, seq, err)
		}
	}
	for _, id := range []string{"", "a", "a-", "a-1", "a-1-", "a-1-2-3", "a-1-!", "b-1-2", "a1-2"} {
		if _, _, err := ParseID("a", id); err == nil {
			t.Errorf("%q was taken for an id", id)
		}
	}
}

func TestARefusalWrapsItsKindAndItsReason(t *testing.T) {
	reason := errors.New("too many properties")
	err := error(&Refused{Reason: reason})
	if !errors.Is(err, ErrRefused) || !errors.Is(err, reason) || err.Error() != "refused for good: too many properties" {
		t.Errorf("%v", err)
	}
}
