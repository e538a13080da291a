package authenticate

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoMoreWorkRunsThanThereAreWorkersAndNoMoreWaitsThanTheQueueTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers(WorkersOptions{Parallel: 2, Queue: 3, Wait: time.Minute})
		var running, most, ran, busy atomic.Int32
		for i := range 10 {
			work := func() {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
				ran.Add(1)
			}
			go func() {
				var err error
				if i%2 == 0 {
					err = w.Do(t.Context(), work)
				} else {
					err = w.Start(time.Minute, func(context.Context) { work() })
				}
				if errors.Is(err, ErrBusy) {
					busy.Add(1)
				}
			}()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if most.Load() != 2 || ran.Load() != 5 || busy.Load() != 5 {
			t.Errorf("at most %d at once, %d ran, %d were refused", most.Load(), ran.Load(), busy.Load())
		}
		if w.running != 0 || w.waiting.Len() != 0 {
			t.Errorf("%d still run, %d wait", w.running, w.waiting.Len())
		}
		w.Close()
		if err := w.Do(t.Context(), func() {}); !errors.Is(err, ErrBusy) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestWhoWaitsTooLongIsToldThatItIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers(WorkersOptions{Parallel: 1, Queue: 8, Wait: 5 * time.Second})
		release := make(chan struct{})
		go func() { _ = w.Do(t.Context(), func() { <-release }) }()
		synctest.Wait()
		begun := time.Now()
		if err := w.Do(t.Context(), func() {}); !errors.Is(err, ErrBusy) || time.Since(begun) != 5*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Do(ctx, func() {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context of one second: %v", err)
		}
		if w.waiting.Len() != 0 {
			t.Errorf("%d wait", w.waiting.Len())
		}
		close(release)
		synctest.Wait()
	})
}

func TestCloseWaitsForWhatWasStartedAndEndsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers(WorkersOptions{Parallel: 1})
		var heard atomic.Int32
		for range 5 {
			err := w.Start(time.Hour, func(ctx context.Context) {
				<-ctx.Done()
				heard.Add(1)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		w.Close()
		if heard.Load() != 5 || time.Since(begun) != 0 {
			t.Errorf("after %s %d of 5 have ended", time.Since(begun), heard.Load())
		}
	})
}

func TestWhatWaitedLongerThanItsTimeIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers(WorkersOptions{Parallel: 1})
		defer w.Close()
		c := NewChain([]Named{{"a", must{t}}}, ChainOptions{})
		var late Verdict
		_ = w.Start(time.Minute, func(context.Context) { time.Sleep(20 * time.Second) })
		_ = w.Start(10*time.Second, func(ctx context.Context) { late = c.Authenticate(ctx, Request{}) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if late.Decision != Deny || late.Reason != "busy" || !late.Unavailable {
			t.Errorf("got %+v", late)
		}
	})
}
