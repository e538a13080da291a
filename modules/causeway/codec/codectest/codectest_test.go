package codectest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// sound is a codec that does everything a dialogue can do, rightly.
type sound struct{ waiting string }

func newSound(json.RawMessage) (codec.Codec, error) {
	return beginner(func() any { return &sound{} }), nil
}

// beginner makes codecs of functions that make dialogues.
type beginner func() any

func (b beginner) Begin(codec.Peer) (codec.Dialogue, error) { return b().(codec.Dialogue), nil }

func (*sound) Split(data []byte, _ bool) (int, []byte, error) {
	i := bytes.IndexByte(data, ';')
	if i < 0 {
		return 0, nil, nil
	}
	return i + 1, data[:i:i], nil
}

func (s *sound) Receive(f codec.Frame, out *codec.Outcome) error {
	switch text := string(f.Bytes); {
	case strings.HasPrefix(text, "i am "):
		out.Identity = codec.Identity{Device: text[5:], Secret: "s", Accept: []byte("hi"), Refuse: []byte{0}}
	case text == "" || text == "?":
		return codec.ErrMalformed
	case text == "bye":
		out.Close = "the device said so"
	case s.waiting != "" && text == "done":
		out.Results = append(out.Results, codec.Result{Correlation: s.waiting, Payload: json.RawMessage(`{"ok": true}`)})
		s.waiting = ""
	default:
		m := out.Add()
		m.Body, m.ContentType, m.Time = f.Bytes, "text/plain", f.At
		m.Set("kind", "text")
		out.Ack, out.Nak = []byte{6}, []byte{0x15}
	}
	return nil
}

func (s *sound) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "do" {
		return codec.ErrUnknownCommand
	}
	if s.waiting != "" {
		return codec.ErrBusy
	}
	s.waiting = c.Correlation
	out.Reply = append(append([]byte(nil), "do "...), c.Payload...)
	return nil
}

func (*sound) Tick(now time.Time, out *codec.Outcome) error {
	out.Reply = []byte("it is " + now.Format(time.TimeOnly))
	return nil
}

func (*sound) Explain(f []byte) []codec.Field { return []codec.Field{{Len: len(f), Name: "text"}} }

func TestSoundCodecPasses(t *testing.T) { Run(t, newSound, "testdata") }

func TestSoundCodecReplays(t *testing.T) { Replay(t, newSound, "testdata") }

func FuzzSoundCodec(f *testing.F) { Fuzz(f, newSound, "testdata") }

// keeper keeps a frame that it had to copy.
type keeper struct{ last []byte }

func (k *keeper) Receive(f codec.Frame, out *codec.Outcome) error {
	m := out.Add()
	m.Body = append([]byte(nil), k.last...)
	k.last = f.Bytes
	return nil
}

// chancy says something else on each link.
type chancy struct{ n *int }

func (c chancy) Receive(_ codec.Frame, out *codec.Outcome) error {
	*c.n++
	out.Reply = []byte{byte(*c.n)}
	return nil
}

// greedy takes whatever chunk it gets for a frame.
type greedy struct{}

func (*greedy) Split(data []byte, _ bool) (int, []byte, error) { return len(data), data, nil }

func (*greedy) Receive(f codec.Frame, out *codec.Outcome) error {
	out.Reply = bytes.ToUpper(f.Bytes)
	return nil
}

func TestFaultsOfCodecsAreFoundOut(t *testing.T) {
	n := 0
	cases := map[string]struct {
		begin func() any
		check func(script, *testing.T, codec.Codec, [][]string)
		text  string
	}{
		"a kept frame": {func() any { return &keeper{} }, script.same,
			"-- transport --\nudp\n-- dialogue --\n> 01\n> 02\n"},
		"another outcome each time": {func() any { return chancy{&n} }, script.same,
			"-- transport --\nudp\n-- dialogue --\n> 01\n"},
		"frames that depend on the pieces": {func() any { return &greedy{} }, script.rechunk,
			"-- dialogue --\n> 6162\n"},
	}
	for name, c := range cases {
		parsed, err := dialogue.Parse(name, c.text)
		if err != nil {
			t.Fatal(err)
		}
		s := script{parsed}
		got, _, err := s.Play(beginner(c.begin), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !fails(func(t *testing.T) { t.Helper(); c.check(s, t, beginner(c.begin), got) }) {
			t.Errorf("%s was not found out", name)
		}
	}
}

// fails runs a check on a test of its own, whose failure is wanted.
func fails(check func(*testing.T)) bool {
	var probe testing.T
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(done)
		check(&probe)
	}()
	<-done
	return probe.Failed()
}
