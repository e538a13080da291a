package spool

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/spool/spooltest"
)

// written fills a disk with segments of two calls of Append, three records of 60
// bytes each, and ends without noting what is delivered. It returns the records.
func written(t *testing.T, calls int) (*spooltest.Disk, [][]byte) {
	t.Helper()
	disk := spooltest.New()
	s := quiet(t, disk, nil)
	var all [][]byte
	for i := range calls {
		if i > 0 && i%2 == 0 {
			if err := s.endTail(); err != nil {
				t.Fatal(err)
			}
		}
		mustAppend(t, s, batch(3*i, 3, 60))
		all = append(all, batch(3*i, 3, 60)...)
	}
	if err := s.endTail(); err != nil {
		t.Fatal(err)
	}
	disk.Kill()
	return disk, all
}

// quiet opens a spool without a sweeper.
func quiet(tb testing.TB, disk *spooltest.Disk, heard Observer) *Spool {
	tb.Helper()
	s, err := open(Options{Dir: "spool", Files: disk, Bytes: leastBytes, SegmentBytes: 4096, Observer: heard})
	if err != nil {
		tb.Fatal(err)
	}
	close(s.done)
	return s
}

// missing returns which of the wanted records were not got, and fails when something
// else was got or the order is another.
func missing(t *testing.T, got, want [][]byte) (gone []int) {
	t.Helper()
	for i, w := range want {
		if len(got) > 0 && bytes.Equal(got[0], w) {
			got = got[1:]
		} else {
			gone = append(gone, i)
		}
	}
	if len(got) > 0 {
		t.Fatalf("%.40q is out of order or invented", got[0])
	}
	return gone
}

// spoilers are what may happen to a file from an offset on.
var spoilers = map[string]func(b []byte, at int) []byte{
	"cut":          func(b []byte, at int) []byte { return b[:at] },
	"flipped":      func(b []byte, at int) []byte { b[at] ^= 0x41; return b },
	"zeros after":  func(b []byte, at int) []byte { clear(b[at:]); return b },
	"noise after":  func(b []byte, at int) []byte { return noise(b, at, len(b)) },
	"noise sector": func(b []byte, at int) []byte { return noise(b, at, min(len(b), at+64)) },
	"zero sector":  func(b []byte, at int) []byte { clear(b[at:min(len(b), at+64)]); return b },
}

