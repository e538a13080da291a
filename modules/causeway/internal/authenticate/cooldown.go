package authenticate

import (
	"container/heap"
	"container/list"
	"time"
)

// CoolDown is how failures are answered with waiting.
type CoolDown struct {
	// Failures within Window begin a cool-down.
	Failures int
	Window   time.Duration
	// First is how long the first one is. Each after it is twice as long as the one
	// before, up to Most, until there was no failure for as long as Memory.
	First, Most, Memory time.Duration
}

// watch counts the failures of keys, and cools them down. It has at most limit entries:
// the one longest without a failure gives way, but never one that is cooling down, so
// that new names cannot end what runs. Where all entries are cooling down, a new one is
// not counted.
type watch[K comparable] struct {
	rule      CoolDown
	limit     int
	entries   map[K]*watched[K]
	idle      list.List // of those not cooling down, longest without a failure first
	cooling   coolings[K]
	untracked uint64
}

// watched is the state of one key.
type watched[K comparable] struct {
	key     K
	since   time.Time // the begin of the window
	last    time.Time // the last failure, or the end of a cool-down
	count   int
	strikes int           // cool-downs so far
	until   time.Time     // of the one that runs, else zero
	tried   time.Time     // the last trial while it runs, or its begin
	idle    *list.Element // nil while cooling down
	index   int           // in the heap
}

func newWatch[K comparable](rule CoolDown, limit int) *watch[K] {
	return &watch[K]{rule: rule, limit: limit, entries: make(map[K]*watched[K])}
}

// check returns until when a key is cooling down, zero for not.
func (w *watch[K]) check(key K, now time.Time) time.Time {
	if e := w.entries[key]; e != nil && now.Before(e.until) {
		return e.until
	}
	return time.Time{}
}

// trial tells whether a key that is cooling down may try once all the same: after as long
// as a first cool-down takes, and then as often. Its failure does not count.
func (w *watch[K]) trial(key K, now time.Time) bool {
	e := w.entries[key]
	if e == nil || now.Sub(e.tried) < w.rule.First {
		return false
	}
	e.tried = now
	return true
}

// failed counts a failure, and returns until when the key is cooling down then. While it
// is, failures do not count: it was let try at the same time as the one that began it.
func (w *watch[K]) failed(key K, now time.Time) time.Time {
	w.thaw(now)
	e := w.entries[key]
	if e == nil {
		if e = w.add(key); e == nil {
			w.untracked++
			return time.Time{}
		}
	}
	if e.idle == nil {
		return e.until
	}
	w.idle.MoveToBack(e.idle)
	if now.Sub(e.last) >= w.rule.Memory {
		e.strikes = 0
	}
	if e.count == 0 || now.Sub(e.since) >= w.rule.Window {
		e.count, e.since = 0, now
	}
	e.last = now
	if e.count++; e.count < w.rule.Failures {
		return time.Time{}
	}
	e.until, e.tried = now.Add(w.rule.length(e.strikes)), now
	e.last = e.until // the memory begins with its end
	e.strikes++
	e.count = 0
	w.idle.Remove(e.idle)
	e.idle = nil
	heap.Push(&w.cooling, e)
	return e.until
}

// length is that of a cool-down after so many.
func (c CoolDown) length(strikes int) time.Duration {
	d := c.First
	for range strikes {
		if d >= c.Most/2 {
			return c.Most
		}
		d *= 2
	}
	return min(d, c.Most)
}

// add makes room for a key, nil for none.
func (w *watch[K]) add(key K) *watched[K] {
	if len(w.entries) >= w.limit {
		oldest := w.idle.Front()
		if oldest == nil {
			return nil
		}
		e, _ := w.idle.Remove(oldest).(*watched[K])
		delete(w.entries, e.key)
	}
	e := &watched[K]{key: key}
	e.idle = w.idle.PushBack(e)
	w.entries[key] = e
	return e
}

// thaw puts those whose cool-down is over among the idle ones: they may give way then.
func (w *watch[K]) thaw(now time.Time) {
	for len(w.cooling) > 0 && !now.Before(w.cooling[0].until) {
		e, _ := heap.Pop(&w.cooling).(*watched[K])
		e.until, e.idle = time.Time{}, w.idle.PushBack(e)
	}
}

// forget ends what is counted of a key, and a cool-down.
func (w *watch[K]) forget(key K) bool {
	e := w.entries[key]
	if e == nil {
		return false
	}
	if e.idle != nil {
		w.idle.Remove(e.idle)
	} else {
		heap.Remove(&w.cooling, e.index)
	}
	delete(w.entries, key)
	return true
}

// coolings is a heap of those cooling down, by their ends.
type coolings[K comparable] []*watched[K]

func (c coolings[K]) Len() int           { return len(c) }
func (c coolings[K]) Less(i, j int) bool { return c[i].until.Before(c[j].until) }
func (c coolings[K]) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].index, c[j].index = i, j
}

// Push implements heap.Interface.
func (c *coolings[K]) Push(x any) {
	e, _ := x.(*watched[K])
	e.index = len(*c)
	*c = append(*c, e)
}

// Pop implements heap.Interface.
func (c *coolings[K]) Pop() any {
	last := len(*c) - 1
	e := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return e
}
