package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/go-amqp"
	"golang.org/x/sync/errgroup"
)

const (
	// condThrottled: the hub's store is full (AmqpErrorMapper.cs).
	condThrottled amqp.ErrCond = "com.microsoft:device-container-throttled"
	condTimeout   amqp.ErrCond = "com.microsoft:timeout"
	// pauseThrottled is how long nothing is sent after a throttling refusal; it
	// grows with each refusal of the same batch to at most 32 times as much.
	pauseThrottled = 100 * time.Millisecond
	// refusalTries is how often a lone message meets amqp:internal-error before it is
	// taken for the message's own fault: that is the hub's word for any fault of its
	// own, a full disk for example, as well as for a message that it cannot read.
	refusalTries = 3
)

// eventLink is the way of an uplink's batches over one link, for as long as that stands.
type eventLink struct {
	uplink *Uplink
	events *amqp.Sender
	// patience is how long the hub may leave a batch without a disposition.
	patience time.Duration
	// observed hears of a settled batch, as Observer.Batch.
	observed func(messages int, inFlight time.Duration, condition string)
	// accepted is when the hub last accepted a batch; owned by settle.
	accepted time.Time
}

// run sends and settles until the link ends, or ctx.
func (t *eventLink) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	landing := make(chan *flight, t.uplink.opts.Window)
	g.Go(func() error { return t.send(ctx, landing) })
	g.Go(func() error { return t.settle(ctx, landing) })
	return g.Wait()
}

// send is the loop that puts batches on the wire, in order, and hands them to
// settle in the same order.
func (t *eventLink) send(ctx context.Context, landing chan<- *flight) error {
	u := t.uplink
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		f, wait := u.next(time.Now())
		if f == nil {
			if err := u.await(ctx, linger, wait); err != nil {
				return err
			}
			continue
		}
		receipt, err := t.events.SendWithReceipt(ctx, u.transfer(f), nil)
		if err != nil {
			return fmt.Errorf("send batch: %w", err)
		}
		f.receipt, f.sent = receipt, time.Now()
		landing <- f // has room for the whole window
	}
}

// await waits until the uplink is woken, or for as long as next said.
func (u *Uplink) await(ctx context.Context, t *time.Timer, wait time.Duration) error {
	var expired <-chan time.Time
	if wait > 0 {
		t.Reset(wait)
		expired = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-u.wake:
	case <-expired:
	}
	return nil
}

// settle waits for the dispositions in the order of sending.
func (t *eventLink) settle(ctx context.Context, landing <-chan *flight) error {
	for {
		var f *flight
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f = <-landing:
		}
		if err := t.land(ctx, f); err != nil {
			return err
		}
	}
}

func (t *eventLink) land(ctx context.Context, f *flight) error {
	waitCtx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	state, err := f.receipt.Wait(waitCtx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("edge hub left a batch unsettled for %v", t.patience)
		}
		return fmt.Errorf("wait for disposition: %w", err)
	}
	messages, inFlight, condition := f.len(), time.Since(f.sent), ""
	switch s := state.(type) {
	case *amqp.StateAccepted:
		t.accepted = time.Now()
		t.uplink.accepted(f)
	case *amqp.StateRejected:
		condition = string(conditionOf(s))
		err = t.rejected(f, s)
	default: // released or modified: the hub never does so, another broker may
		condition = "released"
		t.uplink.again(f, 0, false)
	}
	t.observed(messages, inFlight, condition)
	return err
}

// rejected deals with a refusal by its condition: wait and send again what may
// pass later, connect anew when we are not let in any more, and otherwise take
// the transfer apart until the message that the hub refuses stands alone.
func (t *eventLink) rejected(f *flight, s *amqp.StateRejected) error {
	u, b := t.uplink, f.batches[0]
	switch cond := conditionOf(s); cond {
	case condThrottled, condTimeout, amqp.ErrCondResourceLimitExceeded:
		tries := 0
		for _, b := range f.batches {
			b.tries++
			tries = max(tries, b.tries)
		}
		u.again(f, pauseThrottled<<min(tries-1, 5), true)
		return nil
	case amqp.ErrCondUnauthorizedAccess:
		return fmt.Errorf("batch rejected: %w", s.Error)
	default:
		if f.len() > 1 {
			u.isolate(f)
			return nil
		}
		if cond == amqp.ErrCondInternalError && t.maybeTheHubs(b) {
			u.again(f, pauseThrottled<<min(b.faults-1, 5), false)
			return nil
		}
		r := refusal(b, rejection(s))
		u.opts.Refused(r)
		u.refused(f, r)
		return nil
	}
}

// maybeTheHubs tells whether an internal error may be the hub's own: it was seen
// only a few times, or the hub has accepted nothing else since the first.
func (t *eventLink) maybeTheHubs(b *batch) bool {
	if b.faults++; b.faults == 1 {
		b.faulted = time.Now()
	}
	return b.faults < refusalTries || !t.accepted.After(b.faulted)
}

func conditionOf(s *amqp.StateRejected) amqp.ErrCond {
	if s.Error == nil {
		return "rejected"
	}
	return s.Error.Condition
}

func rejection(s *amqp.StateRejected) error {
	if s.Error == nil {
		return errors.New("rejected without a reason")
	}
	return s.Error
}
