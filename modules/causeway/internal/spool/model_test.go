package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/spool/spooltest"
)

// kept is what a caller may say of a record.
type kept int

const (
	refused kept = iota // never written
	unsure              // the call failed: it may be there or not
	safe                // the call returned nil
	given               // done or dropped: it may come again after a crash
)

type modelRecord struct {
	bytes []byte
	kept  kept
}

// model drives a spool on a disk that loses power between any two operations, and
// knows what has to be there.
type model struct {
	disk    *spooltest.Disk
	opts    Options
	heard   *reports
	s       *Spool
	records []modelRecord
	entries map[uint64][]int // by index, in this life: the records that are not done
	reading map[uint64]bool  // read, not done
	last    uint64
	broken  bool // the disk failed once
}

func (m *model) boot(t *rapid.T) {
	m.heard = &reports{}
	m.opts.Observer = m.heard
	s, err := open(m.opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	close(s.done) // no sweeper: the model sweeps
	m.s = s
	m.find(t)
}

// find reads everything after a start: nothing safe is missing, nothing is invented,
// the order is kept, and nobody cries damage.
func (m *model) find(t *rapid.T) {
	m.entries, m.reading = map[uint64][]int{}, map[uint64]bool{}
	first, last := m.s.Bounds()
	m.last = last
	before := -1
	for index := first; index <= last; index++ {
		got, err := m.s.Read(index)
		if err != nil {
			t.Fatalf("read %d: %v", index, err)
		}
		m.s.mu.Lock() // reading is no delivery: let it be dropped
		if g, at := m.s.find(index); g != nil && g.slots[at].state == slotFlying {
			g.slots[at].state = slotWaits
			g.flying--
		}
		m.s.mu.Unlock()
		for _, r := range got {
			id := m.identify(t, r)
			if id <= before {
				t.Fatalf("record %d after %d", id, before)
			}
			before = id
			m.entries[index] = append(m.entries[index], id)
		}
	}
	there := m.present()
	for id, r := range m.records {
		if r.kept == safe && !there[id] {
			t.Fatalf("record %d is gone; files %v", id, m.disk.Names())
		}
	}
	for _, what := range m.heard.damaged {
		// What a failed sync leaves in memory of the system may be found by one life and
		// be gone in the next.
		if !m.broken || !strings.Contains(what, "missing") {
			t.Fatalf("damage is reported where there is none: %s", what)
		}
	}
}

func (m *model) identify(t *rapid.T, r []byte) int {
	var id int
	if _, err := fmt.Sscanf(string(r[:min(len(r), 20)]), "%d:", &id); err != nil || id >= len(m.records) {
		t.Fatalf("invented: %.40q", r)
	}
	if rec := m.records[id]; rec.kept == refused || !bytes.Equal(rec.bytes, r) {
		t.Fatalf("record %d (%v) reads %.40q", id, rec.kept, r)
	}
	return id
}

func (m *model) present() map[int]bool {
	there := map[int]bool{}
	for _, ids := range m.entries {
		for _, id := range ids {
			there[id] = true
		}
	}
	return there
}

func (m *model) Append(t *rapid.T) {
	var entries [][][]byte
	var ids [][]int
	for range rapid.IntRange(1, 3).Draw(t, "entries") {
		var records [][]byte
		var of []int
		for range rapid.IntRange(0, 4).Draw(t, "records") {
			id := len(m.records)
			r := fmt.Appendf(nil, "%d:", id)
			r = append(r, bytes.Repeat([]byte{byte(id)}, rapid.IntRange(0, 3000).Draw(t, "size"))...)
			m.records = append(m.records, modelRecord{bytes: r})
			records, of = append(records, r), append(of, id)
		}
		entries, ids = append(entries, records), append(ids, of)
	}
	m.s.retry = time.Time{} // the pause is over
	before := m.s.Stats()
	first, err := m.s.Append(entries)
	after := m.s.Stats()
	if after.Disk > max(before.Disk, m.opts.Bytes) {
		t.Fatalf("%d bytes on disk, bound %d", after.Disk, m.opts.Bytes)
	}
	m.dropped(t, int(after.Dropped-before.Dropped))
	state := safe
	switch {
	case errors.Is(err, ErrFull):
		state = refused
	case err != nil:
		state = unsure
	case first <= m.last:
		t.Fatalf("index %d after %d", first, m.last)
	}
	for i, of := range ids {
		for _, id := range of {
			m.records[id].kept = state
		}
		if state == safe && len(of) > 0 {
			m.entries[first+uint64(i)] = of
		}
	}
	if state == safe {
		m.last = first + uint64(len(entries)) - 1
	}
}

// dropped finds out which records were given up: whole entries that nobody read, and
// as many as was said.
func (m *model) dropped(t *rapid.T, count int) {
	if count == 0 {
		return
	}
	if m.opts.Full != DropOldest {
		t.Fatalf("%d records dropped", count)
	}
	for _, index := range slices.Sorted(maps.Keys(m.entries)) {
		m.s.mu.Lock()
		g, at := m.s.find(index)
		gone := g == nil || g.slots[at].state == slotDone
		m.s.mu.Unlock()
		if !gone {
			continue
		}
		if m.reading[index] {
			t.Fatalf("entry %d was dropped while it was delivered", index)
		}
		count -= len(m.entries[index])
		m.finish(index)
	}
	if count != 0 {
		t.Fatalf("%d more were dropped than are gone", count)
	}
}

func (m *model) finish(index uint64) {
	for _, id := range m.entries[index] {
		m.records[id].kept = given
	}
	delete(m.entries, index)
	delete(m.reading, index)
}

func (m *model) pick(t *rapid.T) (uint64, bool) {
	indexes := slices.Sorted(maps.Keys(m.entries))
	if len(indexes) == 0 {
		return 0, false
	}
	// The oldest more often: the head shall move.
	at := min(rapid.IntRange(0, len(indexes)-1).Draw(t, "which"), rapid.IntRange(0, len(indexes)-1).Draw(t, "older"))
	return indexes[at], true
}

func (m *model) Read(t *rapid.T) {
	index, ok := m.pick(t)
	if !ok {
		return
	}
	got, err := m.s.Read(index)
	if err != nil {
		t.Fatalf("read %d: %v", index, err)
	}
	var ids []int
	for _, r := range got {
		ids = append(ids, m.identify(t, r))
	}
	if !slices.Equal(ids, m.entries[index]) {
		t.Fatalf("entry %d holds %v, want %v", index, ids, m.entries[index])
	}
	m.reading[index] = true
}

func (m *model) Done(t *rapid.T) {
	for range rapid.IntRange(1, 10).Draw(t, "deliveries") {
		if index, ok := m.pick(t); ok {
			m.s.Done(index)
			m.finish(index)
		}
	}
}

func (m *model) Sweep(*rapid.T) {
	m.s.retry = time.Time{}
	m.s.sweep(false)
}

func (m *model) Restart(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Logf("close: %v", err)
	}
	m.disk.Kill()
	m.boot(t)
}

