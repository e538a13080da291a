package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/spool/spooltest"
)

// ownerOf reads whose a record of these tests is: "name number".
func ownerOf(record []byte) string {
	name, _, _ := strings.Cut(string(record), " ")
	return name
}

func owned(name string, numbers ...int) (records [][]byte) {
	for _, n := range numbers {
		records = append(records, fmt.Appendf(nil, "%s %d", name, n))
	}
	return records
}

func mustDivide(tb testing.TB, s *Spool, most int64) *Partitions {
	tb.Helper()
	p, err := Divide(s, most, ownerOf)
	if err != nil {
		tb.Fatalf("divide: %v", err)
	}
	return p
}

// numbersOf reads all that a partition holds, in its order.
func numbersOf(tb interface{ Fatalf(string, ...any) }, p *Partition) (numbers []int) {
	first, last := p.Bounds()
	for index := first; index <= last; index++ {
		records, err := p.Read(index)
		if err != nil {
			tb.Fatalf("read %d: %v", index, err)
		}
		for _, r := range records {
			_, text, _ := strings.Cut(string(r), " ")
			n, err := strconv.Atoi(text)
			if err != nil {
				tb.Fatalf("record %q", r)
			}
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func TestAPartitionThatDoesNotDeliverHoldsUpNobody(t *testing.T) {
	p := mustDivide(t, mustOpen(t, Options{Dir: t.TempDir()}), 0)
	a, b := p.Of("a"), p.Of("b")
	for i := range 3 {
		for _, part := range []*Partition{a, b} {
			name := map[*Partition]string{a: "a", b: "b"}[part]
			if _, err := part.Append([][][]byte{owned(name, 2*i, 2*i+1)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, last := b.Bounds()
	for index := first; index <= last; index++ {
		b.Done(index)
	}
	if first, last := b.Bounds(); first <= last {
		t.Errorf("b still holds %d to %d", first, last)
	}
	if got := fmt.Sprint(numbersOf(t, a)); got != "[0 1 2 3 4 5]" {
		t.Errorf("a holds %s", got)
	}
	if got := fmt.Sprint(p.Names()); got != "[a]" {
		t.Errorf("partitions that hold something: %s", got)
	}
	p.Forget("a")
	if p.Of("a") != a {
		t.Error("a partition that holds something was forgotten")
	}
}

func TestAPartitionHasABoundOfItsOwn(t *testing.T) {
	p := mustDivide(t, mustOpen(t, Options{Dir: t.TempDir()}), 1000)
	entry := [][][]byte{{append([]byte("a "), bytes.Repeat([]byte("0"), 600)...)}}
	if _, err := p.Of("a").Append(entry); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Of("a").Append(entry); !errors.Is(err, ErrFull) {
		t.Errorf("over its bound: %v, want ErrFull", err)
	}
	if _, err := p.Of("b").Append([][][]byte{owned("b", 1)}); err != nil {
		t.Errorf("another is refused too: %v", err)
	}
	first, _ := p.Of("a").Bounds()
	p.Of("a").Done(first)
	if _, err := p.Of("a").Append(entry); err != nil {
		t.Errorf("after delivery: %v", err)
	}
}

func TestThoseThatAreBarredLeaveRoomForTheOthers(t *testing.T) {
	p := mustDivide(t, mustOpen(t, Options{Dir: t.TempDir()}), 1000)
	entry := func(name string) [][][]byte {
		return [][][]byte{{append([]byte(name+" 7"), bytes.Repeat([]byte(" "), 600)...)}}
	}
	full := func(name string) bool {
		_, err := p.Of(name).Append(entry(name))
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		return err != nil
	}
	held := 0
	for i := range 10 {
		name := fmt.Sprintf("refused-%d", i)
		p.Of(name).Bar(true)
		if !full(name) {
			held++
		}
	}
	if held != 6 { // four times 1,000 bytes
		t.Errorf("%d of ten could append", held)
	}
	if full("another") {
		t.Error("one that is not barred finds no room")
	}
	p.Of("refused-9").Bar(false)
	if full("refused-9") {
		t.Error("nor does one that is barred no more")
	}
	first, _ := p.Of("refused-0").Bounds()
	p.Of("refused-0").Done(first)
	if full("refused-8") {
		t.Error("delivery makes no room")
	}
	p.Of("refused-1").Bar(false) // takes what it holds along
	if full("refused-7") {
		t.Error("one that is barred no more still takes the room")
	}
}

func TestTheBoundOfPartitionsMayChangeWhileTheyAreInUse(t *testing.T) {
	p := mustDivide(t, mustOpen(t, Options{Dir: t.TempDir()}), 10_000)
	a := p.Of("a")
	entry := [][][]byte{{append([]byte("a 7"), bytes.Repeat([]byte(" "), 600)...)}}
	for range 3 {
		if _, err := a.Append(entry); err != nil {
			t.Fatal(err)
		}
	}
	p.Bound(1000)
	for held := 3; held > 0; held-- {
		if _, err := a.Append(entry); !errors.Is(err, ErrFull) {
			t.Fatalf("with %d entries, over a lower bound: %v, want ErrFull", held, err)
		}
		first, last := a.Bounds()
		if got := int(last-first) + 1; got != held { //nolint:gosec // a few
			t.Fatalf("a lower bound gives up what is kept: %d entries of %d", got, held)
		}
		a.Done(first)
	}
	if _, err := a.Append(entry); err != nil {
		t.Errorf("after delivery: %v", err)
	}
	p.Bound(0)
	if _, err := a.Append(entry); err != nil {
		t.Errorf("without a bound: %v", err)
	}
}

func TestWhatManyAppendAtOnceIsWrittenTogether(t *testing.T) {
	disk := spooltest.New()
	syncs := 0
	disk.Fail(func(op, _ string) error {
		if op == "sync" {
			syncs++
		}
		return nil
	})
	p := mustDivide(t, mustOpen(t, Options{Dir: "spool", Files: disk}), 0)
	const many = 200
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			name := "d" + strconv.Itoa(i)
			for n := range 3 {
				if _, err := p.Of(name).Append([][][]byte{owned(name, n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i := range many {
		if got := fmt.Sprint(numbersOf(t, p.Of("d"+strconv.Itoa(i)))); got != "[0 1 2]" {
			t.Errorf("device %d holds %s", i, got)
		}
	}
	if syncs > 3*many {
		t.Errorf("%d syncs for %d appends", syncs, 3*many)
	}
}

// One device that never delivers would pin every segment written after its first entry.
func TestADeviceThatNeverDeliversDoesNotFillTheDiskOfTheOthers(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), Bytes: 256 << 10})
	p := mustDivide(t, s, 0)
	stuck, busy := p.Of("stuck"), p.Of("busy")
	for n := range 3 {
		if _, err := stuck.Append([][][]byte{owned("stuck", n)}); err != nil {
			t.Fatal(err)
		}
	}
	body := append([]byte("busy "), bytes.Repeat([]byte("1"), 8000)...)
	for i := range 200 { // several times the spool
		first, err := busy.Append([][][]byte{{body}})
		if err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
		busy.Done(first)
	}
	if got := fmt.Sprint(numbersOf(t, stuck)); got != "[0 1 2]" {
		t.Errorf("the stuck device holds %s", got)
	}
}

// partitioned drives partitions over lives of the process and moves of entries.
type partitioned struct {
	disk *spooltest.Disk
	s    *Spool
	p    *Partitions
	next map[string]int          // the number of the next record
	open map[string]map[int]bool // numbers that are not done
	// given are those that were done once: they may come again, in any order
	given map[string]map[int]bool
}

func (m *partitioned) boot(t *rapid.T) {
	s, err := open(Options{Dir: "spool", Files: m.disk, Bytes: leastBytes * 4, SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	close(s.done) // no sweeper
	m.s = s
	if m.p, err = Divide(s, 0, ownerOf); err != nil {
		t.Fatalf("divide: %v", err)
	}
}

func drawName(t *rapid.T) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name") }

func (m *partitioned) Append(t *rapid.T) {
	name := drawName(t)
	var entries [][][]byte
	for range rapid.IntRange(1, 3).Draw(t, "entries") {
		var numbers []int
		for range rapid.IntRange(1, 3).Draw(t, "records") {
			numbers = append(numbers, m.next[name])
			m.next[name]++
		}
		entries = append(entries, owned(name, numbers...))
	}
	if _, err := m.p.Of(name).Append(entries); err != nil {
		t.Fatalf("append: %v", err)
	}
	if m.open[name] == nil {
		m.open[name], m.given[name] = map[int]bool{}, map[int]bool{}
	}
	for _, e := range entries {
		for _, r := range e {
			_, text, _ := strings.Cut(string(r), " ")
			n, _ := strconv.Atoi(text)
			m.open[name][n] = true
		}
	}
}

// Done delivers some entry, not always the oldest.
func (m *partitioned) Done(t *rapid.T) {
	name := drawName(t)
	part := m.p.Of(name)
	first, last := part.Bounds()
	if first > last {
		return // it holds nothing
	}
	index := first + uint64(rapid.IntRange(0, int(min(last-first, 2))).Draw(t, "which"))
	records, err := part.Read(index)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	part.Done(index)
	for _, r := range records {
		_, text, _ := strings.Cut(string(r), " ")
		n, _ := strconv.Atoi(text)
		delete(m.open[name], n)
		m.given[name][n] = true
	}
}

// Move writes the entries of a part of the spool anew, as of its oldest segment.
func (m *partitioned) Move(t *rapid.T) {
	first, last := m.s.Bounds()
	if first > last {
		return
	}
	list := m.p.within(first, first+uint64(rapid.IntRange(1, 6).Draw(t, "many")))
	if err := m.p.move(list); err != nil {
		t.Fatalf("move: %v", err)
	}
}

func (m *partitioned) Kill(t *rapid.T) {
	m.disk.Kill()
	m.boot(t)
}

// Check reads everything: what is not done is there, and its first time in order.
func (m *partitioned) Check(t *rapid.T) {
	for name, open := range m.open {
		before, seen := -1, maps.Clone(m.given[name])
		for _, n := range numbersOf(t, m.p.Of(name)) {
			if seen[n] {
				continue
			}
			if n < before {
				t.Fatalf("%s: %d comes first after %d", name, n, before)
			}
			seen[n], before = true, n
		}
		for n := range open {
			if !seen[n] {
				t.Fatalf("%s: %d is missing", name, n)
			}
		}
	}
}

func TestEachPartitionKeepsItsOrderOverMovesAndLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &partitioned{
			disk: spooltest.New(), next: map[string]int{},
			open: map[string]map[int]bool{}, given: map[string]map[int]bool{},
		}
		m.boot(t)
		t.Repeat(map[string]func(*rapid.T){
			"Append": m.Append, "Done": m.Done, "Move": m.Move, "Kill": m.Kill, "": m.Check,
		})
	})
}

// After a long time without the hub the disk is full. When it comes back, all deliver but one,
// which the hub refuses: its few entries are the oldest.
func TestADeviceThatNeverDeliversDoesNotKeepAFullDiskFull(t *testing.T) {
	p := mustDivide(t, mustOpen(t, Options{Dir: t.TempDir(), Bytes: 256 << 10}), 0)
	stuck, busy := p.Of("stuck"), p.Of("busy")
	body := func(name string) [][][]byte {
		return [][][]byte{{append([]byte(name+" "), bytes.Repeat([]byte("1"), 6000)...)}}
	}
	for range 4 {
		if _, err := stuck.Append(body("stuck")); err != nil {
			t.Fatal(err)
		}
	}
	full := false
	for range 100 {
		if _, err := busy.Append(body("busy")); errors.Is(err, ErrFull) {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("the disk did not fill")
	}
	first, last := busy.Bounds()
	for index := first; index <= last; index++ {
		busy.Done(index)
	}
	var err error
	for range 100 { // each a try of the uplink
		if _, err = busy.Append(body("busy")); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("nobody can write any more: %v", err)
	}
}
