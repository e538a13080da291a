package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// readTries is how often an entry may be unreadable before it is given up. What
// passes, like too many open files, passes within that many of the caller's pauses.
const readTries = 20

// Read returns the records of an entry, valid until the next Read, and takes the
// entry for being delivered until it is Done. Damaged records are left out and
// reported. No records and no error mean that there is nothing to deliver under this
// index: delivered, dropped, or lost and reported. An error means that the entry
// cannot be read now; after 20 in a row it is given up as damaged.
func (s *Spool) Read(index uint64) (records [][]byte, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	g, at := s.find(index)
	if s.closed || g == nil || g.slots[at].state == slotDone {
		defer s.mu.Unlock()
		if s.closed {
			return nil, ErrClosed
		}
		return nil, nil
	}
	if g.slots[at].state == slotWaits {
		g.slots[at].state = slotFlying
		g.flying++
	}
	sl := g.slots[at]
	s.mu.Unlock()

	b, err := s.readEntry(g, sl)
	if errors.Is(err, os.ErrNotExist) {
		s.lostFile(g, err)
		return nil, nil
	}
	if s.tries++; err != nil && s.tries < readTries {
		s.land(g, at)
		return nil, fmt.Errorf("spool: read entry %d: %w", index, err)
	}
	s.tries = 0
	s.records, _ = readRecords(s.records[:0], b, index)
	if len(s.records) < int(sl.records) {
		if err == nil {
			err = ErrDamaged
		}
		s.lost(g, at, len(s.records), err)
	}
	return slices.Clip(s.records), nil
}

// readEntry reads the bytes of an entry; fewer when the file is too short.
func (s *Spool) readEntry(g *seg, sl slot) ([]byte, error) {
	if s.openOf != g {
		s.closeReader()
		f, err := s.opts.Files.OpenReader(s.opts.Dir, g.name)
		if err != nil {
			return nil, err
		}
		s.open, s.openOf = f, g
	}
	s.buf = slices.Grow(s.buf[:0], int(sl.size))[:sl.size]
	n, err := s.open.ReadAt(s.buf, int64(sl.at))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil {
		s.closeReader()
	}
	return s.buf[:n], err
}

func (s *Spool) closeReader() {
	if s.open != nil {
		s.open.Close()
	}
	s.open, s.openOf = nil, nil
}

// land takes back that an entry is being delivered.
func (s *Spool) land(g *seg, at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.slots[at].state == slotFlying {
		g.slots[at].state = slotWaits
		g.flying--
	}
}

// lost gives up what of an entry cannot be read, and says so once.
func (s *Spool) lost(g *seg, at, sound int, why error) {
	s.mu.Lock()
	sl := &g.slots[at]
	gone := int(sl.records) - sound
	if sl.state == slotDone { // dropped meanwhile
		s.mu.Unlock()
		return
	}
	g.damaged = true
	s.stats.Damaged += uint64(gone)
	s.stats.Records -= gone
	sl.records = uint32(sound)
	if sound == 0 {
		s.finish(g, at)
	}
	s.mu.Unlock()
	s.opts.Observer.Damaged(fmt.Sprintf("entry %d in %s", g.base+uint64(at), g.name), gone, why)
}

// lostFile gives up all entries of a file that is gone.
func (s *Spool) lostFile(g *seg, why error) {
	gone := 0
	s.mu.Lock()
	for at, sl := range g.slots {
		if sl.state != slotDone {
			gone += int(sl.records)
			s.finish(g, at)
		}
	}
	s.stats.Damaged += uint64(gone)
	s.mu.Unlock()
	s.opts.Observer.Damaged(g.name, gone, why)
}
