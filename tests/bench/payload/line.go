package payload

import (
	"fmt"
)

// lineSize is what a line has with its line feed: the size that the peers were measured with.
const lineSize = 120

// base is added to a line's number, which keeps it at ten digits.
const base = 1_000_000_000

// The parts of a document between its values; the last fills the line.
const (
	partID   = `{"id":"`
	partSeq  = `","seq":`
	partTime = `,"t":`
	partRest = `,"temperature":21.5,"state":"running","battery":"full"}`
	idSize   = 8
	seqSize  = 10
	timeSize = 19
	seqAt    = len(partID) + idSize + len(partSeq)
	timeAt   = seqAt + seqSize + len(partTime)
)

func lineID(n int) string { return fmt.Sprintf("d%07d", n) }

// appendDocument appends lineSize-1 bytes.
func appendDocument(dst []byte, id string, number uint32, now int64) []byte {
	start := len(dst)
	dst = append(dst, partID...)
	dst = append(dst, id...)
	dst = append(dst, partSeq...)
	dst = appendDigits(dst, uint64(number)+base, seqSize)
	dst = append(dst, partTime...)
	dst = appendDigits(dst, uint64(now), timeSize) //nolint:gosec // the time is after 1970
	dst = append(dst, partRest...)
	// The filler is the last value's: spaces inside its quotes would do, but digits are dearer to scan.
	for len(dst)-start < lineSize-1 {
		dst = append(dst[:len(dst)-2], `0"}`...)
	}
	return dst
}

// appendDigits writes v with exactly n digits.
func appendDigits(dst []byte, v uint64, n int) []byte {
	at := len(dst)
	dst = append(dst, "00000000000000000000"[:n]...)
	for i := at + n - 1; i >= at; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}
