package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Upstream is a message that reached the cloud.
type Upstream struct {
	// Sequence counts from 1 without gaps, in the order of arrival in the cloud.
	Sequence uint64
	// Source is the route language's source path.
	Source  string
	Message Message

	size int64
}

type upstreamEntry struct {
	priority uint32
	item     queued
}

// upstream is the queue to the cloud and what has arrived there: a ring of bounded length
// whose oldest messages make room.
type upstream struct {
	opts     *Options
	counters *counters

	mu       sync.Mutex
	cut      bool
	mended   chan struct{} // closed when the link comes back; nil while it is there
	waiting  queue
	ring     []Upstream
	start    int // index of the oldest message in ring
	count    int
	bytes    int64
	sequence uint64
	total    uint64
	size     uint64
	evicted  uint64
	// wake is closed when messages arrive; nil while nobody waits.
	wake chan struct{}
}

func (u *upstream) init(opts *Options, c *counters) {
	u.opts, u.counters = opts, c
	u.waiting.limit(opts.QueueMessages, opts.QueueBytes)
}

// add forwards the entries, or queues them while the cloud is cut off.
func (u *upstream) add(entries []upstreamEntry, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.cut {
		return u.arrive(entries)
	}
	for i := range entries {
		if u.opts.CountOnly {
			entries[i].item.message = Message{From: entries[i].item.message.From, Enqueued: now}
		}
		if !u.waiting.push(entries[i].priority, entries[i].item) {
			return errors.Join(u.spoolEntries(entries[:i]), &Refusal{ConditionThrottled, "the store is full"})
		}
	}
	return u.spoolEntries(entries)
}

// arrive numbers the entries, journals them and makes them visible. Caller holds mu.
func (u *upstream) arrive(entries []upstreamEntry) error {
	if u.opts.Journal != nil {
		list := make([]Upstream, len(entries))
		for i := range entries {
			item := &entries[i].item
			list[i] = Upstream{Sequence: u.sequence + uint64(i) + 1, Source: item.source, Message: item.message}
		}
		if err := u.opts.Journal.Append(list); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	for i := range entries {
		e := &entries[i].item
		u.show(Upstream{Sequence: u.sequence + 1, Source: e.source, Message: e.message, size: e.size})
	}
	if u.wake != nil {
		close(u.wake)
		u.wake = nil
	}
	return nil
}

// show counts one message and keeps it in the ring.
func (u *upstream) show(m Upstream) {
	size := m.size
	u.sequence = m.Sequence
	u.total++
	u.size += uint64(size)
	if u.opts.CountOnly || u.opts.KeepMessages <= 0 {
		return
	}
	for u.count > 0 && (u.count >= u.opts.KeepMessages || u.bytes+size > u.opts.KeepBytes) {
		u.bytes -= u.ring[u.start].size
		u.ring[u.start] = Upstream{}
		u.start = (u.start + 1) % len(u.ring)
		u.count--
		u.evicted++
	}
	if u.count == len(u.ring) {
		u.grow()
	}
	u.ring[(u.start+u.count)%len(u.ring)] = m
	u.count++
	u.bytes += size
}

func (u *upstream) grow() {
	ring := make([]Upstream, min(max(2*len(u.ring), 1024), u.opts.KeepMessages))
	for i := range u.count {
		ring[i] = u.ring[(u.start+i)%len(u.ring)]
	}
	u.ring, u.start = ring, 0
}

// restore drains the queue in order of priority.
func (u *upstream) restore(now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cut = false
	if u.mended != nil {
		close(u.mended)
		u.mended = nil
	}
	for {
		item, expired, ok := u.waiting.pop(now)
		u.counters.expired.Add(uint64(len(expired)))
		if !ok {
			return u.clearSpool()
		}
		if err := u.arrive([]upstreamEntry{{item: item}}); err != nil {
			return err
		}
	}
}

func (u *upstream) setCut() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cut = true; u.mended == nil {
		u.mended = make(chan struct{})
	}
}

func (u *upstream) isCut() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.cut
}

func (u *upstream) stats(s *Stats) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Upstream, s.UpstreamBytes, s.Kept, s.Evicted = u.total, u.size, u.count, u.evicted
	s.Queued, s.Sequence, s.CloudCut = u.waiting.len(), u.sequence, u.cut
}

// read copies up to limit messages after since, and returns the channel that tells of
// more when there are none.
func (u *upstream) read(since uint64, limit int) ([]Upstream, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	oldest := u.sequence - uint64(u.count) + 1
	first := max(since+1, oldest)
	if first > u.sequence {
		if u.wake == nil {
			u.wake = make(chan struct{})
		}
		return nil, u.wake
	}
	n := min(limit, int(u.sequence-first+1))
	list := make([]Upstream, n)
	for i := range list {
		list[i] = u.ring[(u.start+int(first-oldest)+i)%len(u.ring)]
	}
	return list, nil
}

// Sequence is the sequence number of the newest upstream message, 0 before the first.
func (h *Hub) Sequence() uint64 {
	h.upstream.mu.Lock()
	defer h.upstream.mu.Unlock()
	return h.upstream.sequence
}

// Messages returns up to limit upstream messages with a sequence number above since,
// oldest first. Without any it waits up to wait for one. In counting mode there are none.
func (h *Hub) Messages(ctx context.Context, since uint64, limit int, wait time.Duration) []Upstream {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		list, more := h.upstream.read(since, max(limit, 1))
		if len(list) > 0 || wait <= 0 {
			return list
		}
		select {
		case <-more:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-h.done:
			return nil
		}
	}
}

// Replay makes messages of an earlier run visible again and continues their numbering.
// It is called before the first client connects; sequence numbers must ascend by one.
func (h *Hub) Replay(messages []Upstream) {
	h.upstream.mu.Lock()
	defer h.upstream.mu.Unlock()
	for _, m := range messages {
		m.size = messageSize(&m.Message)
		h.upstream.show(m)
	}
}

// CutCloud severs the hub from the cloud: messages queue, twins are served from the
// stored copy, desired patches are held back.
func (h *Hub) CutCloud() { h.upstream.setCut() }

// RestoreCloud mends the link: twins are brought up to date and the queue drains.
func (h *Hub) RestoreCloud() error {
	if err := h.upstream.restore(h.opts.Now()); err != nil {
		return fmt.Errorf("restore the cloud: %w", err)
	}
	h.wakeDevices()
	return h.syncTwins()
}

// awaitCloud waits for the link and says whether it came within the limit.
func (h *Hub) awaitCloud(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		h.upstream.mu.Lock()
		cut, mended := h.upstream.cut, h.upstream.mended
		h.upstream.mu.Unlock()
		if !cut {
			return true
		}
		select {
		case <-mended:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		case <-h.done:
			return false
		}
	}
}

// CloudCut says whether the link to the cloud is cut.
func (h *Hub) CloudCut() bool { return h.upstream.isCut() }
