package edge

import (
	"fmt"
	"time"
)

// Waiting is a message that waits for the link to the cloud.
type Waiting struct {
	Priority uint32
	// Expires is zero for never.
	Expires time.Time
	Source  string
	Message Message
}

// Spool keeps what waits for the cloud, so that a killed process finds it again.
type Spool interface {
	// Push records messages in the order of their arrival, before their sender is told.
	Push(messages []Waiting) error
	// Clear forgets them all: they have reached the cloud, or expired.
	Clear() error
}

// spoolEntries records what was queued. Caller holds mu.
func (u *upstream) spoolEntries(entries []upstreamEntry) error {
	if u.opts.Spool == nil || len(entries) == 0 {
		return nil
	}
	list := make([]Waiting, len(entries))
	for i := range entries {
		item := &entries[i].item
		list[i] = Waiting{entries[i].priority, item.expires, item.source, item.message}
	}
	if err := u.opts.Spool.Push(list); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// clearSpool follows when nothing waits any more. Caller holds mu.
func (u *upstream) clearSpool() error {
	if u.opts.Spool == nil {
		return nil
	}
	if err := u.opts.Spool.Clear(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// Requeue takes in what waited when an earlier run ended, and sends it to the cloud, whose
// link is there at the start. It is called after Replay, before the first client connects.
// A kill in the middle of sending makes duplicates, as on a real device.
func (h *Hub) Requeue(messages []Waiting) error {
	u := &h.upstream
	u.mu.Lock()
	for i := range messages {
		m := &messages[i]
		item := queued{message: m.Message, size: messageSize(&m.Message), source: m.Source, expires: m.Expires}
		if !u.waiting.push(m.Priority, item) {
			u.mu.Unlock()
			return fmt.Errorf("requeue: the queue is full after %d of %d messages", i, len(messages))
		}
	}
	u.mu.Unlock()
	if len(messages) == 0 {
		return nil
	}
	if err := u.restore(h.opts.Now()); err != nil {
		return fmt.Errorf("requeue: %w", err)
	}
	return nil
}
