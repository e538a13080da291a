package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// attachedLook is how often who waits among the devices that the hub does not take is
// looked at: it may be taken by now, and needs not wait for them.
const attachedLook = 500 * time.Millisecond

// apart is the uplink of a listener whose devices have identities of their own. What the hub
// takes has the listener's share of the queue. What it does not take, since a device is not
// attached, or refused for ever, has as much for itself: otherwise some that are refused, and
// have filled what they may use of the disk, would hold up all others.
type apart struct {
	share    *share // with one aside
	attached func(device string) bool
}

// newApart makes the share of such a listener, and the uplink before it. Full is called when a
// datagram found no room.
func newApart(share *share, full func(), attached func(device string) bool) apart {
	share.aside = newShare(share.next, int(share.limit.Load()), full)
	return apart{share, attached}
}

// Send implements session.Uplink.
func (a apart) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	for {
		if a.takes(outcome) {
			return a.share.Send(ctx, outcome, r)
		}
		wait, cancel := context.WithTimeout(ctx, attachedLook)
		err := a.share.aside.send(ctx, wait, outcome, r)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// TrySend implements session.Uplink.
func (a apart) TrySend(outcome []message.Message, r message.Receipt) error {
	if a.takes(outcome) {
		return a.share.TrySend(outcome, r)
	}
	return a.share.aside.TrySend(outcome, r)
}

// takes tells whether the hub takes the outcome at the moment, by the device of its first message.
func (a apart) takes(outcome []message.Message) bool {
	return len(outcome) > 0 && a.attached(outcome[0].Device)
}

// forceLeast is between two times that all devices are told to use the disk: each datagram
// without room asks for it.
const forceLeast = 100 * time.Millisecond

// seldom calls f, unless it has just been called.
func seldom(f func()) func() {
	var next atomic.Int64 // Unix nanoseconds
	return func() {
		now, due := time.Now(), next.Load()
		if now.UnixNano() >= due && next.CompareAndSwap(due, now.Add(forceLeast).UnixNano()) {
			f()
		}
	}
}
