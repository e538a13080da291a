package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// handed is an uplink that keeps what it is given at once, each body as text, and settles
// it. With failing it takes nothing.
type handed struct {
	turns   [][]string
	failing error
}

func (h *handed) Send(_ context.Context, outcome []message.Message, r message.Receipt) error {
	if h.failing != nil {
		return h.failing
	}
	var turn []string
	for i := range outcome {
		turn = append(turn, string(outcome[i].Body))
	}
	h.turns = append(h.turns, turn)
	for range outcome {
		r.Settled(nil)
	}
	return nil
}

func (h *handed) TrySend(outcome []message.Message, r message.Receipt) error {
	return h.Send(context.Background(), outcome, r)
}

// words passes each line on: as it is, from memory of the dialogue when it begins with o,
// with an acknowledgement when it begins with a, and for several in parts when there is a
// plus in it. One that begins with x ends the link.
type words struct{ own []byte }

func (words) Begin(codec.Peer) (codec.Dialogue, error) { return &words{}, nil }

func (w *words) Receive(f codec.Frame, out *codec.Outcome) error {
	switch f.Bytes[0] {
	case 'o':
		w.own = append(w.own[:0], f.Bytes...)
		out.Add().Body = w.own
	case 'a':
		out.Add().Body, out.Ack = f.Bytes, []byte("got it\n")
	case 'x':
		return codec.ErrProtocol
	default:
		rest := f.Bytes
		for i := slices.Index(rest, '+'); i >= 0; i = slices.Index(rest, '+') {
			out.Add().Body, rest = rest[:i], rest[i+1:]
		}
		out.Add().Body = rest
	}
	return nil
}

// lines reads lines by the listener's own framing.
func lines(tb interface{ Fatal(args ...any) }) *frame.Framing {
	f, err := frame.Parse([]byte(`{"type":"line"}`), 1024)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func TestWhatOneReadBringsIsHandedOverTogetherUnlessItIsAcknowledged(t *testing.T) {
	many := strings.Fields(strings.Repeat("p ", gatherMost))
	for name, c := range map[string]struct {
		reads []string
		want  [][]string
	}{
		"one frame":              {[]string{"p1\n"}, [][]string{{"p1"}}},
		"frames of one read":     {[]string{"p1\np2\n", "p3\n"}, [][]string{{"p1", "p2"}, {"p3"}}},
		"a frame of two reads":   {[]string{"p1\np2\np", "3\n"}, [][]string{{"p1", "p2"}, {"p3"}}},
		"several of a frame":     {[]string{"p1+p2\np3\n"}, [][]string{{"p1", "p2", "p3"}}},
		"an acknowledged one":    {[]string{"p1\np2\na3\np4\n"}, [][]string{{"p1", "p2"}, {"a3"}, {"p4"}}},
		"the dialogue's memory":  {[]string{"p1\no2\no3\np4\n"}, [][]string{{"p1", "o2"}, {"o3"}, {"p4"}}},
		"the end of the link":    {[]string{"p1\np2\nx\np3\n"}, [][]string{{"p1", "p2"}}},
		"more than is allowed":   {[]string{strings.Join(many, "\n") + "\np1\np2\n"}, [][]string{many, {"p1", "p2"}}},
		"the end within a frame": {[]string{"p1\np2\np"}, [][]string{{"p1", "p2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, up := newRig(t), &handed{}
				r.Uplink, r.Codec, r.Framing = up, &words{}, lines(t)
				d := r.connect(t)
				for i, text := range c.reads {
					d.say(text)
					if i == 0 && len(up.turns) == 0 {
						t.Error("the link waits for more, and what it has is not handed over")
					}
				}
				_ = d.conn.Close()
				<-d.served
				if !slices.EqualFunc(up.turns, c.want, slices.Equal) {
					t.Errorf("handed over %q, want %q", up.turns, c.want)
				}
				sent := 0
				for _, turn := range c.want {
					sent += len(turn)
				}
				if r.observer.sent != sent {
					t.Errorf("%d messages were counted, want %d", r.observer.sent, sent)
				}
			})
		})
	}
}

func TestWhatWasGatheredAndCannotBeHandedOverEndsTheLinkOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, up := newRig(t), &handed{failing: message.ErrClosed}
		r.Uplink, r.Codec, r.Framing = up, &words{}, lines(t)
		d := r.connect(t)
		d.say("p1\np2\np3\n")
		d.closedFor("gateway-stopped")
		<-d.served
		r.faults(t, FaultDropped)
		if r.observer.sent != 0 {
			t.Errorf("%d messages were counted that nobody took", r.observer.sent)
		}
	})
}

// partial is an uplink of several that takes the first message only: another has no room
// when the link ends.
type partial struct{ handed }

func (p *partial) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	err := p.handed.Send(ctx, outcome[:1], r)
	for range outcome[1:] {
		r.Settled(context.Canceled)
	}
	return err
}

func TestWhatAnUplinkOfSeveralDoesNotTakeIsDroppedUnlessItIsToBeAcknowledged(t *testing.T) {
	for text, want := range map[string][]FaultKind{
		"note a b c\n": {FaultDropped, FaultDropped}, "data a b c\n": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.Uplink = &partial{}
			d := r.connect(t)
			d.say(text)
			d.heard("")
			r.faults(t, want...)
		})
	}
}

