package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// waitingAck is what the model knows of one exchange.
type waitingAck struct {
	exchange *exchange
	left     int
	ack, nak string
	failures []error
}

// answer is what the device has to hear of it.
func (w *waitingAck) answer() string {
	for _, err := range w.failures {
		if !errors.Is(err, message.ErrRefused) {
			return ""
		}
	}
	if len(w.failures) > 0 {
		return w.nak
	}
	return w.ack
}

// TestExchangesKeepTheirOrderWhateverIsSettledFirst settles at random and compares
// what the device hears with a plain list.
func TestExchangesKeepTheirOrderWhateverIsSettledFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link, conn := newFakeLink("tcp")
		defer conn.Close()
		a := &acknowledgements{link: link, profile: &Profile{Observer: new(fakeObserver)}}
		var queue []*waitingAck
		var want strings.Builder
		number := 0
		release := func() {
			for len(queue) > 0 && queue[0].left == 0 {
				want.WriteString(queue[0].answer())
				queue = queue[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				number++
				w := &waitingAck{exchange: a.take(), left: rapid.IntRange(1, 4).Draw(t, "left")}
				w.ack = fmt.Sprintf("+%d ", number)
				if rapid.Bool().Draw(t, "has a word for refusal") {
					w.nak = fmt.Sprintf("-%d ", number)
				}
				w.exchange.ack, w.exchange.nak = append(w.exchange.ack[:0], w.ack...), append(w.exchange.nak[:0], w.nak...)
				a.push(w.exchange, w.left, time.Now())
				queue = append(queue, w)
			},
			"settle": func(t *rapid.T) {
				var open []*waitingAck
				for _, w := range queue {
					if w.left > 0 {
						open = append(open, w)
					}
				}
				if len(open) == 0 {
					return
				}
				w := rapid.SampledFrom(open).Draw(t, "which")
				err := rapid.SampledFrom([]error{nil, nil, errTooLarge, message.ErrClosed}).Draw(t, "how")
				n := rapid.IntRange(1, w.left).Draw(t, "how many")
				if w.left -= n; err != nil {
					w.failures = append(w.failures, err)
				}
				w.exchange.SettledTimes(n, err)
				release()
			},
			"": func(t *rapid.T) {
				if link.written() != want.String() {
					t.Fatalf("the device heard %q, want %q", link.written(), want.String())
				}
				if a.none() != (len(queue) == 0) || a.waiting != len(queue) {
					t.Fatalf("%d wait, want %d", a.waiting, len(queue))
				}
			},
		})
	})
}

func TestWaitingForTheQueueToBeEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, conn := newFakeLink("tcp")
		defer conn.Close()
		a := &acknowledgements{link: link, profile: &Profile{Observer: new(fakeObserver)}}
		a.wait(t.Context()) // empty
		e := a.take()
		a.push(e, 1, time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a.wait(ctx)
		if ctx.Err() == nil {
			t.Error("wait returned with an exchange in the queue")
		}
		const waiters = 3
		ended := make(chan struct{}, waiters)
		for range waiters {
			go func() {
				a.wait(t.Context())
				ended <- struct{}{}
			}()
		}
		synctest.Wait()
		e.Settled(nil)
		for range waiters {
			<-ended
		}
	})
}

func TestRefusalsAreReportedOnce(t *testing.T) {
	o := new(fakeObserver)
	a := &acknowledgements{profile: &Profile{Observer: o}}
	a.Settled(nil)
	a.Settled(errTooLarge)
	a.Settled(&handled{errTooLarge})
	a.Settled(message.ErrClosed)
	if got := o.kinds(); !slices.Equal(got, []FaultKind{FaultRefused}) {
		t.Errorf("reported %v", got)
	}
}
