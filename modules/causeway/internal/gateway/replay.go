package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/deadletter"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

const (
	// replayTogether bounds the letters whose messages wait for the hub at once.
	replayTogether = 64
	// failuresTold bounds the reasons in a report.
	failuresTold = 20
)

// replayReport is the answer of replayDeadLetters.
type replayReport struct {
	// Replayed letters are safe now and no longer kept; Failed ones are still kept.
	Replayed int `json:"replayed"`
	Messages int `json:"messages"`
	Failed   int `json:"failed"`
	// Remaining is how many of those that were meant are kept.
	Remaining int `json:"remaining"`
	// Next is the last letter looked at, to go on after.
	Next     uint64          `json:"next,omitempty"`
	Failures []replayFailure `json:"failures,omitempty"`
}

type replayFailure struct {
	ID     uint64 `json:"id"`
	Reason string `json:"reason"`
}

// Replay implements command.DeadLetters.
func (d *deadLetters) Replay(ctx context.Context, what command.Replay) (any, error) {
	if !d.replaying.TryLock() {
		return nil, command.ErrReplaying
	}
	defer d.replaying.Unlock()
	ids, err := d.choose(what)
	if err != nil {
		return nil, err
	}
	r := &replayReport{}
	for len(ids) > 0 && ctx.Err() == nil {
		n := min(len(ids), replayTogether)
		if err := d.replay(ctx, ids[:n], r); err != nil {
			return nil, err
		}
		r.Next = ids[n-1]
		ids = ids[n:]
	}
	r.Remaining, err = d.remaining(what)
	return r, err
}

// choose lists the letters that are meant.
func (d *deadLetters) choose(what command.Replay) (ids []uint64, err error) {
	if len(what.IDs) > 0 {
		return what.IDs[:min(len(what.IDs), what.Limit)], nil
	}
	err = d.ring.Walk(what.After, func(l *deadletter.Letter) bool {
		if what.All || l.Listener == what.Listener {
			ids = append(ids, l.ID)
		}
		return len(ids) < what.Limit
	})
	return ids, err
}

// remaining counts the letters that were meant and are still kept.
func (d *deadLetters) remaining(what command.Replay) (n int, err error) {
	meant := make(map[uint64]bool, len(what.IDs))
	for _, id := range what.IDs {
		meant[id] = true
	}
	err = d.ring.Walk(0, func(l *deadletter.Letter) bool {
		if what.All || l.Listener == what.Listener || meant[l.ID] {
			n++
		}
		return true
	})
	return n, err
}

// replay sends some letters together, waits for them and deletes those that are safe.
func (d *deadLetters) replay(ctx context.Context, ids []uint64, r *replayReport) error {
	sent := make([]*resent, 0, len(ids))
	for _, id := range ids {
		s, err := d.resend(ctx, id)
		if err != nil {
			r.fail(id, err)
			continue
		}
		sent = append(sent, s)
	}
	var safe []uint64
	for _, s := range sent {
		err := s.wait(ctx)
		d.settled(s)
		if err != nil {
			r.fail(s.id, err)
			continue
		}
		safe = append(safe, s.id)
		r.Replayed++
		r.Messages += len(s.messages)
	}
	return d.ring.Delete(safe...)
}

func (r *replayReport) fail(id uint64, err error) {
	r.Failed++
	if len(r.Failures) < failuresTold {
		r.Failures = append(r.Failures, replayFailure{ID: id, Reason: err.Error()})
	}
}

// resent is a letter whose messages wait for the hub.
type resent struct {
	id       uint64
	messages []string   // their ids
	ends     chan error // has room for all
}

// Settled implements message.Receipt.
func (s *resent) Settled(err error) { s.ends <- err }

// wait returns nil when every message is safe, and the reason otherwise.
func (s *resent) wait(ctx context.Context) (err error) {
	for range s.messages {
		select {
		case end := <-s.ends:
			err = errors.Join(err, end)
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("not safe in time: %w", ctx.Err()))
		}
	}
	return err
}

// resend makes the messages of a letter and hands them to the uplink. Their ids are
// derived from the letter, so that a second replay sends what consumers can drop.
func (d *deadLetters) resend(ctx context.Context, id uint64) (*resent, error) {
	l, err := d.ring.Get(id)
	if err != nil {
		return nil, err
	}
	list, err := d.messages(l)
	if err != nil {
		return nil, err
	}
	s := &resent{id: id, ends: make(chan error, len(list))}
	for i := range list {
		s.messages = append(s.messages, string(list[i].AppendID(nil)))
	}
	d.mu.Lock()
	for _, m := range s.messages {
		d.again[m] = true
	}
	d.mu.Unlock()
	if len(list) == 0 {
		return s, nil
	}
	if err := d.g.uplink.Send(ctx, list, s); err != nil {
		d.settled(s)
		return nil, err
	}
	return s, nil
}

// settled notes that no replay waits for these messages any more.
func (d *deadLetters) settled(s *resent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range s.messages {
		delete(d.again, m)
	}
}

// messages are the refused message, or those of the frame as today's codec of its
// listener decodes it.
func (d *deadLetters) messages(l *deadletter.Letter) ([]message.Message, error) {
	if m, ok := l.Resend(); ok {
		return []message.Message{m}, nil
	}
	running := d.g.running()[l.Listener]
	if running == nil {
		return nil, fmt.Errorf("the configuration has no listener %q", l.Listener)
	}
	return running.profile.Decode(session.Again{
		Peer:   codec.Peer{Listener: l.Listener, Transport: l.Transport, Remote: remote(l.Remote)},
		Device: l.Device, Frame: l.Body, Uncut: l.Uncut, At: l.Time, Epoch: l.ID,
	})
}
