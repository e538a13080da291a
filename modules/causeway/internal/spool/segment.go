package spool

import (
	"math"
	"slices"
	"time"
)

// slot is what is known of an entry: 20 bytes, so that a spool full of small
// entries is known in a few megabytes.
type slot struct {
	at      uint32 // where the entry's frame payload starts in the file
	size    uint32
	records uint32
	age     uint32 // milliseconds after the segment's time
	state   slotState
}

type slotState uint8

const (
	slotWaits  slotState = iota
	slotFlying           // read, not done
	slotDone
)

// seg is a segment file and its entries. Guarded by Spool.mu, but for what never
// changes: name, base.
type seg struct {
	name    string
	base    uint64 // index of slots[0]
	time    time.Time
	slots   []slot
	left    int   // slots that are not done
	flying  int   // of these, read
	used    int64 // end of the last entry's frame
	disk    int64 // length of the file
	damaged bool  // something in it was lost: it is set aside instead of deleted
	doomed  bool  // it is being deleted
}

// end is the index after the last entry.
func (g *seg) end() uint64 { return g.base + uint64(len(g.slots)) }

func (g *seg) timeOf(at int) time.Time {
	return g.time.Add(time.Duration(g.slots[at].age) * time.Millisecond)
}

// anchor ties the times of a segment that an earlier life has written to now, which
// runs on evenly, so that no step of the clock changes ages any more.
func (g *seg) anchor(now time.Time) {
	g.time = now.Add(-max(0, now.Round(0).Sub(g.time)))
}

// add notes an entry. One without records is done.
func (g *seg) add(at, size int64, records int, when time.Time) {
	if len(g.slots) == 0 {
		g.time = when
	}
	sl := slot{at: uint32(at), size: uint32(size), records: uint32(records)}
	sl.age = uint32(min(max(0, when.Sub(g.time).Milliseconds()), math.MaxUint32))
	if records == 0 {
		sl.state = slotDone
	} else {
		g.left++
	}
	g.slots = append(g.slots, sl)
}

// cut forgets the entries from an index on.
func (g *seg) cut(from uint64) {
	for g.end() > max(from, g.base) {
		last := g.slots[len(g.slots)-1]
		if last.state != slotDone {
			g.left--
		}
		g.slots = g.slots[:len(g.slots)-1]
	}
}

// find returns where an entry is, nil when it is nowhere.
func (s *Spool) find(index uint64) (*seg, int) {
	i, found := slices.BinarySearchFunc(s.segs, index, func(g *seg, index uint64) int {
		switch {
		case g.end() <= index:
			return -1
		case g.base > index:
			return 1
		default:
			return 0
		}
	})
	if !found {
		return nil, 0
	}
	return s.segs[i], int(index - s.segs[i].base)
}

// admit counts an entry that waits for delivery.
func (s *Spool) admit(sl slot) {
	if sl.state != slotDone {
		s.stats.Entries++
		s.stats.Records += int(sl.records)
		s.stats.Bytes += int64(sl.size)
	}
}

// finish marks an entry done, however that came, and moves the head on.
func (s *Spool) finish(g *seg, at int) {
	sl := &g.slots[at]
	if sl.state == slotDone {
		return
	}
	if sl.state == slotFlying {
		g.flying--
	}
	sl.state = slotDone
	g.left--
	s.stats.Entries--
	s.stats.Records -= int(sl.records)
	s.stats.Bytes -= int64(sl.size)
	s.advance()
	if g.left == 0 {
		s.signal()
	}
}

// advance moves the head to the oldest entry that is not done.
func (s *Spool) advance() {
	for _, g := range s.segs {
		if g.left == 0 || g.end() <= s.first {
			continue
		}
		from := max(s.first, g.base)
		for at := int(from - g.base); at < len(g.slots); at++ {
			if g.slots[at].state != slotDone {
				s.first = g.base + uint64(at)
				return
			}
		}
	}
	s.first = s.next
}

// Done tells that an entry is delivered or given up by the caller, in any order. Its
// space comes back with its segment's. Unknown indexes are ignored.
func (s *Spool) Done(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, at := s.find(index); g != nil {
		s.finish(g, at)
	}
}

func (s *Spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
