package codectest

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// update makes Run write the expectations instead of checking them.
var update = flag.Bool("update", false, "write what the codecs do into the case files")

const (
	// mostRuns bounds the runs of a check for each case, so that a long case does
	// not take minutes.
	mostRuns = 400
	// rechunkings is how often a stream is cut at random places.
	rechunkings = 20
)

// script is a case that is being checked.
type script struct{ *dialogue.Script }

// Run plays every case of dir against codecs of the factory. Besides comparing
// with what the files expect, it checks for each case that
//   - the same input leads to the same outcome, on a link of the same codec as well;
//   - the outcome does not depend on how the stream was cut into pieces;
//   - nothing of a frame or of Outcome.Scratch is kept when the outcome is taken;
//   - no truncated and no changed frame makes the codec panic, and an Explainer
//     names ranges that are there;
//   - JSON bodies are JSON, and no property is set twice;
//   - no goroutine is left over, and the budget of allocations is kept.
func Run(t *testing.T, factory codec.Factory, dir string) {
	t.Helper()
	all, err := dialogue.Scripts(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, loaded := range all {
		s := script{loaded}
		t.Run(strings.TrimSuffix(filepath.Base(s.Path), ".txtar"), func(t *testing.T) {
			goroutines := runtime.NumGoroutine()
			made, err := factory(s.Options)
			if err != nil {
				t.Fatalf("options: %v", err)
			}
			c := &opened{Codec: made}
			got, l, err := s.Play(c, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.golden(t, got)
			s.same(t, c, got)
			s.rechunk(t, c, got)
			s.truncate(t, c, l.Frames)
			s.mutate(t, c, l.Frames)
			s.explain(t, c, l.Frames)
			s.budget(t, c)
			c.closeAll()
			noneLeft(t, goroutines)
		})
	}
}

func (s script) golden(t *testing.T, got [][]string) {
	t.Helper()
	if *update {
		s.Settle(got)
		if err := s.Update(got); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, f := range s.Failures(got) {
		t.Error(f)
	}
}

// same plays the case again, and with everything scribbled over that is borrowed.
func (s script) same(t *testing.T, c codec.Codec, want [][]string) {
	t.Helper()
	for what, prepare := range map[string]func(*dialogue.Link){
		"a second link":                       nil,
		"memory written over after its frame": func(l *dialogue.Link) { l.Scribble = true },
	} {
		got, _, err := s.Play(c, prepare)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		compare(t, what, flat(want), flat(got))
	}
}

func compare(t *testing.T, what string, want, got []string) {
	t.Helper()
	same := func(a, b string) bool { // errors in their kind: their text may say how much was there
		return a == b || strings.HasPrefix(a, "! ") && firstWords(a) == firstWords(b)
	}
	if !slices.EqualFunc(want, got, same) {
		t.Errorf("%s leads to another outcome\ngot:\n%s\nwant:\n%s", what, dialogue.Indent(got), dialogue.Indent(want))
	}
}

func firstWords(line string) [2]string {
	word, rest, _ := strings.Cut(line, " ")
	kind, _, _ := strings.Cut(rest, " ")
	return [2]string{word, kind}
}

func flat(steps [][]string) []string { return slices.Concat(steps...) }

// rechunk gives what stands between two commands or ticks in other pieces.
func (s script) rechunk(t *testing.T, c codec.Codec, want [][]string) {
	t.Helper()
	if l, err := s.Begin(c); err != nil || l.Split == nil || strings.Contains(string(s.Frame), `"none"`) {
		return // each input is a frame
	}
	for i := range rechunkings {
		most := 1 + i*i // byte by byte first
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		other := *s.Script
		other.Steps = rechunked(s.Steps, func() int { return 1 + rng.IntN(most) })
		got, _, err := other.Play(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, fmt.Sprintf("the stream in pieces of up to %d bytes", most), flat(want), flat(got))
	}
}

func rechunked(steps []dialogue.Step, size func() int) []dialogue.Step {
	var out []dialogue.Step
	var stream []byte
	flush := func() {
		for len(stream) > 0 {
			n := min(size(), len(stream))
			out = append(out, dialogue.Step{Input: stream[:n]})
			stream = stream[n:]
		}
	}
	for _, st := range steps {
		if st.Command == nil && st.Tick == 0 {
			stream = append(stream, st.Input...)
			continue
		}
		flush()
		stream = nil
		out = append(out, st)
	}
	flush()
	return out
}

// truncate replaces a frame by each of its beginnings.
func (s script) truncate(t *testing.T, c codec.Codec, frames [][]byte) {
	t.Helper()
	total := 0
	for _, f := range frames {
		total += len(f)
	}
	stride := 1 + total/mostRuns
	for at := 0; at < total; at += stride {
		i, n := 0, at
		for ; n >= len(frames[i]); i++ {
			n -= len(frames[i])
		}
		s.survive(t, c, i, frames[i][:n:n])
	}
}

// mutate changes bytes of frames.
func (s script) mutate(t *testing.T, c codec.Codec, frames [][]byte) {
	t.Helper()
	if len(frames) == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for range mostRuns {
		i := rng.IntN(len(frames))
		f := slices.Clone(frames[i])
		if len(f) == 0 {
			continue
		}
		for range 1 + rng.IntN(4) {
			f[rng.IntN(len(f))] = byte(rng.Uint32())
		}
		s.survive(t, c, i, f)
	}
}

// survive plays the case with another i-th frame, which must not panic.
func (s script) survive(t *testing.T, made codec.Codec, i int, other []byte) {
	t.Helper()
	c := &opened{Codec: made}
	defer c.closeAll()
	defer func() {
		if v := recover(); v != nil {
			t.Fatalf("frame %d as %s: panic: %v", i+1, hex.EncodeToString(other), v)
		}
	}()
	_, _, err := s.Play(c, func(l *dialogue.Link) {
		l.Scribble = true
		l.Before = func(n int) []byte {
			if n == i {
				return other
			}
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.Begin(c); err == nil {
		checkFields(t, l.Dialogue, other)
	}
}

// explain checks what an Explainer says about the frames.
func (s script) explain(t *testing.T, c codec.Codec, frames [][]byte) {
	t.Helper()
	l, err := s.Begin(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		checkFields(t, l.Dialogue, f)
	}
}

func checkFields(tb testing.TB, d codec.Dialogue, frame []byte) {
	tb.Helper()
	e, ok := d.(codec.Explainer)
	if !ok {
		return
	}
	at := 0
	for _, f := range e.Explain(frame) {
		if f.Offset < at || f.Len < 0 || f.Offset+f.Len > len(frame) {
			tb.Errorf("Explain(%x) names %q at %d, %d bytes: out of order or of the frame", frame, f.Name, f.Offset, f.Len)
			return
		}
		at = f.Offset
	}
}

// budget counts the allocations of the last frame, received again and again.
func (s script) budget(t *testing.T, c codec.Codec) {
	t.Helper()
	if s.Allocs < 0 || raceEnabled {
		return
	}
	_, l, err := s.Play(c, nil)
	if err != nil || len(l.Frames) == 0 {
		t.Fatalf("allocs: no frame to measure, %v", err)
	}
	const runs = 100
	last := l.Frames[len(l.Frames)-1]
	frame := slices.Clone(last)
	n := testing.AllocsPerRun(runs, func() {
		copy(frame, last) // a dialogue may have unescaped it in place
		l.Out.Reset()
		err = l.Dialogue.Receive(codec.Frame{Bytes: frame, At: l.Now}, &l.Out)
	})
	if int(n) > s.Allocs {
		t.Errorf("the last frame costs %v allocations, the budget is %d (%v)", n, s.Allocs, err)
	}
}

// noneLeft waits until the goroutines that were started meanwhile have ended.
func noneLeft(t *testing.T, before int) {
	t.Helper()
	const patience = 2 * time.Second
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
			return
		}
	}
}
