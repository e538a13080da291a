package codectest

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// Fuzz fuzzes a codec through the cases of dir: each input is played with the
// options and the framing of one of them. It must not panic, must not depend on
// how the stream is cut, and must keep what Run checks of messages.
func Fuzz(f *testing.F, factory codec.Factory, dir string) {
	f.Helper()
	all, err := dialogue.Scripts(dir)
	if err != nil {
		f.Fatal(err)
	}
	for i, s := range all {
		f.Add(uint(i), script{s}.seed(), uint8(1))
	}
	f.Fuzz(func(t *testing.T, i uint, input []byte, size uint8) {
		s := *all[i%uint(len(all))] // a copy, for other steps
		made, err := factory(s.Options)
		if err != nil {
			t.Fatalf("options: %v", err)
		}
		c := &opened{Codec: made}
		defer c.closeAll()
		l, err := s.Begin(c)
		if err != nil {
			t.Fatal(err)
		}
		steps := []dialogue.Step{{Input: input}}
		if l.Split == nil {
			steps = datagrams(input)
		}
		s.Steps = steps
		whole, played, err := s.Play(c, func(l *dialogue.Link) { l.Scribble = true })
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range flat(whole) {
			if word, rest, _ := strings.Cut(line, " "); word == "=" && !strings.HasPrefix(rest, "{") {
				t.Errorf("message that breaks the contract: %s", rest)
			}
		}
		for _, frame := range played.Frames {
			checkFields(t, l.Dialogue, frame)
		}
		if l.Split == nil || strings.Contains(string(s.Frame), `"none"`) {
			return
		}
		s.Steps = rechunked(steps, func() int { return 1 + int(size) })
		pieces, _, err := s.Play(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, "the stream in pieces", flat(whole), flat(pieces))
	})
}

// seed is the input of a case: its stream, or its datagrams, each behind its length.
func (s script) seed() []byte {
	var input []byte
	for _, st := range s.Steps {
		if s.UDP {
			input = binary.BigEndian.AppendUint16(input, uint16(len(st.Input)))
		}
		input = append(input, st.Input...)
	}
	return input
}

// datagrams undoes seed; a length over what is left takes the rest.
func datagrams(input []byte) []dialogue.Step {
	var steps []dialogue.Step
	for len(input) >= 2 {
		n := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
		steps = append(steps, dialogue.Step{Input: input[2 : 2+n]})
		input = input[2+n:]
	}
	return steps
}
