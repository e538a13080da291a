package hub

import (
	"slices"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// spillReread is the pause after an entry could not be read. The store gives it up
// after 20 tries: too many open files pass within that time.
const spillReread = time.Second

// loadMost is how much of what is on disk may be in memory too: half a queue, and of a device, of
// which there are hundreds, what makes its next transfer.
func (u *Uplink) loadMost() int {
	if u.opts.Leaf {
		return u.opts.BatchBytes / 2
	}
	return u.opts.QueueBytes / 2
}

// load reads the next entry from disk when memory has room for it.
func (u *Uplink) load() bool {
	u.mu.Lock()
	d := &u.disk
	first, last := uint64(1), uint64(0)
	if d.store != nil {
		first, last = d.store.Bounds()
	}
	d.readNext = max(d.readNext, first)
	index := d.readNext
	if !d.spooling || index > last || d.safe > u.loadMost() || !d.away.IsZero() ||
		time.Now().Before(d.reread) {
		u.mu.Unlock()
		return false
	}
	b := u.take()
	u.mu.Unlock()
	messages, err := d.store.Read(index)
	for _, m := range messages {
		b.bytes = append(b.bytes, m...)
		b.ends = append(b.ends, len(b.bytes))
		b.receipts = append(b.receipts, nil)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil { // the store gives up after a number of tries, which therefore take their time
		d.reread = time.Now().Add(spillReread)
		u.put(b)
		return false
	}
	d.readNext++
	if b.len() == 0 {
		u.put(b)
		d.store.Done(index)
		return true
	}
	b.entry, b.safe, b.began = &entry{index: index, left: 1}, true, time.Now()
	b.lane = laneOf(message.Hash(DeviceOf(b.bytes)))
	d.safe += len(b.bytes)
	u.push(b)
	u.signal()
	return true
}

// leave ends spooling when everything on disk is in memory too and the hub takes
// it promptly; under steady traffic there is always something on its way. What waits for
// the disk goes to the hub then, behind what is safe, so that a disk that cannot be
// written stops nothing.
func (u *Uplink) leave(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := &u.disk
	if !d.spooling || d.Always || !d.away.IsZero() || u.behind(now) {
		return
	}
	if first, last := d.store.Bounds(); first <= last && d.readNext <= last || u.foreignFlies() {
		return
	}
	for _, b := range slices.Concat(u.takeReady(foreign), d.aside) {
		u.push(b)
	}
	d.aside, d.spooling = nil, false
	d.forced = d.forced && now.Before(d.retry)
	u.signal()
}

// behind tells whether something has been on its way for so long that the disk would
// be used again soon.
func (u *Uplink) behind(now time.Time) (behind bool) {
	u.each(func(b *batch) {
		if b != u.lanes[b.lane].open && now.Sub(b.began) >= u.disk.Away {
			behind = true
		}
	})
	return behind
}

// makeSafe notes that a batch is on disk: it no longer counts against the queue.
func (u *Uplink) makeSafe(b *batch) {
	b.safe = true
	u.bytes -= len(b.bytes)
	u.count -= b.len()
	u.disk.safe += len(b.bytes)
}

// forget takes a landed batch out of the account, and off the disk with its last part.
func (u *Uplink) forget(b *batch) {
	if b.safe {
		u.disk.safe -= len(b.bytes)
	} else {
		u.bytes -= len(b.bytes)
		u.count -= b.len()
	}
	if e := b.entry; e != nil {
		if e.left--; e.left == 0 && e.index > 0 {
			u.disk.store.Done(e.index)
		}
	}
	if u.disk.spooling {
		u.signalDisk()
	}
}

// postpone tells the receipts of what is held. It is called with mu held.
func (u *Uplink) postpone() {
	tell := func(b *batch) {
		var last message.Receipt
		for _, r := range b.receipts {
			if r == last {
				continue
			}
			last = r
			if p, ok := r.(message.Postponer); ok {
				p.Postponed()
			}
		}
	}
	u.each(tell)
	for _, place := range [...][]*batch{u.disk.writing, u.disk.aside} {
		for _, b := range place {
			tell(b)
		}
	}
}
