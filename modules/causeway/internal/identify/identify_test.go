package identify

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// magic is a protocol that does not know how to recognise itself: frames begin with M.
type magic struct{}

func (magic) Begin(codec.Peer) (codec.Dialogue, error) { return magic{}, nil }

func (magic) Split(data []byte, _ bool) (int, []byte, error) {
	const size = 3
	if len(data) < size {
		return 0, nil, nil
	}
	return size, data[:size], nil
}

func (magic) Receive(f codec.Frame, out *codec.Outcome) error {
	if len(f.Bytes) != 3 || f.Bytes[0] != 'M' || f.Bytes[1] != 0xff {
		return fmt.Errorf("no M: %w", codec.ErrMalformed)
	}
	out.Add().Body = f.Bytes
	return nil
}

// sure recognises what begins with S, and panics at P.
type sure struct{ codec.Codec }

func (sure) Identify(data []byte) (int, string) {
	switch data[0] {
	case 'S':
		return 70, "begins with S"
	case 'P':
		_ = data[len(data)]
	}
	return 0, ""
}

func registry(t *testing.T) *codec.Registry {
	t.Helper()
	anything := codec.Func(func(f codec.Frame, out *codec.Outcome) error {
		out.Add().Body = f.Bytes
		return nil
	})
	panics := codec.Func(func(f codec.Frame, _ *codec.Outcome) error {
		_ = f.Bytes[len(f.Bytes)]
		return nil
	})
	r := &codec.Registry{}
	for name, c := range map[string]codec.Codec{
		"magic": magic{}, "sure": sure{anything}, "anything": anything, "panics": panics,
	} {
		if err := r.Add(name, func(json.RawMessage) (codec.Codec, error) { return c, nil }); err != nil {
			t.Fatal(err)
		}
	}
	fussy := func(json.RawMessage) (codec.Codec, error) { return nil, codec.Optionf("/x", "is missing") }
	if err := r.Add("fussy", fussy); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheLikeliestCodecComesFirst(t *testing.T) {
	cases := map[string]struct {
		hex, codec string
		confidence int
		reason     string
		frame      string
	}{
		"two frames that decode":        {"4dff014dff02", "magic", 90, "2 frames decoded over tcp, 0 not", ""},
		"one that decodes, one not":     {"4dff01000000", "magic", 60, "1 frames decoded over tcp, 1 not", ""},
		"a frame and a rest":            {"4dff014d", "magic", 60, "1 not", ""},
		"what is recognised":            {"5300", "sure", 70, "begins with S", ""},
		"what makes a codec panic":      {"5000", "raw", 5, "binary", ""},
		"text":                          {"68656c6c6f", "raw", 20, "text", ""},
		"lines of text":                 {"68690a", "raw", 20, "lines of text", `{"type":"line"}`},
		"bytes between flags":           {"7e00017e", "raw", 15, "7E", `{"type":"delimited","start":"7e","end":"7e"}`},
		"bytes between STX and ETX":     {"02ff03", "raw", 15, "STX", `{"type":"delimited","start":"02","end":"03"}`},
		"a length of two bytes":         {"000301ff03", "raw", 15, "two bytes", `{"type":"length","offset":0,"size":2}`},
		"a length of one byte":          {"0301ff03", "raw", 15, "first byte", `{"type":"length","offset":0,"size":1}`},
		"what nobody has ever seen yet": {"ff00ff00", "raw", 5, "binary", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			got := Of(registry(t), data)[0]
			if got.Codec != c.codec || got.Confidence != c.confidence || !strings.Contains(got.Reason, c.reason) ||
				string(got.Frame) != c.frame {
				t.Errorf("got %+v, want %+v", got, c)
			}
			if got.Frame != nil {
				if _, err := frame.Parse(got.Frame, 1024); err != nil {
					t.Errorf("the framing that is proposed: %v", err)
				}
			}
		})
	}
}

func TestNothingIsGuessedOfNothing(t *testing.T) {
	if got := Of(registry(t), nil); got != nil {
		t.Errorf("got %+v", got)
	}
}

func FuzzAnyBytesAreGuessedInOrder(f *testing.F) {
	f.Add([]byte("4dff01"))
	r := &codec.Registry{}
	if err := r.Add("magic", func(json.RawMessage) (codec.Codec, error) { return magic{}, nil }); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		last := 100
		for _, g := range Of(r, data) {
			if g.Confidence < 1 || g.Confidence > last || g.Reason == "" {
				t.Errorf("%x: %+v after %d", data, g, last)
			}
			last = g.Confidence
		}
	})
}
