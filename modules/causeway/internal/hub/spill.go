package hub

import (
	"context"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// Store is the disk behind the uplink, see package spool. Append and Read are
// called from one goroutine, Done and Bounds from any.
type Store interface {
	// Append writes entries, each the encoded messages of a batch, under ascending
	// indexes from first. They are on disk when it returns nil, and none of them
	// counts otherwise.
	Append(entries [][][]byte) (first uint64, err error)
	// Read returns the messages of an entry, valid until the next Read: none where
	// there is nothing any more. An error says that it cannot be read now; the store
	// gives an entry up that stays so.
	Read(index uint64) (messages [][]byte, err error)
	// Bounds returns the oldest index that is not done and the newest; first > last
	// means that there is none.
	Bounds() (first, last uint64)
	// Done tells that the hub has an entry, or will never take it.
	Done(index uint64)
}

// SpillOptions say when the uplink uses its store.
type SpillOptions struct {
	// Always writes every message before it is acknowledged.
	Always bool
	// Away is how long the hub may be away before devices are acknowledged from disk.
	// Default 1 s: a reconnect after a dropped connection is faster.
	Away time.Duration
	// Slow is how long a message may wait for the hub. Default 5 s, which a busy hub
	// does not reach.
	Slow time.Duration
	// Failed hears of a store that cannot be written; optional.
	Failed func(error)
}

const (
	// spillLook is how often the triggers are looked at while nothing happens.
	spillLook = 100 * time.Millisecond
	// spillRetry is the pause after the store failed: a full disk does not get free
	// faster than that.
	spillRetry = time.Second
	// appendMost bounds what is written with one sync: less than the smallest spool, which
	// then takes a part of the queue where it cannot take all of it.
	appendMost = 512 << 10
)

// portion is how many of the entries are written with one sync.
func (d *spill) portion(entries [][][]byte) int {
	size := 0
	for i, members := range entries {
		for _, m := range members {
			size += len(m)
		}
		if i > 0 && size > d.most {
			return i
		}
	}
	return len(entries)
}

// entry is a batch on disk that is in memory too: whole, or in the parts that were
// split off it. All of it is of one lane. Guarded by Uplink.mu.
type entry struct {
	index uint64 // 0 while it is being written
	left  int    // parts that have not landed
}

// spill is the uplink's use of its store. While spooling is set, what is taken goes
// to disk first and from there to the hub, so that disk and memory have one order.
// Everything on disk is preceded there by those of its lane that are still in memory:
// otherwise a restart would send a device's messages in another order.
type spill struct {
	SpillOptions
	store    Store // nil: no disk
	spooling bool
	forced   bool      // the gateway is going down, or a datagram found no room
	aside    []*batch  // sealed, to be written in order
	writing  []*batch  // being written
	readNext uint64    // the index to be loaded next
	safe     int       // bytes in memory that are on disk too
	away     time.Time // since when the hub is away; zero while it is there
	retry    time.Time // nothing is written before
	reread   time.Time // nothing is read before
	wake     chan struct{}
	most     int // appendMost, but in tests
}

// UseStore gives the uplink a disk, once. What the store holds from an earlier life
// is sent before what is taken from now on.
func (u *Uplink) UseStore(store Store, opts SpillOptions) {
	if opts.Away <= 0 {
		opts.Away = time.Second
	}
	if opts.Slow <= 0 {
		opts.Slow = 5 * time.Second
	}
	if opts.Failed == nil {
		opts.Failed = func(error) {}
	}
	first, last := store.Bounds()
	u.mu.Lock()
	defer u.mu.Unlock()
	opts.Always = opts.Always || u.disk.Always
	u.disk.SpillOptions, u.disk.store = opts, store
	u.disk.readNext = first
	u.disk.spooling = first <= last
}

// Store returns the disk, nil for none.
func (u *Uplink) Store() Store {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.disk.store
}

// retire refuses further messages, if all that is held is on disk and nothing is on its way;
// otherwise it is false. So none comes in between, before Close.
func (u *Uplink) retire() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count > 0 || len(u.flying) > 0 {
		return false
	}
	u.closed = true
	return true
}

// WriteAlways changes SpillOptions.Always.
func (u *Uplink) WriteAlways(always bool) {
	u.mu.Lock()
	u.disk.Always = always
	u.mu.Unlock()
	u.signal() // what waited for the disk need not any more
	u.signalDisk()
}

// Spill moves messages between memory and disk until ctx ends. It is run beside
// the hub when there is a store.
func (u *Uplink) Spill(ctx context.Context) {
	look := time.NewTicker(spillLook)
	defer look.Stop()
	for ctx.Err() == nil {
		if u.move() {
			continue
		}
		select {
		case <-ctx.Done():
		case <-u.disk.wake:
		case <-look.C:
		}
	}
}

// move is one look at what is to be written and read; false when there was nothing.
func (u *Uplink) move() bool {
	u.enter(time.Now())
	wrote := u.write()
	loaded := u.load()
	u.leave(time.Now())
	return wrote || loaded
}

// idle tells that nothing is in memory or on disk, and that nothing is to be done about it.
func (u *Uplink) idle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count > 0 || u.disk.safe > 0 || !u.disk.spooling {
		return u.count == 0 && u.disk.safe == 0
	}
	first, last := u.disk.store.Bounds()
	return u.disk.Always && first > last // otherwise spooling is to end
}

// Force sends everything that is not settled to disk, where there is one.
func (u *Uplink) Force() {
	u.mu.Lock()
	u.disk.forced = true
	u.mu.Unlock()
	u.signalDisk()
}

// Spooling tells whether messages go by way of the disk at the moment.
func (u *Uplink) Spooling() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.disk.spooling
}

