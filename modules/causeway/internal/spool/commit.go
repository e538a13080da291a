package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// commitMost bounds what is written with one sync, as the uplink does: a smaller spool may have
// room for a part.
const commitMost = 512 << 10

// movedMark begins the first record of an entry that was moved, before the index that the entry had
// first. No caller's record begins so.
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
	p.unpin()
	p.commit(batch)
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
// spool deletes segments from the oldest on. What is left in the oldest is written anew at the
// end, of all partitions together. It is called by who leads, so nothing is appended meanwhile.
func (p *Partitions) unpin() {
	from, to := p.spool.pinned()
	left := p.within(from, to)
	for len(left) > 0 {
		n, size := 0, int64(0)
		for n < len(left) && (n == 0 || size+left[n].bytes <= commitMost) {
			size += left[n].bytes
			n++
		}
		if err := p.move(left[:n]); err != nil {
			p.spool.report(fmt.Errorf("spool: move the entries of devices that cannot deliver: %w", err))
			return
		}
		left = left[n:]
	}
	if from < to {
		p.spool.giveBack()
	}
}

// resident is an entry of a partition.
type resident struct {
	part *Partition
	at   uint64 // its index in the partition
	place
}

// within lists the entries that stand in a part of the spool.
func (p *Partitions) within(from, to uint64) (list []resident) {
	if from >= to {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range p.parts {
		for i, at := range part.places {
			if from <= at.index && at.index < to {
				list = append(list, resident{part, part.base + uint64(i), at}) //nolint:gosec // a count
			}
		}
	}
	slices.SortFunc(list, func(a, b resident) int { return cmp.Compare(a.index, b.index) })
	return list
}

// move writes entries anew, each marked with the index that it had first, by which the next life
// finds its place among the others.
func (p *Partitions) move(list []resident) error {
	var entries [][][]byte
	var moved []resident
	for _, r := range list {
		records, err := p.peek(r.index)
		if err != nil {
			return err
		}
		began, records := unmark(r.index, records)
		if len(records) == 0 {
			continue // delivered meanwhile, or lost
		}
		entries = append(entries, append([][]byte{mark(began)}, clone(records)...))
		moved = append(moved, r)
	}
	if len(entries) == 0 {
		return nil
	}
	first, err := p.spool.append(entries, true)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, r := range moved {
		anew := first + uint64(n) //nolint:gosec // a count
		i, places := r.at-r.part.base, r.part.places
		if r.at < r.part.base || i >= uint64(len(places)) || places[i].index != r.index { // delivered meanwhile
			p.spool.Done(anew)
			continue
		}
		places[i].index = anew
		p.spool.Done(r.index)
	}
	return nil
}

// mark is the record before those of an entry that was moved.
func mark(began uint64) []byte { return binary.BigEndian.AppendUint64(slices.Clone(movedMark), began) }

// unmark returns the index that an entry had first, and its records without the mark.
func unmark(index uint64, records [][]byte) (began uint64, rest [][]byte) {
	if len(records) == 0 {
		return index, nil
	}
	text, moved := bytes.CutPrefix(records[0], movedMark)
	if !moved || len(text) != 8 {
		return index, records
	}
	return binary.BigEndian.Uint64(text), records[1:]
}

// keepRoom has Append leave room for a segment, so that entries can always be moved.
func (s *Spool) keepRoom() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.spare = true
}

// pinned is the oldest segment, from its first index to that after its last, when the bound is
// near and much of the disk is delivered entries; none otherwise. All segments that stand behind
// it have their turn before it has one again, so what is written anew is at most three times what
// becomes free.
func (s *Spool) pinned() (from, to uint64) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.deleteDone(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	unused := int64(0)
	if s.tail != nil {
		unused = s.tail.disk - s.tail.used
	}
	full := s.stats.Disk+s.segmentLimit() > s.opts.Bytes/4*3
	gone := s.stats.Disk - unused - s.stats.Bytes
	if !full || gone < s.stats.Disk/4 || len(s.segs) < 2 {
		return 0, 0
	}
	return s.segs[0].base, s.segs[0].end()
}

// giveBack deletes what is delivered at the beginning.
func (s *Spool) giveBack() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.deleteDone(false)
}