func (m *model) Kill(t *rapid.T) {
	m.disk.Kill()
	m.boot(t)
}

// PowerLoss lets the power fail somewhere in an operation, or in the next start.
func (m *model) PowerLoss(t *rapid.T) {
	m.disk.CrashAfter(rapid.IntRange(0, 30).Draw(t, "operations"))
	switch rapid.IntRange(0, 3).Draw(t, "while") {
	case 0:
		m.Append(t)
		m.Append(t)
	case 1:
		m.Sweep(t)
	case 2:
		_ = m.s.Close()
	}
	pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "fate") }
	m.disk.Crash(pick)
	if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		m.disk.CrashAfter(rapid.IntRange(0, 40).Draw(t, "operations at start"))
		m.opts.Observer = nil
		if s, err := open(m.opts); err == nil {
			close(s.done)
			s.sweep(false)
		}
		m.disk.Crash(pick)
	}
	m.boot(t)
}

// Fail breaks the disk for writing, or mends it.
func (m *model) Fail(t *rapid.T) {
	ops := []string{
		spooltest.OpCreate, spooltest.OpReserve, spooltest.OpWrite, spooltest.OpSync, spooltest.OpSyncDir,
		spooltest.OpDelete, spooltest.OpTruncate, spooltest.OpRename,
	}
	broken := rapid.SliceOfDistinct(rapid.SampledFrom(ops), rapid.ID).Draw(t, "broken")
	m.broken = m.broken || len(broken) > 0
	m.disk.Fail(func(op, _ string) error {
		if slices.Contains(broken, op) {
			return syscall.EIO
		}
		return nil
	})
}

// Check compares the accounts.
func (m *model) Check(t *rapid.T) {
	stats, records := m.s.Stats(), 0
	for _, ids := range m.entries {
		records += len(ids)
	}
	if stats.Records != records || stats.Entries != len(m.entries) {
		t.Fatalf("stats say %d records in %d entries, want %d in %d",
			stats.Records, stats.Entries, records, len(m.entries))
	}
	if (stats.Records > 0) == stats.Oldest.IsZero() {
		t.Fatalf("oldest is %v with %d records", stats.Oldest, stats.Records)
	}
	first, last := m.s.Bounds()
	if want := slices.Sorted(maps.Keys(m.entries)); len(want) > 0 && (first != want[0] || last < want[len(want)-1]) ||
		len(want) == 0 && first <= last {
		t.Fatalf("bounds are %d to %d, want %v", first, last, want)
	}
	files := int64(0)
	for _, name := range m.disk.Names() {
		if strings.HasSuffix(name, asideSuffix) {
			t.Fatalf("%s was set aside", name)
		}
		if n, err := m.disk.Size("", name); err == nil {
			files += n
		}
	}
	if files > stats.Disk {
		t.Fatalf("files take %d bytes, stats say %d", files, stats.Disk)
	}
}

func TestNothingSafeIsLostWhateverHappensToTheDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk := spooltest.New()
		m := &model{disk: disk, opts: Options{
			Dir: "spool", Files: disk,
			Bytes:        rapid.SampledFrom([]int64{256 << 10, 64 << 20}).Draw(t, "bytes"),
			SegmentBytes: rapid.SampledFrom([]int{4 << 10, 16 << 10, 64 << 10}).Draw(t, "segment"),
			Full:         rapid.SampledFrom([]Policy{Block, DropOldest}).Draw(t, "policy"),
		}}
		m.boot(t)
		t.Repeat(map[string]func(*rapid.T){
			"append": m.Append, "append again": m.Append, "append more": m.Append, "read": m.Read,
			"done": m.Done, "sweep": m.Sweep, "restart": m.Restart, "kill": m.Kill,
			"power loss": m.PowerLoss, "fail": m.Fail, "": m.Check,
		})
	})
}
