package spool

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// commitMost bounds what is written with one sync, as the uplink does: a smaller spool
	// may have room for a part.
	commitMost = 512 << 10
	// moveEvery bounds how often entries are moved: it costs as much as they are long.
	moveEvery = 10 * time.Second
)

// movedMark begins a record before entries that were moved, with the name of their partition:
// what the partition has before it is void. Otherwise a crash, after which delivered entries may
// come again, would bring some of the old copies before the new ones. No caller's record begins
// so.
var movedMark = []byte("\xffmoved ")

// appending is a call of Partition.Append that waits for its sync.
type appending struct {
	part    *Partition
	entries [][][]byte
	first   uint64
	err     error
	// turn tells that the call is over (false), or that it is to write what is queued (true).
	turn chan bool
}

func (a *appending) size() (n int) {
	for _, records := range a.entries {
		n += encodedSize(records)
	}
	return n
}

// lead writes what is queued, the caller's own first, and then hands on to the next of the
// queue, so that nobody works for others for longer than for one sync.
func (p *Partitions) lead() {
	p.mu.Lock()
	n, size := 0, 0
	for _, a := range p.queue {
		if size += a.size(); n > 0 && size > commitMost {
			break
		}
		n++
	}
	batch := p.queue[:n:n]
	p.queue = p.queue[n:]
	p.mu.Unlock()
	p.commit(batch)
	p.unpin()
	p.mu.Lock()
	if p.leading = len(p.queue) > 0; p.leading {
		p.queue[0].turn <- true
	} else {
		p.queue = nil
	}
	p.mu.Unlock()
	for _, a := range batch[1:] { // the first is the caller
		a.turn <- false
	}
}

// commit writes a batch with one sync, or each by itself where there is no room for all.
func (p *Partitions) commit(batch []*appending) {
	var entries [][][]byte
	for _, a := range batch {
		entries = append(entries, a.entries...)
	}
	first, err := p.spool.Append(entries)
	if err != nil && len(batch) > 1 && (errors.Is(err, ErrFull) || errors.Is(err, ErrTooLarge)) {
		for _, a := range batch {
			p.commit([]*appending{a})
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range batch {
		if a.err = err; err != nil {
			continue
		}
		a.first = a.part.base + uint64(len(a.part.places))
		for _, records := range a.entries {
			a.part.add(first, int64(encodedSize(records)))
			first++
		}
	}
}

// unpin gives the space of delivered entries back that stand behind one which is not: the
// spool deletes segments from the oldest on. The partitions with entries in the oldest
// segment have all of theirs written anew at the end, in their order.
func (p *Partitions) unpin() {
	stats := p.spool.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	bound := p.spool.bound()
	if stats.Disk < bound/4*3 || stats.Bytes > stats.Disk/2 || time.Since(p.moved) < moveEvery {
		return
	}
	p.moved = time.Now()
	end := p.spool.oldestEnd()
	for name, part := range p.parts {
		part.trim()
		if len(part.places) == 0 || part.places[0].index >= end {
			continue
		}
		if err := p.move(name, part); err != nil {
			p.spool.report(fmt.Errorf("spool: move the entries of a device that cannot deliver: %w", err))
			return
		}
	}
}

// move writes all entries of a partition anew. It is called with mu held, and gives it
// back while the disk is used; nothing is appended meanwhile, since the caller leads.
func (p *Partitions) move(name string, part *Partition) error {
	base, places := part.base, slices.Clone(part.places)
	p.mu.Unlock()
	entries := [][][]byte{{append(slices.Clone(movedMark), name...)}}
	var old []int
	var err error
	for i, at := range places {
		var records [][]byte
		if at.index == 0 {
			continue
		}
		if records, err = p.peek(at.index); err != nil {
			break
		}
		if len(records) > 0 {
			entries, old = append(entries, clone(records)), append(old, i)
		}
	}
	first := uint64(0)
	if err == nil && len(old) > 0 {
		first, err = p.spool.Append(entries)
	}
	p.mu.Lock()
	if err != nil || len(old) == 0 {
		return err
	}
	p.spool.Done(first) // the mark: a crash brings it back with what is void
	for n, i := range old {
		moved := first + 1 + uint64(n)
		at := uint64(i) - (part.base - base) //nolint:gosec // checked below: it wraps to something large
		if at < uint64(len(part.places)) && part.places[at].index == places[i].index {
			part.places[at].index = moved
			p.spool.Done(places[i].index)
			continue
		}
		p.spool.Done(moved) // delivered meanwhile
	}
	return nil
}

// bound is the bytes of the segments together.
func (s *Spool) bound() int64 {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.opts.Bytes
}

// oldestEnd is the index behind the oldest segment's last.
func (s *Spool) oldestEnd() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segs) == 0 {
		return 0
	}
	return s.segs[0].end()
}
