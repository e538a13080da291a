package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// keptUplink takes everything and keeps the receipts until the test settles them.
type keptUplink struct {
	mu       sync.Mutex
	refusing error
	receipts []message.Receipt
}

func (u *keptUplink) Send(_ context.Context, outcome []message.Message, r message.Receipt) error {
	return u.TrySend(outcome, r)
}

func (u *keptUplink) TrySend(outcome []message.Message, r message.Receipt) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.refusing != nil {
		return u.refusing
	}
	for range outcome {
		u.receipts = append(u.receipts, r)
	}
	return nil
}

// settle ends the oldest message and tells whether there was one.
func (u *keptUplink) settle() bool {
	u.mu.Lock()
	if len(u.receipts) == 0 {
		u.mu.Unlock()
		return false
	}
	r := u.receipts[0]
	u.receipts = u.receipts[1:]
	u.mu.Unlock()
	r.Settled(nil)
	return true
}

// settlements counts.
type settlements struct {
	mu sync.Mutex
	n  int
}

func (s *settlements) Settled(error) {
	s.mu.Lock()
	s.n++
	s.mu.Unlock()
}

func outcomeOf(bodies ...int) (list []message.Message) {
	for _, n := range bodies {
		list = append(list, message.Message{Body: make([]byte, n)})
	}
	return list
}

// The share against a model that is a list of who waits: room is never given beyond
// the bound, in no other order, and never withheld from who is alone.
func TestAShareIsGivenInTheOrderOfComing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShare(nil, rapid.IntRange(1, 10_000).Draw(t, "limit"), func() {})
		var queued []*waiter // the model, with those that were granted at its front
		var taken []int      // what is to be released
		granted := func(w *waiter) bool {
			select {
			case <-w.granted:
				return true
			default:
				return false
			}
		}
		look := func() {
			for len(queued) > 0 && granted(queued[0]) {
				taken = append(taken, queued[0].bytes)
				queued = queued[1:]
			}
			if i := slices.IndexFunc(queued, granted); i >= 0 {
				t.Fatalf("number %d was granted before number 0", i)
			}
			held, last := 0, 0
			for _, n := range taken {
				held, last = held+n, max(last, n)
			}
			switch {
			case int64(held) != s.held.Load() || len(queued) != len(s.waiters):
				t.Fatalf("%d bytes are held and %d wait, want %d and %d", s.held.Load(), len(s.waiters), held, len(queued))
			case held >= int(s.limit.Load())+last && held > 0:
				t.Fatalf("%d bytes are held, the bound is %d", held, s.limit.Load())
			case (held == 0 || held+max(0, int(s.passes.Load())) <= int(s.limit.Load())/4*3) && len(queued) > 0:
				t.Fatalf("%d wait although only %d bytes of %d are held", len(queued), held, s.limit.Load())
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { look() },
			"come": func(t *rapid.T) {
				n := rapid.IntRange(1, 600).Draw(t, "bytes")
				if w := s.enter(n, true); w != nil {
					queued = append(queued, w)
				} else {
					taken = append(taken, n)
				}
			},
			"come in haste": func(t *rapid.T) {
				n := rapid.IntRange(1, 600).Draw(t, "bytes")
				room := s.held.Load() < s.limit.Load() && (len(queued) == 0 || s.passes.Load() > 0)
				if took := s.enter(n, false) == nil; took != room {
					t.Fatalf("taken: %v, room: %v", took, room)
				} else if took {
					taken = append(taken, n)
				}
			},
			"go": func(t *rapid.T) {
				if len(queued) == 0 {
					return
				}
				i := rapid.IntRange(0, len(queued)-1).Draw(t, "who")
				s.abandon(queued[i])
				queued = slices.Delete(queued, i, i+1)
			},
			"settle": func(t *rapid.T) {
				if len(taken) == 0 {
					return
				}
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				s.release(taken[i])
				taken = slices.Delete(taken, i, i+1)
			},
		})
	})
}

// Many links at once, some of which go while they wait. A lost wake-up would be a
// deadlock, which the bubble finds.
func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, heard := &keptUplink{}, &settlements{}
		s := newShare(up, 4*messageRoom, func() {})
		var links sync.WaitGroup
		var mu sync.Mutex
		sent := 0
		for link := range 20 {
			dice := rand.New(rand.NewPCG(7, uint64(link))) //nolint:gosec // not negative
			links.Go(func() {
				for range 50 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(dice.IntN(300))*time.Millisecond)
					outcome := outcomeOf(make([]int, 1+dice.IntN(3))...)
					if err := s.Send(ctx, outcome, heard); err == nil {
						mu.Lock()
						sent += len(outcome)
						mu.Unlock()
					} else if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		done := make(chan struct{})
		go func() {
			links.Wait()
			close(done)
		}()
		for open := true; open; {
			select {
			case <-done:
				open = false
			case <-time.After(time.Millisecond):
				up.settle()
			}
		}
		for up.settle() { //nolint:revive // the condition does it
		}
		if s.held.Load() != 0 || len(s.waiters) != 0 || heard.n != sent || sent == 0 {
			t.Errorf("%d bytes are held, %d wait; %d of %d messages were settled", s.held.Load(), len(s.waiters), heard.n, sent)
		}
	})
}

func TestAShareTellsWhoCannotWait(t *testing.T) {
	up, heard, forced := &keptUplink{}, &settlements{}, 0
	s := newShare(up, 1000, func() { forced++ })
	if err := s.TrySend(outcomeOf(5000), heard); err != nil {
		t.Fatal("what reaches the bound is not taken:", err)
	}
	if err := s.TrySend(outcomeOf(1), heard); !errors.Is(err, message.ErrFull) || forced != 1 {
		t.Errorf("got %v, the disk was asked for %d times", err, forced)
	}
	up.settle()
	up.refusing = message.ErrFull
	if err := s.TrySend(outcomeOf(1), heard); !errors.Is(err, message.ErrFull) || errors.Is(err, errShareFull) {
		t.Errorf("the queue is full, but %v", err)
	}
	up.refusing = message.ErrClosed
	if err := s.Send(t.Context(), outcomeOf(1), heard); !errors.Is(err, message.ErrClosed) {
		t.Errorf("the uplink is closed, but %v", err)
	}
	if s.held.Load() != 0 || heard.n != 1 {
		t.Errorf("%d bytes are held after failures, %d were settled", s.held.Load(), heard.n)
	}
}

// atOnce settles at once.
type atOnce struct{}

func (atOnce) Send(_ context.Context, outcome []message.Message, r message.Receipt) error {
	return atOnce{}.TrySend(outcome, r)
}

func (atOnce) TrySend(outcome []message.Message, r message.Receipt) error {
	message.Settle(r, len(outcome), nil)
	return nil
}

func TestAShareCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	s, outcome, r, ctx := newShare(atOnce{}, 1<<20, func() {}), outcomeOf(100, 100), &settlements{}, t.Context()
	if n := testing.AllocsPerRun(1000, func() { _ = s.Send(ctx, outcome, r) }); n != 0 {
		t.Errorf("an outcome costs %.0f allocations", n)
	}
}

func BenchmarkShare(b *testing.B) {
	s, outcome, r, ctx := newShare(atOnce{}, 1<<20, func() {}), outcomeOf(100), &settlements{}, b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Send(ctx, outcome, r)
	}
}