// reached tells the uplink that the hub is there, or not.
func (u *Uplink) reached(there bool) {
	u.mu.Lock()
	u.resting = false
	switch {
	case there:
		u.disk.away = time.Time{}
		u.holdBlamed(time.Now())
	case u.disk.away.IsZero(): // and not anew with each attempt that fails
		u.disk.away = time.Now()
		u.postpone()
	}
	u.mu.Unlock()
	u.signal()
	u.signalDisk()
}

func (u *Uplink) signalDisk() {
	select {
	case u.disk.wake <- struct{}{}:
	default:
	}
}

// due tells whether it is time to use the disk.
func (u *Uplink) due(now time.Time) bool {
	d := &u.disk
	switch {
	case d.store == nil, d.spooling, now.Before(d.retry):
		return false
	case d.Always, d.forced, !d.away.IsZero() && now.Sub(d.away) >= d.Away:
		return true
	default:
		oldest := u.oldest()
		return !oldest.IsZero() && now.Sub(oldest) >= d.Slow
	}
}

// enter begins spooling when it is due: what is in memory is written first, in
// order. It stays in memory and on its way to the hub.
func (u *Uplink) enter(now time.Time) {
	u.mu.Lock()
	if !u.due(now) {
		u.mu.Unlock()
		return
	}
	u.disk.spooling = true
	var entries []*entry
	var records [][][]byte
	u.each(func(b *batch) {
		if b.entry == nil && b != u.lanes[b.lane].open {
			b.entry = &entry{left: 1}
			entries, records = append(entries, b.entry), append(records, b.copyMembers())
		}
	})
	u.mu.Unlock()
	for len(records) > 0 {
		n := u.disk.portion(records)
		first, err := u.disk.store.Append(records[:n])
		if err != nil {
			u.failed(err)
			u.retreat(entries)
			return
		}
		u.secured(entries[:n], first)
		entries, records = entries[n:], records[n:]
	}
}

// secured notes that entries are on disk and settles their messages, before they
// leave the account: who drains the uplink finds the acknowledgements written.
func (u *Uplink) secured(entries []*entry, first uint64) {
	var receipts []message.Receipt
	size := 0
	u.mu.Lock()
	for i, e := range entries {
		if e.index = first + uint64(i); e.left == 0 { // landed while it was written
			u.disk.store.Done(e.index)
		}
	}
	u.each(func(b *batch) {
		if b.entry != nil && b.entry.index >= first && !b.safe {
			receipts = append(receipts, b.receipts...)
			clear(b.receipts)
			b.safe = true
			size += len(b.bytes)
		}
	})
	u.disk.safe += size
	u.disk.readNext = first + uint64(len(entries))
	u.mu.Unlock()
	for _, r := range receipts {
		if r != nil {
			r.Settled(nil)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes -= size
	u.count -= len(receipts)
	u.roomMade()
	u.signal()
}

// retreat ends spooling that could not begin: the elders are not on disk, so
// nothing may go there.
func (u *Uplink) retreat(entries []*entry) {
	gone := make(map[*entry]bool, len(entries))
	for _, e := range entries {
		gone[e] = true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.each(func(b *batch) {
		if gone[b.entry] {
			b.entry = nil
		}
	})
	u.disk.spooling = false
	for _, b := range u.disk.aside {
		u.push(b)
	}
	u.disk.aside = nil
	u.signal()
}

// write puts what waits for the disk on it, all of it with one sync, and then on
// its way to the hub when memory has room and nothing older is still unread.
func (u *Uplink) write() bool {
	u.mu.Lock()
	d := &u.disk
	if !d.spooling || time.Now().Before(d.retry) || u.foreignFlies() {
		u.mu.Unlock()
		return false
	}
	list := u.takeOpen(slices.Concat(u.takeReady(foreign), d.aside))
	d.aside = nil
	d.writing = list
	u.mu.Unlock()
	if len(list) == 0 {
		return false
	}
	records := make([][][]byte, len(list))
	for i, b := range list {
		records[i] = b.appendMembers(make([][]byte, 0, b.len()))
	}
	n := u.disk.portion(records)
	first, err := d.store.Append(records[:n])
	if err != nil {
		u.failed(err)
		n = 0
	}
	if n < len(list) {
		u.mu.Lock()
		d.aside, d.writing = slices.Concat(list[n:], d.aside), list[:n]
		u.mu.Unlock()
	}
	if list = list[:n]; n == 0 {
		return false
	}
	for _, b := range list {
		b.settle(nil)
	}
	u.written(list, first)
	return true
}

// foreign tells a batch that has no place in the disk's order: it was in memory
// already when a store came late that held a backlog. Nothing is written before its
// flight is over; then it goes to disk as what was taken later does.
func foreign(b *batch) bool { return b.entry == nil && !b.safe }

func (u *Uplink) foreignFlies() bool {
	return slices.ContainsFunc(u.flying, func(f *flight) bool { return slices.ContainsFunc(f.batches, foreign) })
}

// written puts batches that are on disk on their way, or leaves them there.
func (u *Uplink) written(list []*batch, first uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := &u.disk
	d.writing = nil
	for i, b := range list {
		u.makeSafe(b)
		if index := first + uint64(i); index == d.readNext && d.safe <= u.loadMost() {
			d.readNext++
			b.entry = &entry{index: index, left: 1}
			u.push(b)
			continue
		}
		d.safe -= len(b.bytes)
		u.put(b)
	}
	u.roomMade()
	u.signal()
}

func (u *Uplink) failed(err error) {
	u.mu.Lock()
	u.disk.retry = time.Now().Add(spillRetry)
	u.mu.Unlock()
	u.disk.Failed(err)
}
