package session

import (
	"context"
	"time"
)

// gatherMost bounds the messages of one read that are handed over together. With the
// usual ones they are what a listener's share lets pass at once (gateway.sliceMost), the
// cost of handing over is a thirtieth, and the envelopes of a link stay below 6 KiB.
const gatherMost = 32

// gather puts the messages of an outcome, for which no acknowledgement waits, behind
// those of the frames before it: what came with one read is handed over together, at the
// latest before the link is read again, or before an outcome that is acknowledged.
func (l *lane) gather(ctx context.Context, at time.Time) error {
	if len(l.msgs) > 0 && !l.known(at) {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	from := len(l.msgs)
	if err := l.put(&l.session.acks, at); err != nil {
		l.msgs = l.msgs[:from]
		return err
	}
	if len(l.msgs) >= gatherMost || !l.lasting(from) {
		return l.flush(ctx)
	}
	if present := &l.session.present; len(l.msgs) > 0 && !present.Load() {
		present.Store(true)
	}
	return nil
}

// known tells whether all messages of the outcome are of the device that the link spoke for
// last. Another may have to be judged first, and what came before must not wait for that.
func (l *lane) known(at time.Time) bool {
	s, out := l.session, &l.out
	moves := s.moves()
	for i := range out.Messages {
		device := out.Messages[i].Device
		if device == "" {
			device = s.Device()
		}
		if !l.speaks.covers(device, moves, at) {
			return false
		}
	}
	return true
}

// lasting tells whether the messages may be kept until the next read: their bodies are parts
// of the frame, which is.
func (l *lane) lasting(from int) bool {
	for i := from; i < len(l.msgs); i++ {
		if !partOf(l.msgs[i].Body, l.lasts) {
			return false
		}
	}
	return len(l.lasts) > 0
}

// partOf tells whether b is a part of whole, or empty: slices of one piece of memory end with
// it. One that was cut off from it is not recognized.
func partOf(b, whole []byte) bool {
	if len(b) == 0 {
		return true
	}
	b, whole = b[:cap(b)], whole[:cap(whole)]
	return len(whole) > 0 && &b[len(b)-1] == &whole[len(whole)-1]
}

// flush hands over what was gathered.
func (l *lane) flush(ctx context.Context) error { return l.send(ctx, &l.session.acks) }
