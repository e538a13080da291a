package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	// retryPause is how long a command that a connected device did not answer waits
	// before it is sent again.
	retryPause = 15 * time.Second
	// markPause is how long a delivery waits for a disk that could not be written.
	markPause = 5 * time.Second
	// queueBytes bounds the payloads of all queued commands, in memory and on disk:
	// 1,000 of them have 16 KiB each.
	queueBytes = 16 << 20
)

// Store keeps queued commands over a restart. A command of the same number replaces
// the one before. Nil means that nothing is kept.
type Store interface {
	Save(Stored) error
	Delete(number uint64) error
	// Load returns all in ascending order of their numbers.
	Load() ([]Stored, error)
}

// Stored is a queued command as it is kept.
type Stored struct {
	// Number is distinct and ascending, over restarts too; ID is what callers know it by.
	Number  uint64  `json:"-"`
	ID      string  `json:"id"`
	Request Request `json:"request"`
	// Queued and Expiry are times of the wall clock.
	Queued time.Time `json:"queued"`
	Expiry time.Time `json:"expiry"`
	// Delivering is set before the device may see the command.
	Delivering bool `json:"delivering,omitempty"`
}

// errNotKept says that a command was not taken because it cannot be kept.
var errNotKept = errors.New("the command cannot be kept on disk")

// Restore queues what an earlier life has left, and ends what may not be delivered
// again: commands whose time has run out, and those that were being delivered and
// do not ask for retry. It is called once, before Do and Wake; the error tells that
// the store cannot be read, and the service works all the same.
func (s *Service) Restore() error {
	if s.opts.Store == nil {
		return nil
	}
	list, err := s.opts.Store.Load()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = max(s.next, uint64(now.UnixMicro())) //nolint:gosec // a time after 1970
	var over []ending
	for _, c := range list {
		s.next = max(s.next, c.Number)
		w := &waiting{
			request: c.Request, id: c.ID, number: c.Number, kept: true, queued: c.Queued,
			done: make(chan Answer, 1),
		}
		left := c.Expiry.Sub(now)
		if life := c.Expiry.Sub(c.Queued); left > life {
			left = life // the clock was set back: it does not get older than it might have
		}
		w.expiry = now.Add(left)
		switch {
		case c.Delivering && !c.Request.Retry:
			over = append(over, ending{w, refuse(StatusNoReply,
				"the gateway ended while it delivered the command; whether the device has it is not known")})
		case left <= 0:
			over = append(over, ending{w, expired(w)})
		default:
			s.insert(w, left)
		}
	}
	s.workers.Go(func() {
		for _, e := range over {
			s.end(e.command, e.answer)
		}
	})
	if err != nil {
		return fmt.Errorf("restore queued commands: %w", err)
	}
	return nil
}

// ending is a command and its end.
type ending struct {
	command *waiting
	answer  Answer
}

// insert queues a command for as long as it may wait. Called under mu.
func (s *Service) insert(w *waiting, left time.Duration) {
	q := s.queues[w.request.DeviceID]
	if q == nil {
		q = new(queue)
		s.queues[w.request.DeviceID] = q
	}
	w.timer = time.AfterFunc(left, func() { s.expire(w) })
	q.waiting = append(q.waiting, w)
	s.account(w, 1)
}

// account counts a command in (1) or out (-1). Called under mu.
func (s *Service) account(w *waiting, sign int) {
	s.count += sign
	s.bytes += sign * len(w.request.Payload)
}

func (w *waiting) stored() Stored {
	return Stored{Number: w.number, ID: w.id, Request: w.request, Queued: w.queued, Expiry: w.expiry}
}

// keep writes a new command to the store. One that somebody waits for is taken
// without: its caller hears of a gateway that ends.
func (s *Service) keep(w *waiting) error {
	if s.opts.Store == nil {
		return nil
	}
	err := s.opts.Store.Save(w.stored())
	w.kept = err == nil
	if err == nil || w.sync {
		return nil
	}
	return fmt.Errorf("%w: %w", errNotKept, err)
}

// mark notes durably that the device may see the command from now on, so that it
// does not get it twice. A command that asks for retry may.
func (s *Service) mark(w *waiting) error {
	if !w.kept || w.request.Retry {
		return nil
	}
	c := w.stored()
	c.Delivering = true
	return s.opts.Store.Save(c)
}

// forget takes a command out of the store. What cannot be deleted is told to have
// been interrupted at the next start.
func (s *Service) forget(w *waiting) {
	if !w.kept {
		return
	}
	if err := s.opts.Store.Delete(w.number); err != nil {
		s.opts.Failed(err)
	}
}

// postpone puts a command back to the head of its queue, for a while; false when its
// time has run out.
func (s *Service) postpone(w *waiting, q *queue, pause time.Duration) bool {
	left := time.Until(w.expiry)
	if left <= 0 {
		return false
	}
	device := w.request.DeviceID
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return !w.sync // it stays in the store
	}
	q.busy = false
	q.waiting = slices.Insert(q.waiting, 0, w)
	s.queues[device] = q
	s.account(w, 1)
	w.timer = time.AfterFunc(left, func() { s.expire(w) })
	q.pause = time.AfterFunc(pause, func() { s.Wake(device) })
	return true
}

// carry delivers one command of a connected device. It returns false when the queue
// has to pause.
func (s *Service) carry(d Device, q *queue, w *waiting) bool {
	if err := s.mark(w); err != nil {
		s.opts.Failed(err)
		if s.postpone(w, q, markPause) {
			return false
		}
		s.end(w, expired(w))
		return true
	}
	a := deliver(s.ctx, d, w.request, w.id)
	if a.Status == StatusNoReply && s.ctx.Err() != nil && !w.sync && w.kept {
		return true // the next start goes on from what is in the store
	}
	if a.Status == StatusNoReply && w.request.Retry && s.postpone(w, q, retryPause) {
		return false
	}
	s.end(w, a)
	return true
}

// end tells the end of a command to who waits for it, or to Options.Ended.
func (s *Service) end(w *waiting, a Answer) {
	if a.Status == StatusExpired {
		s.opts.Expired(w.request, w.id)
	}
	if w.sync {
		s.forget(w)
		w.done <- a
		return
	}
	if err := s.opts.Ended(s.ctx, w.request, w.id, a); err != nil {
		s.opts.Failed(fmt.Errorf("tell the end of command %s: %w", w.id, err))
		return // the next start tells it
	}
	s.forget(w)
}

func expired(w *waiting) Answer {
	return refuse(StatusExpired, fmt.Sprintf("device %q did not take the command in time", w.request.DeviceID))
}

// number gives a new command its number and, where it has none, its id. Called
// under mu.
func (s *Service) number(w *waiting) {
	s.next++
	if w.number = s.next; w.id == "" {
		w.id = strconv.FormatUint(s.next, 10)
	}
}
