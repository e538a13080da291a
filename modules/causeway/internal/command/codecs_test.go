package command

import (
	"context"
	"errors"
	"testing"
)

// fakeCodecs takes two letters for each part.
type fakeCodecs struct{ broken bool }

func (fakeCodecs) PutCodec(_ context.Context, p Part) (missing int, err error) {
	if p.SHA256 == "" || string(p.Bytes) != "hi" {
		return 0, errors.New("no digest")
	}
	return p.Of - p.Number, nil
}

func (f fakeCodecs) ReloadCodecs(context.Context) (any, error) {
	if f.broken {
		return nil, errors.New("acme: line 3")
	}
	return map[string]string{"acme": "new"}, nil
}

func TestACodecThatCannotBeReadAgainIsTold(t *testing.T) {
	m := NewMethods(newField(t).Service, fakeGateway{}, fakeLetters{}, fakeDecoder{}, fakeCodecs{broken: true}, fakeGateway{}, fakeDoors())
	if a := m.Call(t.Context(), "reloadCodecs", nil); a.Status != StatusRefused || string(a.Payload) != `{"error":"acme: line 3"}` {
		t.Errorf("answered %d %s", a.Status, a.Payload)
	}
}
