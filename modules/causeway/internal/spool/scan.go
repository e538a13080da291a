package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// windowSize is read at a time: a page, for large entries are stepped over.
const windowSize = 4096

// scan reads the headers of a segment file. Where a header is damaged it looks for
// the next sound one: frames stand on multiples of eight, and an entry's header names
// its index under a CRC.
type scan struct {
	seg     *seg
	head    uint64 // the highest that an entry notes
	junk    bool   // there is something besides zeros
	damages []damage

	file   types.ReadableFile
	size   int64
	window [windowSize]byte
	from   int64 // where the window is; filled counts its bytes
	filled int

	commits [2]commit // the last two
}

// damage is what was lost with an entry, found before it was read.
type damage struct {
	index   uint64
	records int
}

// commit is a commit frame of the log: a CRC over everything since the last one.
type commit struct {
	end     int64
	sum     uint32
	entries int // before it
}

// scanFile reads the headers of a file. The newest one may have been torn by whatever
// ended the process. An error is the file system's.
func scanFile(files Files, dir, name string, base uint64, newest bool) (*scan, error) {
	size, err := files.Size(dir, name)
	if err != nil {
		return nil, err
	}
	f, err := files.OpenReader(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sc := &scan{seg: &seg{name: name, base: base, used: fileHead, disk: size}, file: f, size: size, from: -1}
	sc.run()
	if newest {
		sc.cutLoose()
	}
	sc.file = nil
	return sc, nil
}

// run walks the frames.
func (sc *scan) run() {
	sc.junk = !allZero(sc.at(0, fileHead))
	for at := int64(fileHead); at < sc.size; {
		b := sc.at(at, frameHead+headerSize)
		if h, ok := readHeader(b[min(frameHead, len(b)):]); ok && sc.plausible(h) {
			at = sc.entry(at, h)
			continue
		}
		if len(b) >= frameHead && b[0] == segment.FrameCommit && b[1]|b[2]|b[3] == 0 {
			at += frameHead
			sc.seg.used = at
			sc.commits[0] = sc.commits[1]
			sc.commits[1] = commit{at, binary.LittleEndian.Uint32(b[4:]), len(sc.seg.slots)}
			continue
		}
		next, empty := sc.resync(at)
		if !empty {
			sc.junk = true
			// The frame, or the one behind it if this was a commit.
			_ = sc.headless(at, next) || sc.headless(at+frameHead, next)
		}
		at = next
	}
}

// plausible says whether an entry can follow here; a file holds at most one for
// every frame.
func (sc *scan) plausible(h header) bool {
	return h.index >= sc.seg.end() && h.index-sc.seg.end() <= uint64(sc.size/(frameHead+headerSize))
}

// entry notes the entry in the frame at and returns where the next frame is.
func (sc *scan) entry(at int64, h header) int64 {
	for sc.seg.end() < h.index { // unreadable ones before it
		sc.damages = append(sc.damages, damage{index: sc.seg.end()})
		sc.seg.add(at, 0, 0, h.time)
	}
	sc.head = max(sc.head, h.head)
	sc.seg.add(at+frameHead, int64(h.size), int(h.count), h.time)
	at += frameHead + padded(int64(h.size))
	sc.seg.used = at
	return at
}

// headless notes an entry whose header is damaged, if any of its records is sound.
// Its frame is not asked how long it is, for that is in the same sector.
func (sc *scan) headless(at, next int64) bool {
	index := sc.seg.end()
	b := make([]byte, max(0, min(next-at-frameHead, entryLimit)))
	n, _ := sc.file.ReadAt(b, at+frameHead) //nolint:errcheck // what cannot be read is damaged
	records, lost := readRecords(nil, b[:n], index)
	if len(records) == 0 {
		return false // if something follows, that shows the gap
	}
	sc.damages = append(sc.damages, damage{index, lost})
	sc.seg.add(at+frameHead, int64(n), len(records), sc.seg.time)
	sc.seg.used = next
	return true
}

// cutLoose deals with what was being written last: entries behind the last commit, or
// under one whose CRC is wrong. They are kept up to the first that is not whole: with
// it begins what nobody was told is safe.
func (sc *scan) cutLoose() {
	last := sc.commits[1]
	from := last.entries
	if last.end > 0 && !sc.verify(sc.commits[0].end, last) {
		from = sc.commits[0].entries
	}
	for at := from; at < len(sc.seg.slots); at++ {
		if sl := sc.seg.slots[at]; !sc.whole(sl, sc.seg.base+uint64(at)) {
			sc.cut(sc.seg.base + uint64(at))
			sc.seg.used = max(fileHead, int64(sl.at)-frameHead)
		}
	}
}

// whole tells whether every record of an entry can be read.
func (sc *scan) whole(sl slot, index uint64) bool {
	b := make([]byte, min(int64(sl.size), max(0, sc.size-int64(sl.at))))
	n, err := sc.file.ReadAt(b, int64(sl.at))
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	if _, sound := readHeader(b[:n]); !sound {
		return false
	}
	_, lost := readRecords(nil, b[:n], index)
	return lost == 0
}

// cut forgets the entries from an index on, and what was wrong with them.
func (sc *scan) cut(from uint64) {
	sc.seg.cut(from)
	for len(sc.damages) > 0 && sc.damages[len(sc.damages)-1].index >= from {
		sc.damages = sc.damages[:len(sc.damages)-1]
	}
}

// verify checks a commit's CRC over what was written since the one before.
func (sc *scan) verify(from int64, c commit) bool {
	sum := uint32(0)
	buf := make([]byte, 64<<10)
	for end := c.end - frameHead; from < end; {
		n, err := sc.file.ReadAt(buf[:min(int64(len(buf)), end-from)], from)
		if n == 0 && err != nil {
			return false
		}
		sum = crc32.Update(sum, castagnoli, buf[:n])
		from += int64(n)
	}
	return sum == c.sum
}

// resync returns where the next frame of a sound entry is, behind the one that is not,
// or the end of the file, and whether there are only zeros before it.
func (sc *scan) resync(from int64) (next int64, empty bool) {
	empty = true
	for at := from; at < sc.size; {
		b := sc.at(at, windowSize)
		if len(b) == 0 {
			break
		}
		empty = empty && allZero(b)
		step := int64(len(b))
		if i := bytes.Index(b, magic); i >= 0 {
			step = int64(i+8) &^ 7
			start := at + int64(i) - frameHead
			h, sound := readHeader(sc.at(start+frameHead, headerSize))
			if sound && i%8 == 0 && start > from && sc.plausible(h) {
				return start, empty
			}
		}
		at += step
	}
	return sc.size, empty
}

// at returns up to n bytes of the file, fewer at its end; they are valid until the
// next call. What the disk cannot read counts as zeros.
func (sc *scan) at(off int64, n int) []byte {
	if off >= sc.size {
		return nil
	}
	want := int64(min(n, windowSize))
	want = min(want, sc.size-off)
	if sc.from < 0 || off < sc.from || off+want > sc.from+int64(sc.filled) {
		sc.from = off
		got, err := sc.file.ReadAt(sc.window[:], off)
		if err != nil && !errors.Is(err, io.EOF) {
			clear(sc.window[:])
			got = int(min(windowSize, sc.size-off))
		}
		sc.filled = got
	}
	b := sc.window[off-sc.from : sc.filled]
	return b[:min(int64(len(b)), want)]
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
