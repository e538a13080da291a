package spool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// peekPause is between tries to look at an entry that cannot be read now; [Spool.Read]
// gives it up after 20 of them.
const peekPause = 50 * time.Millisecond

// Partitions divide one spool among many who deliver at their own pace: each has an
// order and a head of its own, so that one that cannot deliver holds up nobody. What
// they append at the same time is written with one sync. They are safe for concurrent
// use; while they exist nobody else appends to, reads from or finishes entries of the
// spool.
type Partitions struct {
	spool *Spool

	mu      sync.Mutex
	parts   map[string]*Partition
	most    int64 // bytes of one partition
	barred  int64 // bytes of all that are barred
	queue   []*appending
	leading bool // somebody writes what is queued

	reading sync.Mutex // held while the spool is read
}

// Partition is the part of one. Append and Read are called from one goroutine at a
// time, Done and Bounds from any.
type Partition struct {
	all *Partitions

	// guarded by all.mu
	base   uint64  // the index of places[0]
	places []place // in the order of their coming
	bytes  int64   // of entries that are not done
	barred bool
}

// place is where in the spool an entry of a partition is; index 0 when it is done.
type place struct {
	index uint64
	bytes int64
}

// Divide takes over a spool whose records say, by nameOf, whose they are; all records of an
// entry are of one. What an earlier life has left is found, which reads all of it. Most
// bounds the bytes of each partition; 0 means that only the spool is bounded.
func Divide(s *Spool, most int64, nameOf func(record []byte) string) (*Partitions, error) {
	p := &Partitions{spool: s, parts: make(map[string]*Partition), most: most}
	s.keepRoom()
	found := make(map[string][]finding)
	first, last := s.Bounds()
	for index := first; index <= last; index++ {
		records, err := p.peek(index)
		if err != nil {
			return nil, fmt.Errorf("divide spool: %w", err)
		}
		began, records := unmark(index, records)
		if len(records) == 0 {
			s.Done(index) // it was lost
			continue
		}
		name := nameOf(records[0])
		found[name] = append(found[name], finding{began, place{index, int64(encodedSize(records))}})
	}
	for name, list := range found {
		p.of(name).adopt(list)
	}
	return p, nil
}

// finding is an entry that an earlier life has left, with the place in the order of its partition:
// the index that it had first.
type finding struct {
	began uint64
	place
}

// adopt takes what was found. Of an entry that was moved an older copy may have come back with a
// crash.
func (p *Partition) adopt(list []finding) {
	slices.SortFunc(list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.index, b.index))
	})
	for i, f := range list {
		if i+1 < len(list) && list[i+1].began == f.began {
			p.all.spool.Done(f.index)
			continue
		}
		p.add(f.index, f.bytes)
	}
}

// Of returns the partition of that name, which may hold nothing yet.
func (p *Partitions) Of(name string) *Partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of(name)
}

func (p *Partitions) of(name string) *Partition {
	part := p.parts[name]
	if part == nil {
		part = &Partition{all: p, base: 1}
		p.parts[name] = part
	}
	return part
}

// Names returns the names of the partitions that hold something, in ascending order.
func (p *Partitions) Names() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, part := range p.parts {
		if part.trim(); len(part.places) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Forget drops a partition that holds nothing, and leaves one that does. Nobody may use it
// any more.
func (p *Partitions) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if part := p.parts[name]; part != nil {
		if part.trim(); len(part.places) == 0 {
			delete(p.parts, name)
		}
	}
}

// Bound changes how many bytes a partition may hold; 0 for no bound of its own.
func (p *Partitions) Bound(most int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
}

// Bar says whether the partition is of somebody whom the hub refuses, and who may never
// deliver. Where partitions have a bound, all that are barred may hold no more than four of
// them, so that the others find room. What is held is kept.
func (p *Partition) Bar(refused bool) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.barred != refused {
		p.barred = refused
		p.all.barred += map[bool]int64{true: p.bytes, false: -p.bytes}[refused]
	}
}

// grow changes what the partition holds.
func (p *Partition) grow(bytes int64) {
	p.bytes += bytes
	if p.barred {
		p.all.barred += bytes
	}
}

