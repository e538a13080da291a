package spool

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

const (
	// fileHead and frameHead are raft-wal's (segment/format.go); frames are padded to
	// multiples of eight.
	fileHead, frameHead = 32, 8
	// pauseFirst and pauseMost bound how often a failing disk is tried.
	pauseFirst = 100 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// Append writes entries, each a list of records, under ascending indexes from first,
// with one sync for all. When it returns nil they are on disk. With any error none of
// them counts: ErrFull, ErrTooLarge and ErrClosed leave no trace, after another one
// some may be found by the next Open. A failing disk is left alone for 100 ms to 5 s,
// then the next Append tries a new segment. The records are borrowed.
func (s *Spool) Append(entries [][][]byte) (first uint64, err error) { return s.append(entries, false) }

// append is Append. Entries that are moved make room by that, so they may use what is spare, and
// go over a bound that was lowered.
func (s *Spool) append(entries [][][]byte, moved bool) (first uint64, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	need, err := s.measure(entries)
	if err != nil {
		if errors.Is(err, ErrTooLarge) {
			s.noteFull(true)
		}
		return 0, err
	}
	if wait := time.Until(s.retry); wait > 0 {
		return 0, fmt.Errorf("not tried for another %v: %w", wait.Round(time.Millisecond), s.lastError())
	}
	for {
		err = s.makeTail(need, len(entries), moved)
		if !errors.Is(err, ErrFull) || s.opts.Full != DropOldest || !s.dropOldest() {
			break
		}
	}
	s.noteFull(errors.Is(err, ErrFull))
	if errors.Is(err, ErrFull) {
		return 0, fmt.Errorf("spool: %w: %d bytes", ErrFull, s.opts.Bytes)
	}
	if err == nil {
		first, err = s.write(entries)
	}
	if err != nil {
		s.failed(err)
		return 0, fmt.Errorf("spool: %w", err)
	}
	s.pause = 0
	s.report(nil)
	return first, nil
}

func (s *Spool) noteFull(full bool) {
	s.mu.Lock()
	s.stats.Full = full
	s.mu.Unlock()
}

// measure returns how many bytes entries take in a segment, with frames and commit.
func (s *Spool) measure(entries [][][]byte) (int64, error) {
	need := int64(frameHead)
	for _, records := range entries {
		size := int64(encodedSize(records))
		need += frameHead + padded(size)
		if size > entryLimit || need > s.opts.Bytes-fileHead-indexFrame(len(entries)) || need > math.MaxInt32/2 {
			return 0, fmt.Errorf("spool: append %d bytes: %w", need, ErrTooLarge)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	return need, nil
}

func padded(size int64) int64 { return (size + 7) &^ 7 }

// indexFrame is the room that raft-wal's writer wants to have left for its index:
// with less it ends the segment.
func indexFrame(entries int) int64 { return frameHead + padded(int64(entries)*4) }

// makeTail sees to a tail that has room: the present one or a new segment, if the
// bound allows it, or it is over it for a while.
func (s *Spool) makeTail(need int64, entries int, over bool) error {
	if s.tail != nil {
		if s.tail.used+need+indexFrame(len(s.tail.slots)+entries) <= s.tail.limit {
			return nil
		}
		if err := s.endTail(); err != nil {
			return err
		}
	}
	limit := max(s.segmentLimit(), fileHead+need+indexFrame(entries))
	most := s.opts.Bytes
	if s.spare {
		most -= s.segmentLimit()
	}
	if s.diskUsed()+limit > most {
		s.deleteDone(false)
		if s.diskUsed()+limit > most && !over {
			return ErrFull
		}
	}
	s.mu.Lock()
	base := s.next
	s.mu.Unlock()
	s.nextID++
	info := types.SegmentInfo{
		ID: s.nextID, BaseIndex: base, MinIndex: base, SizeLimit: uint32(limit), CreateTime: time.Now(),
	}
	w, err := s.filer.Create(info)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	g := &seg{name: segment.FileName(info), base: base, used: fileHead, disk: limit}
	s.tail = &tail{seg: g, w: w, limit: limit}
	s.mu.Lock()
	s.segs = append(s.segs, g)
	s.stats.Disk += limit
	s.mu.Unlock()
	return nil
}

// segmentLimit is the length of a segment file.
func (s *Spool) segmentLimit() int64 {
	return min(int64(s.opts.SegmentBytes), s.opts.Bytes/segmentsLeast)
}

func (s *Spool) diskUsed() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Disk
}

// write puts entries into the tail, which has room.
func (s *Spool) write(entries [][][]byte) (first uint64, err error) {
	now := time.Now()
	s.mu.Lock()
	h := header{index: s.next, head: s.first, time: now}
	s.mu.Unlock()
	first = h.index
	size := 0
	for _, records := range entries {
		size += encodedSize(records)
	}
	s.encoded = slices.Grow(s.encoded[:0], size)
	s.batch = s.batch[:0]
	for _, records := range entries {
		from := len(s.encoded)
		s.encoded = appendEntry(s.encoded, h, records)
		s.batch = append(s.batch, types.LogEntry{Index: h.index, Data: s.encoded[from:]})
		h.index++
	}
	if err := s.tail.w.Append(s.batch); err != nil {
		return 0, fmt.Errorf("write segment: %w", err)
	}
	s.written(entries, now)
	s.marked = h.head
	if cap(s.encoded) > s.opts.SegmentBytes { // an outsized call is no reason to keep its memory
		s.encoded = nil
	}
	return first, nil
}

// written notes entries that are on disk.
func (s *Spool) written(entries [][][]byte, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.tail.seg
	for i, records := range entries {
		size := int64(len(s.batch[i].Data))
		g.add(g.used+frameHead, size, len(records), now)
		g.used += frameHead + padded(size)
		s.admit(g.slots[len(g.slots)-1])
		s.next++
	}
	g.used += frameHead // the commit
	s.stats.Disk += max(0, g.used-g.disk)
	g.disk = max(g.disk, g.used)
	s.advance()
}

// endTail closes the tail and gives back what it has reserved and not used.
func (s *Spool) endTail() error {
	t := s.tail
	if t == nil {
		return nil
	}
	s.tail = nil
	err := t.w.Close()
	s.trim(t.seg)
	if err != nil {
		return fmt.Errorf("end segment: %w", err)
	}
	return nil
}

// trim cuts a file behind its last entry. Where that fails it merely stays long.
func (s *Spool) trim(g *seg) {
	if g.used >= g.disk || s.opts.Files.Truncate(s.opts.Dir, g.name, g.used) != nil {
		return
	}
	s.mu.Lock()
	s.stats.Disk -= g.disk - g.used
	g.disk = g.used
	s.mu.Unlock()
}

// dropOldest gives up the oldest segment of which nothing is being delivered; false
// when there is none.
func (s *Spool) dropOldest() bool {
	s.mu.Lock()
	var victim *seg
	records := 0
	for _, g := range s.segs {
		if g.flying == 0 && !g.doomed && (s.tail == nil || g != s.tail.seg) {
			victim = g
			break
		}
	}
	if victim != nil {
		for at, sl := range victim.slots {
			if sl.state != slotDone {
				records += int(sl.records)
				s.finish(victim, at)
			}
		}
		s.stats.Dropped += uint64(records)
	}
	s.mu.Unlock()
	if records > 0 {
		s.opts.Observer.Dropped(records)
	}
	return victim != nil && s.remove(victim) == nil
}

// failed ends the tail after a write that failed: what is on disk behind its last
// good entry is unknown, so nothing is written there any more.
func (s *Spool) failed(err error) {
	err = fmt.Errorf("spool: %w", errors.Join(err, s.endTail()))
	s.pause = min(max(2*s.pause, pauseFirst), pauseMost)
	s.retry = time.Now().Add(s.pause)
	s.report(err)
}

// report notes and tells that the disk cannot be written or, with nil, that it can.
func (s *Spool) report(err error) {
	s.mu.Lock()
	before := s.stats.Err
	s.stats.Err = err
	s.mu.Unlock()
	if before != nil || err != nil {
		s.opts.Observer.Failed(err)
	}
}

func (s *Spool) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Err
}
