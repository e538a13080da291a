package spool

import (
	"errors"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/spool/spooltest"
)

// A full batch of the hub: 350 records of 170 bytes.
const benchRecords, benchBytes = 350, 170

func TestAppendAndReadAllocateLittle(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates; counted without it")
		return
	}
	s := mustOpen(t, Options{Dir: "spool", Files: spooltest.New(), Bytes: 1 << 30, SegmentBytes: 256 << 20})
	entries := [][][]byte{batch(0, benchRecords, benchBytes)}
	mustAppend(t, s, entries...)
	// The disk in memory clones what is written and raft-wal stores its index anew.
	const most = 8
	if n := testing.AllocsPerRun(100, func() { mustAppend(t, s, entries...) }); n > most {
		t.Errorf("append allocates %v times for %d records, at most %d", n, benchRecords, most)
	}
	if n := testing.AllocsPerRun(100, func() {
		if got, err := s.Read(1); err != nil || len(got) != benchRecords {
			t.Fatal(len(got), err)
		}
	}); n > 0 {
		t.Errorf("read allocates %v times", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir(), Bytes: 64 << 20, Full: DropOldest})
	entries := [][][]byte{batch(0, benchRecords, benchBytes)}
	b.SetBytes(benchRecords * benchBytes)
	b.ReportAllocs()
	for b.Loop() {
		mustAppend(b, s, entries...)
	}
	b.ReportMetric(float64(b.N*benchRecords)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAppendFourAtOnce(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir(), Bytes: 64 << 20, Full: DropOldest})
	one := batch(0, benchRecords, benchBytes)
	entries := [][][]byte{one, one, one, one}
	b.SetBytes(4 * benchRecords * benchBytes)
	b.ReportAllocs()
	for b.Loop() {
		mustAppend(b, s, entries...)
	}
	b.ReportMetric(float64(4*b.N*benchRecords)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkReadAndDone delivers from a spool of 46 MB, filled anew when it is empty.
func BenchmarkReadAndDone(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir(), Bytes: 64 << 20})
	entries := [][][]byte{batch(0, benchRecords, benchBytes)}
	index, last := uint64(1), uint64(0)
	b.SetBytes(benchRecords * benchBytes)
	b.ReportAllocs()
	for b.Loop() {
		if index > last {
			b.StopTimer()
			for range 700 {
				var err error
				if last, err = s.Append(entries); err != nil && !errors.Is(err, ErrFull) {
					b.Fatal(err)
				} else if err != nil {
					_, last = s.Bounds()
					break
				}
			}
			b.StartTimer()
		}
		got, err := s.Read(index)
		for ; err == nil && len(got) == 0 && index <= last; index++ { // a note of the sweeper's
			got, err = s.Read(index + 1)
		}
		if err != nil || len(got) != benchRecords {
			b.Fatal(index, len(got), err)
		}
		s.Done(index)
		index++
	}
	b.ReportMetric(float64(b.N*benchRecords)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkOpen finds 100,000 records in 286 entries.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	fillDir(b, dir, 286, benchRecords)
	b.ReportAllocs()
	for b.Loop() {
		reopen(b, dir)
	}
}

// BenchmarkOpenSmallEntries finds 100,000 entries of one record.
func BenchmarkOpenSmallEntries(b *testing.B) {
	dir := b.TempDir()
	fillDir(b, dir, 100_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		reopen(b, dir)
	}
}

func fillDir(b *testing.B, dir string, entries, records int) {
	b.Helper()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	var all [][][]byte
	for i := range entries {
		if all = append(all, batch(0, records, benchBytes)); len(all) == 64 || i+1 == entries {
			mustAppend(b, s, all...)
			all = nil
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func reopen(b *testing.B, dir string) {
	b.Helper()
	begun := time.Now()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, "ms/open")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
