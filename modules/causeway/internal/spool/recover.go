package spool

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// recover finds the segments of an earlier life. Nothing is appended to them.
func (s *Spool) recover() error {
	infos, err := s.segmentFiles()
	if err != nil {
		return err
	}
	head, whole := uint64(1), false // whether there may be no gap before the next file
	for i, info := range infos {
		s.nextID = max(s.nextID, info.ID)
		name := segment.FileName(info)
		newest := i+1 == len(infos)
		sc, err := scanFile(s.opts.Files, s.opts.Dir, name, info.BaseIndex, newest)
		if err != nil {
			s.opts.Observer.Damaged(name, 0, err)
			whole = false
			continue
		}
		emptyIsFine := newest
		if !newest {
			// What stands here under the next file's indexes was never acknowledged: that
			// file was begun because writing this one failed.
			sc.cut(infos[i+1].BaseIndex)
			emptyIsFine = infos[i+1].BaseIndex == info.BaseIndex
		}
		if whole {
			s.reportGap(sc.seg, head)
		}
		whole = true
		s.reportScan(sc, emptyIsFine)
		head = max(head, sc.head)
		s.segs = append(s.segs, sc.seg)
		s.next = max(s.next, sc.seg.base, sc.seg.end())
	}
	if len(infos) > 0 {
		s.secure(segment.FileName(infos[len(infos)-1]))
	}
	s.resume(head)
	return nil
}

// secure syncs the file that was written last. What a killed process left in memory of
// the system is found and delivered; it shall not be gone after a power failure while
// later entries are there. Where that fails, as on a read-only disk, nothing is lost.
func (s *Spool) secure(name string) {
	f, err := s.opts.Files.OpenWriter(s.opts.Dir, name)
	if err != nil {
		return
	}
	_ = f.Sync()
	f.Close()
}

// segmentFiles returns what the directory holds, in order.
func (s *Spool) segmentFiles() ([]types.SegmentInfo, error) {
	names, err := s.opts.Files.ListDir(s.opts.Dir)
	if err != nil {
		return nil, err
	}
	var infos []types.SegmentInfo
	for _, name := range names {
		var info types.SegmentInfo
		_, err := fmt.Sscanf(name, "%020d-%016x"+suffix, &info.BaseIndex, &info.ID)
		if err == nil && info.BaseIndex > 0 && name == segment.FileName(info) {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b types.SegmentInfo) int {
		return cmp.Or(cmp.Compare(a.BaseIndex, b.BaseIndex), cmp.Compare(a.ID, b.ID))
	})
	return infos, nil
}

// reportGap tells of entries that are in no file: segments were removed by others.
func (s *Spool) reportGap(g *seg, head uint64) {
	if from := max(s.next, head); g.base > from {
		s.opts.Observer.Damaged(fmt.Sprintf("entries %d to %d, their files are missing", from, g.base-1), 0, ErrDamaged)
	}
}

// reportScan tells of what was found damaged in a file. A file without entries is
// nothing to report when the first write to it may have been torn or have failed.
func (s *Spool) reportScan(sc *scan, emptyIsFine bool) {
	if len(sc.seg.slots) == 0 && sc.junk && !emptyIsFine {
		sc.seg.damaged = true
		s.opts.Observer.Damaged(sc.seg.name, 0, ErrDamaged)
	}
	for _, d := range sc.damages {
		sc.seg.damaged = true
		s.stats.Damaged += uint64(d.records)
		s.opts.Observer.Damaged(fmt.Sprintf("entry %d in %s", d.index, sc.seg.name), d.records, ErrDamaged)
	}
}

// resume takes up delivery at the head that the newest entries noted.
func (s *Spool) resume(head uint64) {
	now := time.Now()
	for _, g := range s.segs {
		g.anchor(now)
		for at := range g.slots {
			if sl := &g.slots[at]; g.base+uint64(at) < head && sl.state != slotDone {
				sl.state = slotDone
				g.left--
			}
			s.admit(g.slots[at])
		}
		s.stats.Disk += g.disk
		if g.left > 0 {
			s.trim(g)
		}
	}
	s.first, s.marked = head, head
	s.advance()
	s.signal()
}