func TestWhatCameBeforeADeviceThatIsJudgedDoesNotWaitForTheVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		say          string
		first, later int
	}{
		"in a message": {"from meter-1 a b\nfrom meter-1 c\nfrom meter-2 d\n", 3, 4},
		"by a login":   {"from meter-1 a b\nlogin t-1 1-t\nnote d\n", 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, a := guarded(t, time.Second)
				r.Codec = inFrame{}
				d := r.connect(t)
				d.say(c.say)
				after(time.Second)
				if got := r.uplink.taken(); len(got) != c.first {
					t.Errorf("handed over while the other is judged: %q, want %d", got, c.first)
				}
				after(time.Second)
				if got := r.uplink.taken(); len(got) != c.later {
					t.Errorf("handed over in the end: %q, want %d", got, c.later)
				}
				if len(a.asked) != 2 {
					t.Errorf("asked about %v", a.asked)
				}
			})
		})
	}
}

// inFrame is toy, but that bodies are parts of the frame: words that stand in it.
type inFrame struct{ toy }

func (c inFrame) Begin(p codec.Peer) (codec.Dialogue, error) {
	d, err := c.toy.Begin(p)
	return inFrameDialogue{d}, err
}

type inFrameDialogue struct{ codec.Dialogue }

func (d inFrameDialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	err := d.Dialogue.Receive(f, out)
	for i := range out.Messages {
		body := &out.Messages[i].Body
		at := bytes.LastIndex(f.Bytes, *body)
		*body = f.Bytes[at:][:len(*body)]
	}
	return err
}

// Whatever devices send and however it is cut into reads, everything is handed over in order,
// as it was when it was read.
func TestGatheredMessagesKeepOrderAndContent(t *testing.T) {
	framing := lines(t)
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []string
		for i := range rapid.IntRange(1, 200).Draw(t, "lines") {
			line := rapid.SampledFrom([]string{"p", "p", "p", "o", "a"}).Draw(t, "kind") + strconv.Itoa(i) +
				strings.Repeat("-", rapid.IntRange(0, 80).Draw(t, "more"))
			want = append(want, line)
			fmt.Fprintln(&text, line)
		}
		up := &handed{}
		p := &Profile{
			Listener: "l", CodecName: "words", Codec: &words{}, Framing: framing, Device: "t-1", FrameBytes: 1024,
			LoginBytes: 1 << 20, LoginTime: time.Minute, Idle: time.Minute,
			Uplink: up, Router: fakeRouter{}, Table: NewTable(), Observer: mute{},
		}
		link := &played{text: text.String(), most: func() int { return rapid.IntRange(1, 5000).Draw(t, "read") }}
		s, err := Begin(p, link)
		if err != nil {
			t.Fatal(err)
		}
		s.Serve(context.Background(), context.Background(), link)
		var got []string
		for _, turn := range up.turns {
			if len(turn) > gatherMost {
				t.Fatalf("%d messages at once, the bound is %d", len(turn), gatherMost)
			}
			got = append(got, turn...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("handed over %q, want %q", got, want)
		}
	})
}

// played is a link that plays a text in reads of some sizes.
type played struct {
	mute

	text string
	most func() int
}

func (p *played) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.most())], p.text)
	p.text = p.text[n:]
	return n, nil
}

func (*played) SetReadDeadline(time.Time) error { return nil }
func (*played) Done() <-chan struct{}           { return nil }

func TestAPartIsToldFromACopy(t *testing.T) {
	whole := []byte("whole")
	for name, c := range map[string]struct {
		part []byte
		want bool
	}{
		"all of it": {whole, true}, "its end": {whole[2:], true}, "its beginning": {whole[:2], true},
		"nothing": {nil, true}, "a copy": {slices.Clone(whole), false}, "one that is cut off": {whole[:2:2], false},
	} {
		if got := partOf(c.part, whole); got != c.want {
			t.Errorf("%s is a part: %v, want %v", name, got, c.want)
		}
	}
	if partOf(whole, nil) {
		t.Error("something is a part of nothing")
	}
}

func TestGatheringAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	s, text := gathering(t), []byte(`{"speed":54}`)
	defer s.End()
	n := testing.AllocsPerRun(100, func() {
		if err := gatherSome(s, text); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%d frames cost %.0f allocations", gatherMost, n)
	}
}

// gathering is a session whose frames nobody acknowledges.
func gathering(tb testing.TB) *Session {
	tb.Helper()
	s := knownSession(tb)
	s.profile.Ack = AckNone
	return s
}

// gatherSome takes as many frames as are handed over together.
func gatherSome(s *Session, text []byte) error {
	for range gatherMost {
		s.main.lasts = text
		if err := s.take(context.Background(), text, time.Time{}); err != nil {
			return err
		}
	}
	if len(s.main.msgs) > 0 {
		return errors.New("not handed over")
	}
	return nil
}

func BenchmarkGather(b *testing.B) {
	s, text := gathering(b), []byte(`{"speed":54}`)
	defer s.End()
	b.ReportAllocs()
	for b.Loop() {
		if err := gatherSome(s, text); err != nil {
			b.Fatal(err)
		}
	}
}
