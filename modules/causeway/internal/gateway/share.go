package gateway

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// messageRoom is about what a message takes in the queue besides its body: its
// envelope with some properties.
const messageRoom = 384

// errShareFull is why a listener's datagram is dropped while others are taken.
var errShareFull = fmt.Errorf("the listener's share of the queue is full: %w", message.ErrFull)

// share is the uplink of one listener: it bounds what the listener's devices have
// handed over and what is not safe yet, so that one listener whose devices send more
// than hub and disk take does not fill the queue of all. The outcome that reaches the
// bound is still taken, whatever its size. Whoever waits is served in the order of
// coming. Who was served may go on for a slice, so that a link that has much to say does
// not wait for each message of it; nobody else passes those who wait.
type share struct {
	next session.Uplink
	// full is called when somebody who cannot wait found no room.
	full  func()
	limit atomic.Int64 // bytes

	held   atomic.Int64 // bytes
	passes atomic.Int64 // bytes that those who were served last may still take
	queued atomic.Int64 // how many wait: while nobody does, no lock is taken

	mu      sync.Mutex
	waiters []*waiter // at most one for each link

	loads sync.Pool // of *load

	// aside has room of its own for what waits for a hub that does not take it, see apart; nil
	// for none.
	aside *share
}

// waiter is an outcome that waits for room.
type waiter struct {
	bytes   int
	granted chan struct{}
}

// sliceMost is about what one read of a link brings, and sliceOf the part of the bound
// that a slice may be.
const (
	sliceMost = 16 << 10
	sliceOf   = 32
)

func newShare(next session.Uplink, limit int, full func()) *share {
	s := &share{next: next, full: full}
	s.limit.Store(int64(limit))
	return s
}

// resize changes the bound; what is held beyond it stays.
func (s *share) resize(limit int) {
	if s.aside != nil {
		s.aside.resize(limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.Store(int64(limit))
	s.grant()
}

// slice is what one who was served may still take.
func (s *share) slice() int { return min(sliceMost, int(s.limit.Load())/sliceOf) }

// Send implements session.Uplink.
func (s *share) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	return s.send(ctx, ctx, outcome, r)
}

// send is Send that waits for room until another context ends. What has room waits for the next
// uplink as long as ctx: parts of it may be taken already.
func (s *share) send(ctx, room context.Context, outcome []message.Message, r message.Receipt) error {
	n := weigh(outcome)
	if w := s.enter(n, true); w != nil {
		if err := s.await(room, w); err != nil {
			return err
		}
	}
	l := s.load(n, len(outcome), r)
	if err := s.next.Send(ctx, outcome, l); err != nil {
		l.end() // nothing of it was taken
		return err
	}
	return nil
}

// TrySend implements session.Uplink.
func (s *share) TrySend(outcome []message.Message, r message.Receipt) error {
	n := weigh(outcome)
	if w := s.enter(n, false); w != nil {
		s.full()
		return errShareFull
	}
	l := s.load(n, len(outcome), r)
	if err := s.next.TrySend(outcome, l); err != nil {
		l.end()
		return err
	}
	return nil
}

// weigh is what an outcome takes of the share; never more than fits into a load.
func weigh(outcome []message.Message) (n int) {
	for i := range outcome {
		n += len(outcome[i].Body) + messageRoom
	}
	return min(n, math.MaxInt32)
}

// take takes room if there is some.
func (s *share) take(n int) bool {
	for {
		held := s.held.Load()
		if held >= s.limit.Load() {
			return false
		}
		if s.held.CompareAndSwap(held, held+int64(n)) {
			return true
		}
	}
}

// pass tells whether there are passes left, and uses them.
func (s *share) pass(n int) bool {
	for {
		left := s.passes.Load()
		if left <= 0 {
			return false
		}
		if s.passes.CompareAndSwap(left, left-int64(n)) {
			return true
		}
	}
}

// enter takes room and returns nil, or returns who has to wait, queued if so wished.
func (s *share) enter(n int, queue bool) *waiter {
	if (s.queued.Load() == 0 || s.pass(n)) && s.take(n) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiters) == 0 && s.take(n) {
		return nil
	}
	w := &waiter{bytes: n}
	if queue {
		w.granted = make(chan struct{})
		s.waiters = append(s.waiters, w)
		s.queued.Store(int64(len(s.waiters)))
		s.grant() // room that was given back before anybody was seen to wait
	}
	return w
}

// await waits until a waiter has its room, or ctx ends.
func (s *share) await(ctx context.Context, w *waiter) error {
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		s.abandon(w)
		return ctx.Err()
	}
}

// abandon takes a waiter out, or gives back what it was granted meanwhile.
func (s *share) abandon(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiters, w); i >= 0 {
		s.waiters = slices.Delete(s.waiters, i, i+1)
		s.queued.Store(int64(len(s.waiters)))
		return
	}
	s.held.Add(-int64(w.bytes))
	s.grant()
}

// release gives room back.
func (s *share) release(n int) {
	s.held.Add(-int64(n))
	if s.queued.Load() > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.grant()
	}
}

// grant lets in who waits, from three quarters on, what may still be taken with passes
// included: otherwise each settled message would wake one link for one message. Passes
// that are left when half of the share is free are of links that have no more to say.
func (s *share) grant() {
	passes, limit := max(0, int(s.passes.Load())), int(s.limit.Load())
	if held := int(s.held.Load()); held <= limit/2 {
		passes = 0
	} else if held+passes > limit/4*3 {
		return
	}
	granted := 0
	for ; granted < len(s.waiters) && int(s.held.Load())+passes < limit; granted++ {
		w := s.waiters[granted]
		if !s.take(w.bytes) {
			break
		}
		passes += max(s.slice()-w.bytes, 0)
		close(w.granted)
		s.waiters[granted] = nil
	}
	s.passes.Store(int64(passes))
	if s.waiters = s.waiters[granted:]; len(s.waiters) == 0 {
		s.waiters = nil
	}
	s.queued.Store(int64(len(s.waiters)))
}

// waiting tells how many links wait for room.
func (s *share) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiters)
}

// load is the room that one outcome takes, and the receipt of its messages. There is one for
// every message on its way, so it is kept to half of a cache line.
type load struct {
	share   atomic.Pointer[share]
	receipt message.Receipt
	bytes   int32
	left    atomic.Int32 // messages that are not settled
}

func (s *share) load(bytes, messages int, r message.Receipt) *load {
	l, _ := s.loads.Get().(*load)
	if l == nil {
		l = new(load)
	}
	l.share.Store(s)
	l.bytes, l.receipt = int32(bytes), r //nolint:gosec // weigh's bound
	l.left.Store(int32(messages))        //nolint:gosec // each weighs something
	return l
}

// Settled implements message.Receipt.
func (l *load) Settled(err error) { l.SettledTimes(1, err) }

// SettledTimes implements message.Counter. Room comes back with the last message.
func (l *load) SettledTimes(n int, err error) {
	message.Settle(l.receipt, n, err)
	if l.left.Add(-int32(n)) == 0 { //nolint:gosec // no more than were counted
		l.end()
	}
}

// Postponed implements message.Postponer: the room is taken aside from now on.
func (l *load) Postponed() {
	s := l.share.Load()
	if s.aside != nil && l.share.CompareAndSwap(s, s.aside) { // a message of it is not settled, so it has not ended
		s.aside.held.Add(int64(l.bytes))
		s.release(int(l.bytes))
	}
}

func (l *load) end() {
	s, n := l.share.Load(), int(l.bytes)
	l.receipt = nil
	s.loads.Put(l)
	s.release(n)
}
