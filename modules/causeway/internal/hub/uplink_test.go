package hub

import (
	"context"
	"errors"
	"slices"
	"strconv"
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

// apart are devices of so many lanes, in ascending order of the lanes.
func apart(tb testing.TB, count int) (devices []string) {
	tb.Helper()
	byLane := map[int]string{}
	for i := 0; len(byLane) < lanes; i++ {
		device := "device-" + strconv.Itoa(i)
		byLane[laneOf(message.Hash(device))] = device
	}
	for n := range count {
		devices = append(devices, byLane[n])
	}
	return devices
}

// mustSendOf is mustSend for a device.
func mustSendOf(tb testing.TB, u *Uplink, device, body string) {
	tb.Helper()
	m := telemetry(body)
	m.Device = device
	if err := u.TrySend([]message.Message{*m}, ignored{}); err != nil {
		tb.Fatal(err)
	}
}

// bodiesOf reads what a transfer carries.
func bodiesOf(tb testing.TB, f *flight) (bodies []string) {
	tb.Helper()
	for _, member := range new(Uplink).transfer(f).Data {
		m, err := readMessage(member)
		if err != nil {
			tb.Fatal(err)
		}
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

func mustSend(tb testing.TB, u *Uplink, body string) {
	tb.Helper()
	if err := u.TrySend(one(body), ignored{}); err != nil {
		tb.Fatal(err)
	}
}

func mustNext(tb testing.TB, u *Uplink) *flight {
	tb.Helper()
	f, wait := u.next(time.Now())
	if f == nil {
		tb.Fatalf("nothing leaves, wait is %v", wait)
	}
	return f
}

func TestAMessageLeavesAtOnceWhenNothingIsInFlightAndLingersOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, d := NewUplink(UplinkOptions{Linger: 5 * time.Millisecond}), apart(t, 3)
		mustSendOf(t, u, d[0], "first")
		first := mustNext(t, u)
		mustSendOf(t, u, d[1], "second")
		if f, wait := u.next(time.Now()); f != nil || wait != 5*time.Millisecond {
			t.Fatalf("a second transfer leaves: %v, or after %v; want after 5ms", f != nil, wait)
		}
		time.Sleep(5 * time.Millisecond)
		second := mustNext(t, u)
		mustSendOf(t, u, d[2], "third")
		u.accepted(first) // the window moves: no need to linger
		third := mustNext(t, u)
		u.accepted(second)
		u.accepted(third)
	})
}

func TestABatchsWorthLeavesWithoutLingering(t *testing.T) {
	u, d := NewUplink(UplinkOptions{BatchBytes: 1000, Linger: time.Hour, Window: 2}), apart(t, 4)
	mustSendOf(t, u, d[0], "first")
	first := mustNext(t, u)
	for i := range 12 {
		mustSendOf(t, u, d[1+i%3], "a body of some bytes")
	}
	f := mustNext(t, u)
	if f.bytes > 1000 || f.len() < 2 {
		t.Errorf("the transfer has %d messages of %d bytes", f.len(), f.bytes)
	}
	u.accepted(first)
	u.accepted(f)
	u.Close()
}

func TestNothingOfALaneOvertakesWhatTheHubRefuses(t *testing.T) {
	u, d := NewUplink(UplinkOptions{Linger: time.Nanosecond}), apart(t, 2)
	mustSendOf(t, u, d[0], "a1")
	first := mustNext(t, u)
	mustSendOf(t, u, d[0], "a2")
	mustSendOf(t, u, d[1], "b1")
	second, _ := u.next(farAhead)
	if got := bodiesOf(t, second); !slices.Equal(got, []string{"b1"}) {
		t.Fatalf("beside a1 leave %v, want b1 alone", got)
	}
	if f, _ := u.next(farAhead); f != nil {
		t.Fatalf("beside a1 leave %v", bodiesOf(t, f))
	}
	u.accepted(second) // the hub takes what came later
	u.again(first, 0, false)
	third, _ := u.next(farAhead)
	if got := bodiesOf(t, third); !slices.Equal(got, []string{"a1", "a2"}) {
		t.Errorf("after the refusal leave %v, want a1 and a2", got)
	}
	u.accepted(third)
	if got := u.Stats().Retried; got != 1 {
		t.Errorf("%d messages count as sent again, want 1", got)
	}
}

func TestALaneThatWaitsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, d := NewUplink(UplinkOptions{}), apart(t, 2)
		mustSendOf(t, u, d[0], "a")
		u.again(mustNext(t, u), time.Second, false)
		if f, wait := u.next(time.Now()); f != nil || wait != time.Second {
			t.Fatalf("the lane leaves: %v, or after %v; want after 1s", f != nil, wait)
		}
		mustSendOf(t, u, d[1], "b")
		if got := bodiesOf(t, mustNext(t, u)); !slices.Equal(got, []string{"b"}) {
			t.Errorf("%v leave, want b", got)
		}
		u.Close()
	})
}

func TestAMessageWakesTheSendingLoopBesideALaneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, d := NewUplink(UplinkOptions{}), apart(t, 3)
		mustSendOf(t, u, d[0], "a")
		u.again(mustNext(t, u), 3*time.Second, false)
		mustSendOf(t, u, d[1], "b") // stays in flight
		mustNext(t, u)
		select {
		case <-u.wake:
		default:
		}
		mustSendOf(t, u, d[2], "c")
		select {
		case <-u.wake:
		default:
			t.Error("nobody is woken for it")
		}
		u.Close()
	})
}

func TestAThrottlingHubIsLeftInPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, d := NewUplink(UplinkOptions{}), apart(t, 3)
		mustSendOf(t, u, d[0], "a")
		first := mustNext(t, u)
		mustSendOf(t, u, d[1], "b")
		second, _ := u.next(farAhead)
		u.again(first, time.Second, true)
		u.again(second, 100*time.Millisecond, true)
		mustSendOf(t, u, d[2], "c")
		if f, wait := u.next(time.Now()); f != nil || wait != time.Second {
			t.Fatalf("something leaves: %v, or after %v; want after 1s", f != nil, wait)
		}
		time.Sleep(time.Second)
		if got := bodiesOf(t, mustNext(t, u)); len(got) != 3 {
			t.Errorf("%v leave", got)
		}
		u.Close()
	})
}

func TestARefusedTransferIsTakenApartUntilTheOffenderStandsAlone(t *testing.T) {
	u, d := NewUplink(UplinkOptions{}), apart(t, 3)
	for i, device := range []string{d[0], d[0], d[1], d[1], d[1], d[2]} {
		mustSendOf(t, u, device, strconv.Itoa(i))
	}
	var taken, refused []string
	for range 50 {
		f, _ := u.next(farAhead)
		if f == nil {
			break
		}
		switch bodies := bodiesOf(t, f); {
		case !slices.Contains(bodies, "3"):
			taken = append(taken, bodies...)
			u.accepted(f)
		case len(bodies) == 1:
			refused = bodies
			u.refused(f, message.ErrRefused)
		default:
			u.isolate(f)
		}
	}
	slices.Sort(taken)
	if !slices.Equal(refused, []string{"3"}) || !slices.Equal(taken, []string{"0", "1", "2", "4", "5"}) {
		t.Errorf("refused are %v, taken %v", refused, taken)
	}
	if s := u.Stats(); s.Messages != 0 || s.Bytes != 0 {
		t.Errorf("stats say %+v", s)
	}
}

func TestOneStreamingDeviceGetsLargerTransfersWhileWindowsAreFree(t *testing.T) {
	u, d := NewUplink(UplinkOptions{BatchBytes: 1000, Window: 3}), apart(t, 4)
	for range 40 {
		mustSendOf(t, u, d[0], "a body of some bytes")
	}
	f := mustNext(t, u)
	if f.bytes < 3000 || f.bytes > 4000 {
		t.Errorf("a device alone sends %d bytes", f.bytes)
	}
	u.accepted(f)
	for _, device := range d[1:] {
		for range 5 {
			mustSendOf(t, u, device, "a body of some bytes")
		}
	}
	if f := mustNext(t, u); f.bytes > 1000 {
		t.Errorf("beside three others a device sends %d bytes", f.bytes)
	}
	u.Close()
}

func TestSendWaitsWhileTheQueueIsFull(t *testing.T) {
	cases := []struct {
		name string
		end  func(u *Uplink, flying *flight, cancel context.CancelFunc)
		want error
	}{
		{"room is made", func(u *Uplink, f *flight, _ context.CancelFunc) { u.accepted(f) }, nil},
		{"a refusal makes room too", func(u *Uplink, f *flight, _ context.CancelFunc) { u.refused(f, message.ErrRefused) }, nil},
		{"the caller gives up", func(_ *Uplink, _ *flight, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"the uplink closes", func(u *Uplink, _ *flight, _ context.CancelFunc) { u.Close() }, message.ErrClosed},
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
			u.transfer(b)
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