// Bounds returns the oldest index of the partition that is not done and the newest; first >
// last means that it holds nothing.
func (p *Partition) Bounds() (first, last uint64) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.trim()
	return p.base, p.base + uint64(len(p.places)) - 1
}

// Append is [Spool.Append] for this partition. ErrFull also tells that the partition is
// at its own bound.
func (p *Partition) Append(entries [][][]byte) (first uint64, err error) {
	size := int64(0)
	for _, records := range entries {
		size += int64(encodedSize(records))
	}
	a := &appending{part: p, entries: entries, turn: make(chan bool, 1)}
	all := p.all
	all.mu.Lock()
	if err := p.bound(size); err != nil {
		all.mu.Unlock()
		return 0, err
	}
	all.queue = append(all.queue, a)
	lead := !all.leading
	all.leading = true
	all.mu.Unlock()
	if lead || <-a.turn {
		all.lead()
	}
	return a.first, a.err
}

// barredOf times its own bound is what all partitions that are barred may hold: half of the spool,
// where one may hold an eighth of it.
const barredOf = 4

// bound tells why so much more cannot be held. It is called with mu held.
func (p *Partition) bound(size int64) error {
	switch most := p.all.most; {
	case most == 0:
		return nil
	case p.bytes > 0 && p.bytes+size > most:
		return fmt.Errorf("spool: %w: this device may hold %d bytes", ErrFull, most)
	case p.barred && p.all.barred+size > barredOf*most:
		return fmt.Errorf("spool: %w: devices that the hub refuses may hold %d bytes", ErrFull, barredOf*most)
	default:
		return nil
	}
}

// Read is [Spool.Read] for this partition; the records are in memory of their own.
func (p *Partition) Read(index uint64) (records [][]byte, err error) {
	p.all.mu.Lock()
	var at uint64
	if i := index - p.base; index >= p.base && i < uint64(len(p.places)) {
		at = p.places[i].index
	}
	p.all.mu.Unlock()
	if at == 0 {
		return nil, nil
	}
	p.all.reading.Lock()
	defer p.all.reading.Unlock()
	borrowed, err := p.all.spool.Read(at)
	_, borrowed = unmark(at, borrowed)
	return clone(borrowed), err
}

// Done is [Spool.Done] for this partition.
func (p *Partition) Done(index uint64) {
	p.all.mu.Lock()
	var at uint64
	if i := index - p.base; index >= p.base && i < uint64(len(p.places)) {
		at = p.places[i].index
		p.finish(int(i)) //nolint:gosec // less than a length
	}
	p.trim()
	p.all.mu.Unlock()
	if at > 0 {
		p.all.spool.Done(at)
	}
}

// add notes an entry that is on disk.
func (p *Partition) add(index uint64, bytes int64) {
	p.places = append(p.places, place{index, bytes})
	p.grow(bytes)
}

func (p *Partition) finish(i int) {
	if p.places[i].index > 0 {
		p.grow(-p.places[i].bytes)
		p.places[i] = place{}
	}
}

// trim forgets what is done before the oldest that is not.
func (p *Partition) trim() {
	n := 0
	for n < len(p.places) && p.places[n].index == 0 {
		n++
	}
	p.base += uint64(n)                  //nolint:gosec // a count
	if p.places = p.places[n:]; n > 64 { // give the memory back now and then
		p.places = slices.Clone(p.places)
	}
}

func clone(records [][]byte) [][]byte {
	size := 0
	for _, r := range records {
		size += len(r)
	}
	all, own := make([]byte, 0, size), make([][]byte, 0, len(records))
	for _, r := range records {
		from := len(all)
		all = append(all, r...)
		own = append(own, all[from:len(all):len(all)])
	}
	return own
}

// peek reads an entry without taking it for being delivered. The records are valid until the
// spool is read again.
func (p *Partitions) peek(index uint64) ([][]byte, error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	for {
		records, err := p.spool.Read(index)
		switch {
		case errors.Is(err, ErrClosed):
			return nil, err
		case err != nil:
			time.Sleep(peekPause) // bounded: it is given up after a number of tries
			continue
		}
		p.spool.mu.Lock()
		g, at := p.spool.find(index)
		p.spool.mu.Unlock()
		if g != nil {
			p.spool.land(g, at)
		}
		return records, nil
	}
}
