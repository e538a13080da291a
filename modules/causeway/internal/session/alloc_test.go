package session

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// settling is an uplink that settles at once and keeps nothing.
type settling struct{}

func (u settling) Send(_ context.Context, outcome []message.Message, r message.Receipt) error {
	return u.TrySend(outcome, r)
}

func (settling) TrySend(outcome []message.Message, r message.Receipt) error {
	for range outcome {
		r.Settled(nil)
	}
	return nil
}

// mute observes nothing.
type mute struct{}

func (mute) Received(int, int)                {}
func (mute) Sent(int)                         {}
func (mute) Acknowledged(time.Duration, bool) {}
func (mute) Fault(Fault)                      {}

// mute is also a link that forgets what it is sent.
func (mute) Send([]byte) error { return nil }
func (mute) Close(string)      {}
func (mute) Peer() codec.Peer  { return codec.Peer{Transport: "tcp"} }

// known is a codec with a known message shape: a body and an acknowledgement in
// the outcome's own memory, two properties.
func known(f codec.Frame, out *codec.Outcome) error {
	m := out.Add()
	m.Body, m.ContentType, m.ContentEncoding = f.Bytes, "application/json", "utf-8"
	m.Set("priority", "1")
	m.Set("event", "none")
	from := len(out.Scratch)
	out.Scratch = strconv.AppendInt(append(out.Scratch, "ack "...), int64(len(f.Bytes)), 10)
	out.Ack = out.Scratch[from:]
	return nil
}

func knownSession(tb testing.TB) *Session {
	tb.Helper()
	s, err := Begin(&Profile{
		Listener: "l", CodecName: "known", Output: "telemetry", Codec: codec.Func(known), Device: "t-1",
		Uplink: settling{}, Router: fakeRouter{}, Table: NewTable(), Observer: mute{},
	}, mute{})
	if err != nil {
		tb.Fatal(err)
	}
	s.main = s.takeLane(&s.speaks, false) // as Serve does
	return s
}

func TestFrameOfAKnownShapeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	s, frame, now, ctx := knownSession(t), []byte(`{"speed":54}`), time.Now(), t.Context()
	defer s.End()
	n := testing.AllocsPerRun(1000, func() {
		if err := s.take(ctx, frame, now); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a frame costs %.0f allocations", n)
	}
}

// once is an admission that takes its time, and lets everybody in for an hour.
type once struct{}

func (once) Now(Claim) (Verdict, bool) { return Verdict{}, false }
func (once) Admit(context.Context, Claim) Verdict {
	return Verdict{Decision: Accept, By: "test", Expires: time.Now().Add(time.Hour)}
}
func (once) Start(Claim, func(Verdict)) error { return nil }

func TestFrameOfADeviceThatWasJudgedAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	s, frame, now, ctx := knownSession(t), []byte(`{"speed":54}`), time.Now(), t.Context()
	s.profile.Admission = once{}
	defer s.End()
	n := testing.AllocsPerRun(1000, func() {
		if err := s.take(ctx, frame, now); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 || s.standing.Load() == nil {
		t.Errorf("a frame costs %.0f allocations", n)
	}
}

func TestDatagramOfAKnownShapeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	s, frame, now := knownSession(t), []byte(`{"speed":54}`), time.Now()
	defer s.End()
	s.Datagram(frame, now)
	if n := testing.AllocsPerRun(1000, func() { s.Datagram(frame, now) }); n != 0 {
		t.Errorf("a datagram costs %.0f allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	s, frame, now, ctx := knownSession(b), []byte(`{"speed":54}`), time.Now(), b.Context()
	defer s.End()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.take(ctx, frame, now); err != nil {
			b.Fatal(err)
		}
	}
}
