package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/spool/spooltest"
)

// fill appends entries of 350 records of 170 bytes until an error.
func fill(t *testing.T, s *Spool) (entries int, err error) {
	t.Helper()
	for entries < 1000 {
		if _, err := s.Append([][][]byte{batch(0, 350, 170)}); err != nil {
			return entries, err
		}
		entries++
	}
	return entries, nil
}

func TestBlockRefusesAtTheBoundUntilSomethingIsDelivered(t *testing.T) {
	disk := spooltest.New()
	s := mustOpen(t, Options{Dir: "spool", Files: disk, Bytes: 4 << 20, SegmentBytes: 512 << 10})
	n, err := fill(t, s)
	if !errors.Is(err, ErrFull) || disk.Used() > 4<<20 || int64(n)*350*170 < 3<<20 {
		t.Fatalf("%d entries take %d bytes: %v", n, disk.Used(), err)
	}
	if stats := s.Stats(); stats.Failed || !stats.Full {
		t.Errorf("a full spool is no failure, and says so: %+v", stats)
	}
	mustFail(t, s, ErrFull)
	for index := uint64(1); index <= 9; index++ {
		s.Done(index)
	}
	s.sweep(false)
	if s.Stats().Full {
		t.Error("the spool says that it is full although room was made")
	}
	mustAppend(t, s, batch(0, 350, 170))
	if stats := s.Stats(); stats.Dropped > 0 || stats.Entries != n-9+1 {
		t.Errorf("stats are %+v", stats)
	}
}

func mustFail(t *testing.T, s *Spool, want error) {
	t.Helper()
	if _, err := s.Append([][][]byte{batch(0, 350, 170)}); !errors.Is(err, want) {
		t.Fatalf("append gives %v, want %v", err, want)
	}
}

func TestDropOldestGivesUpWhatIsNotBeingDelivered(t *testing.T) {
	disk, heard := spooltest.New(), &reports{}
	s := mustOpen(t, Options{
		Dir: "spool", Files: disk, Bytes: 4 << 20, SegmentBytes: 512 << 10, Full: DropOldest, Observer: heard,
	})
	mustAppend(t, s, batch(0, 350, 170))
	if _, err := s.Read(1); err != nil { // it is being delivered from now on
		t.Fatal(err)
	}
	n, err := fill(t, s)
	if err != nil || disk.Used() > 4<<20 {
		t.Fatalf("%d entries take %d bytes: %v", n, disk.Used(), err)
	}
	stats := s.Stats()
	if heard.dropped == 0 || stats.Dropped != uint64(heard.dropped) || stats.Records+heard.dropped != 350*(n+1) {
		t.Errorf("dropped %d, stats are %+v", heard.dropped, stats)
	}
	if got, err := s.Read(1); err != nil || len(got) != 350 {
		t.Errorf("the entry being delivered has %d records, %v", len(got), err)
	}
	if got, err := s.Read(40); err != nil || len(got) != 0 {
		t.Errorf("a dropped entry has %d records, %v", len(got), err)
	}
}

func TestTheBoundMayChangeWhileTheSpoolIsOpen(t *testing.T) {
	disk, heard := spooltest.New(), &reports{}
	s := mustOpen(t, Options{Dir: "spool", Files: disk, Bytes: 8 << 20, Observer: heard})
	n, err := fill(t, s)
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	s.Configure(512<<10, Block)
	mustFail(t, s, ErrFull)
	if s.Stats().Entries != n {
		t.Errorf("a lower bound gives up what is kept: %+v", s.Stats())
	}
	s.Configure(512<<10, DropOldest)
	mustAppend(t, s, batch(0, 350, 170))
	if disk.Used() > 512<<10 || heard.dropped < 350*(n-4) {
		t.Errorf("%d bytes are used, %d of %d records dropped", disk.Used(), heard.dropped, 350*n)
	}
	s.Configure(8<<20, Block)
	if more, err := fill(t, s); !errors.Is(err, ErrFull) || more < n/2 {
		t.Errorf("%d entries more: %v", more, err)
	}
}

func TestAnAppendLargerThanTheSpoolIsRefusedForGood(t *testing.T) {
	for _, policy := range []Policy{Block, DropOldest} {
		s := mustOpen(t, Options{Dir: "spool", Files: spooltest.New(), Bytes: 1 << 20, Full: policy})
		mustAppend(t, s, batch(0, 1, 100))
		if _, err := s.Append([][][]byte{batch(0, 1, 1<<20)}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("append gives %v", err)
		}
		if s.Stats().Entries != 1 || !s.Stats().Full {
			t.Errorf("stats are %+v", s.Stats())
		}
		s.Done(1)
		mustAppend(t, s, batch(0, 1, 900<<10)) // larger than a segment, and alone in the spool
		if s.Stats().Full {
			t.Error("the spool says that it is full although something was written")
		}
	}
}

