package hub

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// ignored is the receipt of messages whose end does not matter.
type ignored struct{}

func (ignored) Settled(error) {}

func telemetry(body string) *message.Message {
	return &message.Message{
		Device: "tracker-1", Listener: "trackers", Codec: "teltonika", Output: "telemetry", Epoch: 1 << 60, Seq: 77,
		Body: []byte(body), ContentType: "application/json", ContentEncoding: "utf-8",
		Created:    time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),
		Properties: []message.Property{{Name: "priority", Value: "1"}, {Name: "event", Value: "ignition"}},
	}
}

// one is an outcome of one message.
func one(body string) []message.Message { return []message.Message{*telemetry(body)} }

func mustSend(tb testing.TB, u *Uplink, body string) {
	tb.Helper()
	if err := u.TrySend(one(body), ignored{}); err != nil {
		tb.Fatal(err)
	}
}

func mustNext(tb testing.TB, u *Uplink) *batch {
	tb.Helper()
	b, wait := u.next(time.Now())
	if b == nil {
		tb.Fatalf("no batch leaves, wait is %v", wait)
	}
	return b
}

func TestBatchLeavesAtOnceWhenNothingIsInFlightAndLingersOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(UplinkOptions{Linger: 5 * time.Millisecond})
		mustSend(t, u, "first")
		first := mustNext(t, u)
		mustSend(t, u, "second")
		if b, wait := u.next(time.Now()); b != nil || wait != 5*time.Millisecond {
			t.Fatalf("a second batch leaves: %v, or after %v; want after 5ms", b != nil, wait)
		}
		time.Sleep(5 * time.Millisecond)
		second := mustNext(t, u)
		mustSend(t, u, "third")
		u.accepted(first) // the window moves: no need to linger
		third := mustNext(t, u)
		u.accepted(second)
		u.accepted(third)
	})
}

func TestFullBatchLeavesWithoutLingering(t *testing.T) {
	u := NewUplink(UplinkOptions{BatchBytes: 1000, Linger: time.Hour})
	mustSend(t, u, "first")
	first := mustNext(t, u)
	for range 10 {
		mustSend(t, u, "a body of some bytes")
	}
	b := mustNext(t, u)
	if len(b.bytes) > 1000 || b.len() < 2 {
		t.Errorf("the batch has %d messages of %d bytes", b.len(), len(b.bytes))
	}
	u.accepted(first)
	u.accepted(b)
}

func TestPauseHoldsEverythingBackAndTheLongestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(UplinkOptions{BatchBytes: 1})
		mustSend(t, u, "first")
		mustSend(t, u, "second")
		first := mustNext(t, u)
		second, _ := u.next(farAhead)
		u.again(first, time.Second)
		u.again(second, 100*time.Millisecond)
		if b, wait := u.next(time.Now()); b != nil || wait != time.Second {
			t.Fatalf("a batch leaves: %v, or after %v; want after 1s", b != nil, wait)
		}
		time.Sleep(time.Second)
		if b := mustNext(t, u); b != first {
			t.Error("the second batch overtook the first")
		}
		u.Close()
	})
}

func TestSendWaitsWhileTheQueueIsFull(t *testing.T) {
	cases := []struct {
		name string
		end  func(u *Uplink, flying *batch, cancel context.CancelFunc)
		want error
	}{
		{"room is made", func(u *Uplink, b *batch, _ context.CancelFunc) { u.accepted(b) }, nil},
		{"a refusal makes room too", func(u *Uplink, b *batch, _ context.CancelFunc) { u.refused(b, message.ErrRefused) }, nil},
		{"the caller gives up", func(_ *Uplink, _ *batch, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"the uplink closes", func(u *Uplink, _ *batch, _ context.CancelFunc) { u.Close() }, message.ErrClosed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := NewUplink(UplinkOptions{QueueBytes: 1})
				mustSend(t, u, "fills the queue")
				b := mustNext(t, u)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				sent := make(chan error, 1)
				go func() { sent <- u.Send(ctx, one("waits"), ignored{}) }()
				synctest.Wait()
				select {
				case err := <-sent:
					t.Fatalf("send did not wait: %v", err)
				default:
				}
				c.end(u, b, cancel)
				if err := <-sent; !errors.Is(err, c.want) {
					t.Errorf("send gives %v, want %v", err, c.want)
				}
				if n := len(u.waiters); n != 0 {
					t.Errorf("%d waiters stayed behind", n)
				}
				u.Close()
			})
		})
	}
}

func TestManyWaitersAllGetTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(UplinkOptions{QueueBytes: 1, Linger: time.Nanosecond})
		const senders = 50
		sent := make(chan error, senders)
		for range senders {
			go func() { sent <- u.Send(t.Context(), one("waits"), ignored{}) }()
		}
		for range senders {
			synctest.Wait()
			u.accepted(mustNext(t, u))
		}
		for range senders {
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAwaitWakesForASignalATimeoutAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(UplinkOptions{})
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		mustSend(t, u, "signals")
		if err := u.await(t.Context(), timer, 0); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := u.await(t.Context(), timer, time.Second); err != nil || time.Since(began) != time.Second {
			t.Errorf("awaited %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := u.await(ctx, timer, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("await gives %v", err)
		}
		u.Close()
	})
}

func TestDrainWaitsForTheLastSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(UplinkOptions{})
		mustSend(t, u, "last")
		b := mustNext(t, u)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := u.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain with a message in flight gives %v", err)
		}
		drained := make(chan error, 1)
		go func() { drained <- u.Drain(t.Context()) }()
		synctest.Wait()
		u.accepted(b)
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// throughUplink sends so many messages and lets them be accepted, as the loops of a
// connection do.
func throughUplink(tb testing.TB, u *Uplink, m *message.Message, r message.Receipt, messages int) {
	tb.Helper()
	outcome := []message.Message{*m}
	for i := range messages {
		if err := u.TrySend(outcome, r); err != nil {
			tb.Fatal(err)
		}
		if i%1000 != 999 {
			continue
		}
		for {
			b, _ := u.next(farAhead)
			if b == nil {
				break
			}
			b.transfer()
			u.accepted(b)
		}
	}
}

// farAhead is later than every linger.
var farAhead = time.Now().Add(24 * time.Hour)

func TestMessageThroughTheUplinkAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	u, m, r := NewUplink(UplinkOptions{}), telemetry(`{"speed":54,"ignition":true}`), message.Receipt(ignored{})
	throughUplink(t, u, m, r, 100_000)
	if n := testing.AllocsPerRun(20, func() { throughUplink(t, u, m, r, 1000) }); n > 5 {
		t.Errorf("1,000 messages cost %.0f allocations", n)
	}
}

func BenchmarkUplink(b *testing.B) {
	u, m, r := NewUplink(UplinkOptions{}), telemetry(`{"speed":54,"ignition":true}`), message.Receipt(ignored{})
	throughUplink(b, u, m, r, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	throughUplink(b, u, m, r, b.N)
}

func TestAnOutcomeTravelsInOneTransfer(t *testing.T) {
	u := NewUplink(UplinkOptions{BatchBytes: 1000})
	outcome := func(n, size int) []message.Message {
		list := make([]message.Message, n)
		for i := range list {
			list[i] = message.Message{Device: "d", Seq: uint64(i), Body: make([]byte, size)}
		}
		return list
	}
	send := func(list []message.Message) {
		t.Helper()
		if err := u.TrySend(list, ignored{}); err != nil {
			t.Fatal(err)
		}
	}
	send(outcome(1, 600))
	send(outcome(3, 200))
	send(outcome(9, 200)) // more than a batch, and still one outcome
	send(outcome(10, 100_000))
	for i, want := range []int{1, 3, 9, 2, 2, 2, 2, 2} { // the last outcome is more than a transfer carries
		b := mustNext(t, u)
		if b.len() != want {
			t.Errorf("transfer %d carries %d messages, want %d", i, b.len(), want)
		}
		if len(b.bytes) > 614_400 {
			t.Errorf("transfer %d has %d bytes, the hub takes 614,400", i, len(b.bytes))
		}
		u.accepted(b)
	}
}
