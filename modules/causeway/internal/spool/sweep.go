package spool

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	suffix = ".wal"
	// asideSuffix marks what could not be read whole.
	asideSuffix = ".damaged"
	// asideMost is how many such files are kept, for whoever wants to look into them.
	asideMost = 4
)

// sweepLoop gives space back and notes progress until Close.
func (s *Spool) sweepLoop() {
	defer close(s.done)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
			s.writing.Lock()
			s.deleteDone(false)
			s.writing.Unlock()
		case <-tick.C:
			s.sweep(false)
		}
	}
}

// sweep deletes what is delivered, the tail too when nothing came since the last
// sweep or nothing will come any more, and otherwise notes how far delivery is.
func (s *Spool) sweep(last bool) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	idle := last || s.idle == s.next
	s.idle = s.next
	s.mu.Unlock()
	s.deleteDone(idle)
	s.mark()
}

// deleteDone deletes delivered segments from the oldest on. One that is delivered
// before an older one waits for it, so that a gap between files is a loss.
func (s *Spool) deleteDone(withTail bool) {
	for {
		s.mu.Lock()
		var g *seg
		if len(s.segs) > 0 && s.segs[0].left == 0 {
			g = s.segs[0]
		}
		s.mu.Unlock()
		isTail := g != nil && s.tail != nil && g == s.tail.seg
		if g == nil || isTail && !withTail {
			return
		}
		if isTail {
			s.tail.w.Close()
			s.tail = nil
		}
		if s.remove(g) != nil {
			return // the next sweep tries again
		}
	}
}

// remove deletes a segment's file, or sets it aside, and then forgets it.
func (s *Spool) remove(g *seg) error {
	s.reading.Lock()
	if s.openOf == g {
		s.closeReader() // an open file keeps its space
	}
	s.reading.Unlock()
	s.mu.Lock()
	g.doomed = true
	damaged := g.damaged
	s.mu.Unlock()
	var err error
	if damaged {
		err = s.setAside(g.name)
	} else {
		err = s.opts.Files.Delete(s.opts.Dir, g.name)
	}
	if err != nil {
		err = fmt.Errorf("spool: delete segment: %w", err)
		s.report(err)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs = slices.DeleteFunc(s.segs, func(other *seg) bool { return other == g })
	s.stats.Disk -= g.disk
	s.stats.Full = false
	return nil
}

// setAside renames a file that could not be read whole and deletes the oldest of
// these beyond asideMost.
func (s *Spool) setAside(name string) error {
	if err := s.opts.Files.Rename(s.opts.Dir, name, name+asideSuffix); err != nil {
		return err
	}
	names, err := s.opts.Files.ListDir(s.opts.Dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, suffix+asideSuffix) })
	slices.Sort(names)
	for len(names) > asideMost {
		if err := s.opts.Files.Delete(s.opts.Dir, names[0]); err != nil {
			return err
		}
		names = names[1:]
	}
	return nil
}

// mark notes on disk how far delivery is, unless the oldest file says it by
// beginning there: an entry without records.
func (s *Spool) mark() {
	s.mu.Lock()
	noted := s.first <= s.marked || len(s.segs) == 0 || s.first <= s.segs[0].base
	s.mu.Unlock()
	if noted || time.Now().Before(s.retry) {
		return
	}
	entries := [][][]byte{nil}
	need := frameHead + frameHead + padded(headerSize)
	err := s.makeTail(need, len(entries), false)
	if err == nil {
		_, err = s.write(entries)
	}
	if err != nil && !errors.Is(err, ErrFull) { // a full spool gives segments back instead
		s.failed(err)
	}
}
