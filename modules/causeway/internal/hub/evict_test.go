package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

func TestOneThatComesHasThePlaceOfOneThatIsRefused(t *testing.T) {
	cases := []struct {
		name   string
		change func(f *fieldOfLeaves, first *leaf)
		room   bool
	}{
		{"refused and away for long", func(*fieldOfLeaves, *leaf) {}, true},
		{"waiting for its first attach", func(_ *fieldOfLeaves, l *leaf) { l.turn(LeafWaiting, "") }, false},
		{"attached", func(_ *fieldOfLeaves, l *leaf) { l.reached(true) }, false},
		{"connected", func(f *fieldOfLeaves, l *leaf) {
			f.present[l.device] = true
			f.tidyOnce(time.Now())
		}, false},
		{"seen a moment ago", func(f *fieldOfLeaves, l *leaf) { _ = f.Admit(l.device) }, false},
		{"with a message that is nowhere but here", func(_ *fieldOfLeaves, l *leaf) {
			_ = l.uplink.TrySend([]message.Message{of(l.device, 10)}, &settlements{})
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := wide
				limits.Most = 2
				f := newField(t, limits, nil)
				f.admit(t, 2)
				for _, l := range f.leaves {
					l.turn(LeafAttached, "")
				}
				first := f.leaves["d000"]
				first.failed(errors.New("not known"))
				time.Sleep(2 * unmet)
				c.change(f, first)
				if err := f.Wake("d002"); !errors.Is(err, ErrLeaves) {
					t.Errorf("one that is not here takes a place: %v", err)
				}
				err := f.Admit("d002")
				if (err == nil) != c.room || err != nil && !errors.Is(err, ErrLeaves) {
					t.Fatalf("admitted with %v", err)
				}
				if c.room && (f.leaves["d000"] != nil || !slices.Contains(f.gone, "d000") || first.life.Err() == nil) {
					t.Error("the one that was refused is still known")
				}
				if len(f.leaves) != 2 {
					t.Errorf("%d are known", len(f.leaves))
				}
			})
		})
	}
}

func TestOneThatIsGivenUpIsServedNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, wide, nil)
		f.admit(t, 2)
		s := f.some(t, func(*shard) bool { return true })
		served := make(chan string, 10)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.seat(ctx, func(ctx context.Context, l *leaf) error {
				served <- "served " + l.device
				<-ctx.Done()
				served <- "left " + l.device
				return ctx.Err()
			})
		}()
		synctest.Wait()
		first, second := <-served, <-served
		f.mu.Lock()
		f.forget(f.leaves["d000"])
		f.mu.Unlock()
		synctest.Wait()
		if got := <-served; got != "left d000" || len(served) != 0 {
			t.Errorf("%s, %s, then %s", first, second, got)
		}
		f.admit(t, 1) // it comes back
		synctest.Wait()
		if got := <-served; got != "served d000" {
			t.Errorf("then %s", got)
		}
		end()
		<-ended
	})
}

// A message that finds its device given up at that moment makes it known anew.
func TestAMessageIsNotLostToADeviceThatIsJustGivenUp(t *testing.T) {
	f := newField(t, wide, nil)
	f.admit(t, 1)
	first, tries := f.leaves["d000"], 0
	err := f.hand([]message.Message{of("d000", 10)}, &settlements{}, func(u *Uplink, run []message.Message) error {
		if tries++; tries == 1 {
			f.mu.Lock()
			if !u.retire() {
				t.Error("it holds something")
			}
			f.forget(first)
			f.mu.Unlock()
		}
		return u.TrySend(run, &settlements{})
	})
	if again := f.leaves["d000"]; err != nil || tries != 2 || again == nil || again == first || again.uplink.Stats().Messages != 1 {
		t.Errorf("tried %d times, the device is known: %v, %v", tries, again != nil, err)
	}
}

// What the receipts of a device that is not attached any more are told, once for each outcome.
func TestReceiptsHearThatTheHubDoesNotTakeTheirMessages(t *testing.T) {
	u := NewUplink(UplinkOptions{Leaf: true})
	u.reached(true)
	first, second := &postponed{}, &postponed{}
	for _, r := range []*postponed{first, second} {
		if err := u.TrySend([]message.Message{of("d", 10), of("d", 10)}, r); err != nil {
			t.Fatal(err)
		}
	}
	u.reached(false)
	u.reached(false) // an attempt that failed is no news
	if got := fmt.Sprint(first.n, second.n); got != "1 1" {
		t.Errorf("told %s times", got)
	}
	u.Close()
}

type postponed struct {
	settlements
	n int
}

func (p *postponed) Postponed() { p.n++ }