func noise(b []byte, from, to int) []byte {
	x := uint32(from)*2654435761 + 1
	for i := from; i < to; i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func TestATornTailCostsOnlyItsOwnAppend(t *testing.T) {
	disk, all := written(t, 4)
	name := disk.Names()[1]
	size, _ := disk.Size("", name)
	last := int(size) - (frameHead + headerSize + 3*(recordSize+60) + frameHead) // where the last append begins
	for how, spoil := range spoilers {
		for at := last; at < int(size); at++ {
			disk := disk.Clone()
			disk.Change(name, func(b []byte) []byte { return spoil(b, at) })
			var heard reports
			s := quiet(t, disk, &heard)
			for _, i := range missing(t, readAll(t, s), all) {
				if i < 9 {
					t.Fatalf("%s at %d: record %d is gone", how, at, i)
				}
			}
			if len(heard.damaged) > 0 {
				t.Fatalf("%s at %d: reported %v", how, at, heard.damaged)
			}
			next := mustAppend(t, s, batch(12, 3, 60))
			if got, err := s.Read(next); err != nil || len(got) != 3 {
				t.Fatalf("%s at %d: what is appended then reads %d records, %v", how, at, len(got), err)
			}
		}
	}
}

func TestADamagedSegmentCostsOnlyWhatIsDamaged(t *testing.T) {
	const records = 3
	disk, all := written(t, 4)
	name := disk.Names()[0]
	size, _ := disk.Size("", name)
	for how, spoil := range spoilers {
		most := map[string]int{"flipped": 1, "noise sector": records, "zero sector": records}[how]
		for at := range int(size) {
			disk := disk.Clone()
			disk.Change(name, func(b []byte) []byte { return spoil(b, at) })
			var heard reports
			s := quiet(t, disk, &heard)
			gone := missing(t, readAll(t, s), all)
			if most > 0 && len(gone) > most {
				t.Fatalf("%s at %d: records %v are gone", how, at, gone)
			}
			if len(gone) > 0 && (gone[len(gone)-1] >= 6 || len(heard.damaged) == 0) {
				t.Fatalf("%s at %d: records %v are gone, reported %v", how, at, gone, heard.damaged)
			}
			if how == "flipped" && heard.lost != len(gone) {
				t.Fatalf("flipped at %d: %v are gone, reported %v", at, gone, heard.damaged)
			}
			if int(s.Stats().Damaged) != heard.lost || s.Stats().Records != len(all)-len(gone) {
				t.Fatalf("%s at %d: stats are %+v", how, at, s.Stats())
			}
		}
	}
}

func TestWhatIsDamagedIsSetAside(t *testing.T) {
	disk, _ := written(t, 16)
	for _, name := range disk.Names()[:6] {
		disk.Change(name, func(b []byte) []byte { b[fileHead+frameHead+headerSize+recordSize] ^= 1; return b })
	}
	var heard reports
	s := quiet(t, disk, &heard)
	if got := len(readAll(t, s)); got != 48-6 || len(heard.damaged) != 6 || heard.lost != 6 {
		t.Errorf("%d records, reported %v", got, heard.damaged)
	}
	readAll(t, s)
	if len(heard.damaged) != 6 {
		t.Errorf("reading again reports again: %v", heard.damaged)
	}
	first, last := s.Bounds()
	for i := first; i <= last; i++ {
		s.Done(i)
	}
	s.sweep(true)
	var want []string
	for _, base := range []int{5, 7, 9, 11} { // of six the newest four
		want = append(want, fmt.Sprintf("%020d-%016x.wal.damaged", base, base/2+1))
	}
	if got := disk.Names(); !slices.Equal(got, want) {
		t.Errorf("files are %v", got)
	}
}

func TestAMissingSegmentIsReportedAndSkipped(t *testing.T) {
	disk, all := written(t, 6)
	disk.Change(disk.Names()[1], func([]byte) []byte { return nil })
	var heard reports
	s := quiet(t, disk, &heard)
	if gone := missing(t, readAll(t, s), all); !slices.Equal(gone, []int{6, 7, 8, 9, 10, 11}) {
		t.Errorf("%v are gone", gone)
	}
	if len(heard.damaged) != 1 || !strings.Contains(heard.damaged[0], "entries 3 to 4") {
		t.Errorf("reported %v", heard.damaged)
	}
}

func TestASegmentMayVanishWhileTheSpoolIsOpen(t *testing.T) {
	disk, all := written(t, 6)
	var heard reports
	s := quiet(t, disk, &heard)
	disk.Change(disk.Names()[1], func([]byte) []byte { return nil })
	if gone := missing(t, readAll(t, s), all); len(gone) != 6 || heard.lost != 6 || len(heard.damaged) != 1 {
		t.Errorf("%v are gone, reported %v", gone, heard.damaged)
	}
	if s.Stats().Records != 12 {
		t.Errorf("stats are %+v", s.Stats())
	}
}

func TestAFileThatIsNoSegmentIsLeftOrSetAside(t *testing.T) {
	disk, all := written(t, 4)
	disk.Change(disk.Names()[0], func(b []byte) []byte { return noise(b, 0, len(b)) })
	f, err := disk.Create("", "notes.txt", 10)
	if err != nil || f.Sync() != nil {
		t.Fatal(err)
	}
	var heard reports
	s := quiet(t, disk, &heard)
	same(t, readAll(t, s), all[6:])
	if len(heard.damaged) == 0 {
		t.Error("nothing is reported")
	}
	s.sweep(false)
	names := disk.Names()
	if len(names) != 3 || !strings.HasSuffix(names[0], asideSuffix) || names[2] != "notes.txt" {
		t.Errorf("files are %v", names)
	}
}

func TestAnEntryThatCannotBeReadNowIsReadLater(t *testing.T) {
	disk, all := written(t, 2)
	var heard reports
	s := quiet(t, disk, &heard)
	disk.Fail(func(op, _ string) error {
		if op == spooltest.OpOpen || op == spooltest.OpRead {
			return syscall.EMFILE
		}
		return nil
	})
	for range readTries - 1 {
		if got, err := s.Read(1); err == nil {
			t.Fatalf("read gives %d records", len(got))
		}
	}
	disk.Fail(nil)
	same(t, readAll(t, s), all)

	disk.Fail(func(op, _ string) error {
		if op == spooltest.OpRead {
			return syscall.EIO
		}
		return nil
	})
	tries := 1
	for ; tries < 2*readTries; tries++ {
		if got, err := s.Read(1); err == nil {
			if len(got) > 0 {
				t.Fatalf("read gives %d records", len(got))
			}
			break
		}
	}
	if tries != readTries || heard.lost != 3 || len(heard.damaged) != 1 {
		t.Errorf("given up after %d, reported %v", tries, heard.damaged)
	}
	disk.Fail(nil)
	same(t, readAll(t, s), all[3:])
}

func TestAnUnreadableFileIsReportedAndLeft(t *testing.T) {
	disk, all := written(t, 4)
	first := disk.Names()[0]
	disk.Fail(func(op, name string) error {
		if op == spooltest.OpOpen && name == first {
			return fs.ErrPermission
		}
		return nil
	})
	var heard reports
	s := quiet(t, disk, &heard)
	same(t, readAll(t, s), all[6:])
	if len(heard.damaged) != 1 || !slices.Contains(disk.Names(), first) {
		t.Errorf("reported %v, files %v", heard.damaged, disk.Names())
	}
}
