package spool

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reports is an Observer that keeps what it hears.
type reports struct {
	dropped int
	damaged []string
	lost    int
	failed  []error
}

func (r *reports) Dropped(records int) { r.dropped += records }

func (r *reports) Damaged(what string, records int, err error) {
	r.damaged = append(r.damaged, fmt.Sprintf("%s: %d: %v", what, records, err))
	r.lost += records
}

func (r *reports) Failed(err error) { r.failed = append(r.failed, err) }

// batch makes an entry of records that say which they are.
func batch(from, records, size int) [][]byte {
	var out [][]byte
	for i := range records {
		r := fmt.Appendf(nil, "record %d ", from+i)
		out = append(out, append(r, bytes.Repeat([]byte{byte(from + i)}, max(0, size-len(r)))...))
	}
	return out
}

// mustOpen opens a spool that is closed with the test.
func mustOpen(tb testing.TB, opts Options) *Spool {
	tb.Helper()
	s, err := Open(opts)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

func mustAppend(tb testing.TB, s *Spool, entries ...[][]byte) uint64 {
	tb.Helper()
	first, err := s.Append(entries)
	if err != nil {
		tb.Fatalf("append: %v", err)
	}
	return first
}

// readAll reads everything that is not done, in order, as copies.
func readAll(tb testing.TB, s *Spool) (records [][]byte) {
	tb.Helper()
	first, last := s.Bounds()
	for index := first; index <= last; index++ {
		got, err := s.Read(index)
		if err != nil {
			tb.Fatalf("read %d: %v", index, err)
		}
		for _, r := range got {
			records = append(records, bytes.Clone(r))
		}
	}
	return records
}

func same(tb testing.TB, got, want [][]byte) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			tb.Fatalf("record %d is %.40q, want %.40q", i, got[i], want[i])
		}
	}
}

func TestWhatIsAppendedIsReadInOrder(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	if first, last := s.Bounds(); first <= last {
		t.Errorf("an empty spool has entries %d to %d", first, last)
	}
	one, two, three := batch(0, 3, 0), batch(3, 350, 170), [][]byte{{}, []byte("x")}
	if first := mustAppend(t, s, one, two); first != 1 {
		t.Errorf("first index is %d", first)
	}
	if first := mustAppend(t, s, three); first != 3 {
		t.Errorf("third index is %d", first)
	}
	same(t, readAll(t, s), append(append(one, two...), three...))
	stats := s.Stats()
	if stats.Records != 355 || stats.Entries != 3 || stats.Oldest.IsZero() || stats.Failed {
		t.Errorf("stats are %+v", stats)
	}
	if first, last := s.Bounds(); first != 1 || last != 3 {
		t.Errorf("bounds are %d to %d", first, last)
	}
}

func TestARestartFindsWhatIsNotDone(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			mustAppend(t, s, batch(0, 10, 100), batch(10, 10, 100))
			mustAppend(t, s, batch(20, 10, 100))
		}
		same(t, readAll(t, s), batch(10*round, 30-10*round, 100))
		first, _ := s.Bounds()
		s.Done(first)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, Options{Dir: dir})
	if got := readAll(t, s); len(got) > 0 {
		t.Errorf("%d records after the last is done", len(got))
	}
}

func TestASecondProcessIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open gives %v", err)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	for name, opts := range map[string]Options{
		"no directory":           {},
		"bytes 1000":             {Dir: "x", Bytes: 1000},
		"segment bytes -1":       {Dir: "x", SegmentBytes: -1},
		"lock directory: mkdir ": {Dir: "/dev/null/x"},
	} {
		if _, err := Open(opts); err == nil || !bytes.Contains([]byte(err.Error()), []byte(name)) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestAClosedSpoolSaysSo(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	mustAppend(t, s, batch(0, 1, 0))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([][][]byte{batch(1, 1, 0)}); !errors.Is(err, ErrClosed) {
		t.Errorf("append gives %v", err)
	}
	if _, err := s.Read(1); !errors.Is(err, ErrClosed) {
		t.Errorf("read gives %v", err)
	}
}
