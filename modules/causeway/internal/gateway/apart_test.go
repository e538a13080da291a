package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// twoWorlds is an uplink that takes everything, with devices that the hub takes or not.
type twoWorlds struct {
	keptUplink
	taken  map[string]bool
	forced int
}

func newTwoWorlds() (*twoWorlds, apart) {
	w := &twoWorlds{taken: map[string]bool{}}
	s := newShare(w, 2*messageRoom, func() {})
	return w, newApart(s, func() { w.forced++ }, w.attached)
}

func (w *twoWorlds) attached(device string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken[device]
}

func (w *twoWorlds) take(device string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken[device] = true
}

func from(device string) []message.Message { return []message.Message{{Device: device}} }

func TestDevicesThatTheHubDoesNotTakeHaveRoomOfTheirOwn(t *testing.T) {
	w, a := newTwoWorlds()
	w.take("good")
	r := &settlements{}
	for range 2 {
		if err := a.TrySend(from("gone"), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.TrySend(from("gone"), r); !errors.Is(err, message.ErrFull) || w.forced != 1 {
		t.Errorf("over their bound: %v, forced %d times", err, w.forced)
	}
	if err := a.Send(t.Context(), from("good"), r); err != nil {
		t.Errorf("one that the hub takes: %v", err)
	}
	w.settle()
	if err := a.TrySend(from("gone"), r); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func TestWhatIsHeldGoesAsideWithItsDevice(t *testing.T) {
	w, a := newTwoWorlds()
	w.take("good")
	r := &settlements{}
	for range 2 {
		if err := a.TrySend(from("good"), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.TrySend(from("good"), r); !errors.Is(err, message.ErrFull) {
		t.Fatalf("over the bound: %v", err)
	}
	for _, receipt := range w.receipts {
		p, ok := receipt.(message.Postponer)
		if !ok {
			t.Fatal("a receipt cannot be told")
		}
		p.Postponed()
		p.Postponed()
	}
	if in, aside := a.share.held.Load(), a.share.aside.held.Load(); in != 0 || aside != 2*messageRoom {
		t.Errorf("%d bytes are held, %d aside", in, aside)
	}
	if err := a.TrySend(from("good"), r); err != nil {
		t.Errorf("another: %v", err)
	}
	for w.settle() {
	}
	if in, aside := a.share.held.Load(), a.share.aside.held.Load(); in != 0 || aside != 0 || r.n != 3 {
		t.Errorf("after %d settlements %d bytes are held, %d aside", r.n, in, aside)
	}
}

// slowUplink takes an outcome after a minute, unless its context ends before.
type slowUplink struct{ keptUplink }

func (u *slowUplink) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	select {
	case <-time.After(time.Minute):
		return u.TrySend(outcome, r)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Of an outcome of several devices a part may be taken, so that the rest must not be given up.
func TestAnOutcomeThatHasItsRoomIsNotGivenUpWhileItWaitsForItsDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShare(&slowUplink{}, 2*messageRoom, func() {})
		a, began := newApart(s, func() {}, func(string) bool { return false }), time.Now()
		if err := a.Send(t.Context(), from("gone"), &settlements{}); err != nil || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestOneThatIsTakenMeanwhileWaitsForTheOthersNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newTwoWorlds()
		r := &settlements{}
		for range 2 {
			if err := a.TrySend(from("gone"), r); err != nil {
				t.Fatal(err)
			}
		}
		sent := make(chan error, 1)
		go func() { sent <- a.Send(t.Context(), from("new"), r) }()
		time.Sleep(3 * attachedLook)
		synctest.Wait()
		if len(sent) > 0 {
			t.Fatalf("it did not wait: %v", <-sent)
		}
		w.take("new")
		time.Sleep(attachedLook)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := a.Send(ctx, from("gone"), r); !errors.Is(err, context.DeadlineExceeded) || a.share.aside.waiting() != 0 {
			t.Errorf("until its own time is over: %v, %d wait", err, a.share.aside.waiting())
		}
	})
}
