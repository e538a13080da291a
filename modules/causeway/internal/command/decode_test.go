package command

import (
	"errors"
	"strings"
	"testing"
)

// fakeDecoder answers with what it was asked.
type fakeDecoder struct{}

func (fakeDecoder) Decode(r Decode) (any, error) {
	if r.Codec == "none" {
		return nil, errors.New("unknown codec")
	}
	return map[string]any{"codec": r.Codec, "listener": r.Listener, "bytes": string(r.Bytes), "device": r.Device}, nil
}

func TestDecodeTakesBytesInThreeForms(t *testing.T) {
	cases := []struct {
		payload string
		status  int
		answer  string
	}{
		{`{"codec":"a","hex":"68 69","deviceId":"d"}`, 200, `{"bytes":"hi","codec":"a","device":"d","listener":""}`},
		{`{"listener":"l","base64":"aGk="}`, 200, `"bytes":"hi"`},
		{`{"codec":"a","text":"hi","options":{},"frame":{},"transport":"udp"}`, 200, `"bytes":"hi"`},
		{`{"codec":"none","text":"hi"}`, 400, "unknown codec"},
		{`{"codec":"a"}`, 400, "exactly one of hex, base64 and text"},
		{`{"codec":"a","hex":""}`, 400, "not empty"},
		{`{"codec":"a","hex":"0","text":"a"}`, 400, "hex"},
		{`{"codec":"a","base64":"?"}`, 400, "base64"},
		{`{"text":"hi"}`, 400, "exactly one of codec and listener"},
		{`{"codec":"a","listener":"l","text":"hi"}`, 400, "exactly one of codec and listener"},
		{`{"listener":"l","text":"hi","transport":"udp"}`, 400, "those of the listener"},
		{`{"codec":"a","txt":"hi"}`, 400, "unknown field"},
		{`{"codec":"a","text":"` + strings.Repeat("x", maxDecoded+1) + `"}`, 400, "at most 16384"},
	}
	m := NewMethods(newField(t).Service, fakeGateway{}, fakeLetters{}, fakeDecoder{}, fakeCodecs{}, fakeGateway{}, fakeDoors())
	for _, c := range cases {
		a := m.Call(t.Context(), "decode", []byte(c.payload))
		if a.Status != c.status || !strings.Contains(string(a.Payload), c.answer) {
			t.Errorf("%.80s: got %d %.200s, want %d with %s", c.payload, a.Status, a.Payload, c.status, c.answer)
		}
	}
}