func TestAFullDiskHealsWhenThereIsRoom(t *testing.T) {
	disk, heard := spooltest.New(), &reports{}
	disk.SetCapacity(1 << 20)
	s := mustOpen(t, Options{Dir: "spool", Files: disk, SegmentBytes: 256 << 10, Observer: heard})
	n, err := fill(t, s)
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFull) || n < 10 {
		t.Fatalf("%d entries: %v", n, err)
	}
	if stats := s.Stats(); !stats.Failed || !errors.Is(stats.Err, syscall.ENOSPC) || stats.Entries != n {
		t.Errorf("stats are %+v", stats)
	}
	if got := readAll(t, s); len(got) != 350*n {
		t.Errorf("%d records are readable, want %d", len(got), 350*n)
	}
	disk.SetCapacity(0)
	mustFail(t, s, syscall.ENOSPC) // within the pause the disk is left alone
	eventually(t, func() bool { _, err := s.Append([][][]byte{batch(0, 1, 0)}); return err == nil })
	if s.Stats().Failed || len(heard.failed) < 2 || heard.failed[len(heard.failed)-1] != nil {
		t.Errorf("stats are %+v, heard %v", s.Stats(), heard.failed)
	}
}

// eventually asks until the answer is yes, for some seconds.
func eventually(t *testing.T, yes func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-deadline:
			t.Fatal("it does not happen")
		case <-tick.C:
		}
	}
}

func TestAReadOnlyDiskIsDelivered(t *testing.T) {
	disk, all := written(t, 4)
	disk.Fail(func(op, _ string) error {
		switch op {
		case spooltest.OpOpen, spooltest.OpRead, spooltest.OpList:
			return nil
		default:
			return syscall.EROFS
		}
	})
	s := mustOpen(t, Options{Dir: "spool", Files: disk})
	same(t, readAll(t, s), all)
	mustFail(t, s, syscall.EROFS)
	for index := range uint64(5) {
		s.Done(index)
	}
	if first, last := s.Bounds(); first <= last {
		t.Errorf("bounds are %d to %d", first, last)
	}
	disk.Fail(nil)
	eventually(t, func() bool { return len(disk.Names()) == 0 })
}

func TestADirectoryMayBeReadOnly(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root writes everywhere; the disk in memory covers this")
	}
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, batch(0, 3, 0))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil { //nolint:gosec // a directory
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) //nolint:gosec // a directory
	s = mustOpen(t, Options{Dir: dir})
	same(t, readAll(t, s), batch(0, 3, 0))
}

func TestDeliveryInAnyOrderGivesTheDiskBack(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir, Bytes: 16 << 20, SegmentBytes: 512 << 10})
	n, err := fill(t, s)
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if used := usage(t, dir); used > 16<<20 || used != s.Stats().Disk {
		t.Errorf("files take %d bytes, stats are %+v", used, s.Stats())
	}
	for index := n; index > n/2; index-- {
		s.Done(uint64(index))
	}
	if first, _ := s.Bounds(); first != 1 {
		t.Errorf("first is %d", first)
	}
	for index := 1; index <= n/2; index++ {
		s.Done(uint64(index))
	}
	if first, last := s.Bounds(); first <= last {
		t.Errorf("bounds are %d to %d", first, last)
	}
	eventually(t, func() bool { return usage(t, dir) <= 512<<10 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if used := usage(t, dir); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

func usage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

func TestProgressIsNotedWhileOnlyReadingGoesOn(t *testing.T) {
	disk, all := written(t, 4)
	s := quiet(t, disk, nil)
	for index := uint64(1); index <= 3; index++ {
		s.Done(index)
	}
	before := len(disk.Names())
	s.sweep(false)
	if after := len(disk.Names()); after != before { // the first is deleted, the note is in a new one
		t.Errorf("%d files, then %d", before, after)
	}
	s.sweep(false)
	if after := len(disk.Names()); after != before {
		t.Errorf("nothing new to note makes %d files of %d", after, before)
	}
	disk.Crash(func(int) int { return 0 })
	s = quiet(t, disk, nil)
	same(t, readAll(t, s), all[9:])
	if first, _ := s.Bounds(); first != 4 {
		t.Errorf("first is %d", first)
	}
}

func TestIndexesGoOnAfterTheLastIsDelivered(t *testing.T) {
	s := mustOpen(t, Options{Dir: "spool", Files: spooltest.New()})
	for want := uint64(1); want < 5; want++ {
		if first := mustAppend(t, s, batch(0, 1, 10)); first != want {
			t.Fatalf("index %d, want %d", first, want)
		}
		s.Done(want)
		s.sweep(true)
		if used := s.Stats().Disk; used != 0 {
			t.Errorf("%d bytes are used by nothing", used)
		}
	}
}

func TestAppendReadAndDoneAtOnce(t *testing.T) {
	const calls = 400
	s := mustOpen(t, Options{Dir: t.TempDir(), Bytes: 4 << 20, SegmentBytes: 64 << 10})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < calls; {
			_, err := s.Append([][][]byte{batch(2*i, 1, 3000), batch(2*i+1, 1, 3000)})
			if errors.Is(err, ErrFull) {
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			i++
		}
	})
	done := make(chan uint64, 16)
	wg.Go(func() {
		for index := range done {
			s.Done(index)
		}
	})
	want := 0
	for next := uint64(1); want < 2*calls; {
		if _, last := s.Bounds(); next > last {
			continue
		}
		got, err := s.Read(next)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			if w := batch(want, 1, 3000)[0]; !slices.Equal(r, w) {
				t.Fatalf("%.20q, want %.20q", r, w)
			}
			want++
		}
		done <- next
		next++
	}
	close(done)
	wg.Wait()
}
