package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"
)

// An entry on disk is the payload of one frame of the log:
//
//	header   magic and version 4, count 4, size 4, crc 4, index 8, head 8, time 8
//	records  length 4, crc of the bytes 4, crc of these two 4, the bytes; count times
//
// All little endian, all CRC-32C. The log does not check what it reads back, so
// every part answers for itself: a damaged record costs itself, a damaged record
// header is stepped over by looking for the next good one, and a damaged entry
// header leaves the records readable. The CRCs are seeded with the index and the
// place, so that bytes of another entry, or of an earlier life of the same disk
// blocks, are never taken for this one's.
const (
	headerSize = 40
	recordSize = 12 // of a record's header
	// entryLimit is raft-wal's bound for an entry (segment.MaxEntrySize).
	entryLimit = 64 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// magic ends with the version. Its first byte is no frame type of the log, so that a
	// scan of the log stops at a stray entry.
	magic = []byte{0xC5, 'S', 'P', 1}
)

// header is the decoded head of an entry.
type header struct {
	count uint32 // of records
	size  uint32 // of the entry, header included
	index uint64
	head  uint64 // the oldest index that was not done when the entry was written
	time  time.Time
}

// encodedSize returns how many bytes appendEntry adds.
func encodedSize(records [][]byte) int {
	n := headerSize
	for _, r := range records {
		n += recordSize + len(r)
	}
	return n
}

// appendEntry encodes an entry; records fit into entryLimit.
func appendEntry(dst []byte, h header, records [][]byte) []byte {
	from := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(records)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(encodedSize(records)))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.index)
	dst = binary.LittleEndian.AppendUint64(dst, h.head)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.time.UnixNano()))
	binary.LittleEndian.PutUint32(dst[from+12:], headerSum(dst[from:]))
	for _, r := range records {
		at := len(dst)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r)))
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(r, castagnoli))
		dst = binary.LittleEndian.AppendUint32(dst, recordSum(dst[at:], h.index, at-from))
		dst = append(dst, r...)
	}
	return dst
}

// headerSum covers the header without the sum itself.
func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

// recordSum covers a record's length and CRC, and where they stand.
func recordSum(b []byte, index uint64, at int) uint32 {
	seed := uint32(index)*0x9E3779B1 ^ uint32(index>>32) ^ uint32(at)*0x85EBCA77
	return crc32.Update(seed, castagnoli, b[:8])
}

// readHeader decodes the head of an entry, false when it is none or damaged.
func readHeader(b []byte) (header, bool) {
	if len(b) < headerSize || !bytes.Equal(b[:4], magic) ||
		binary.LittleEndian.Uint32(b[12:]) != headerSum(b) {
		return header{}, false
	}
	h := header{
		count: binary.LittleEndian.Uint32(b[4:]),
		size:  binary.LittleEndian.Uint32(b[8:]),
		index: binary.LittleEndian.Uint64(b[16:]),
		head:  binary.LittleEndian.Uint64(b[24:]),
		time:  time.Unix(0, int64(binary.LittleEndian.Uint64(b[32:]))),
	}
	sound := h.size >= headerSize && h.size <= entryLimit &&
		h.index > 0 && h.index < math.MaxUint64 && h.head <= h.index &&
		uint64(h.count)*recordSize <= uint64(h.size)-headerSize
	return h, sound
}

// readRecords appends the sound records of an entry to dst and returns how many
// are lost; an unreadable stretch counts once when the header is unreadable too.
// The records are parts of b. An index other than the entry's own gives nothing.
func readRecords(dst [][]byte, b []byte, index uint64) (records [][]byte, lost int) {
	h, known := readHeader(b)
	if known {
		if h.index != index {
			return dst, 0
		}
		b = b[:min(len(b), int(h.size))]
	}
	before, at := len(dst), headerSize
	for at+recordSize <= len(b) {
		n, sound := recordAt(b, index, at)
		if !sound {
			lost++
			if at = nextRecord(b, index, at+1); at < 0 {
				break
			}
			continue
		}
		end := at + recordSize + n
		r := b[at+recordSize : end : end]
		if crc32.Checksum(r, castagnoli) == binary.LittleEndian.Uint32(b[at+4:]) {
			dst = append(dst, r)
		} else {
			lost++
		}
		at = end
	}
	if known {
		lost = max(0, int(h.count)-(len(dst)-before))
	}
	return dst, lost
}

// recordAt returns the length of the record whose header stands there.
func recordAt(b []byte, index uint64, at int) (n int, sound bool) {
	h := b[at : at+recordSize]
	if binary.LittleEndian.Uint32(h[8:]) != recordSum(h, index, at) {
		return 0, false
	}
	length := binary.LittleEndian.Uint32(h)
	return int(length), uint64(length) <= uint64(len(b)-at-recordSize)
}

// nextRecord finds the next sound record header, -1 when there is none.
func nextRecord(b []byte, index uint64, from int) int {
	for at := from; at+recordSize <= len(b); at++ {
		if _, sound := recordAt(b, index, at); sound {
			return at
		}
	}
	return -1
}
