package listen

import (
	"context"
	"sync"
	"time"
)

// Talk is what serves one stream link.
type Talk interface {
	// Serve reads the link until it ends; then it returns the zero time. Where nothing has
	// come for a while and nothing of a frame is held, it may return the time until which
	// that may go on: the link then costs neither a goroutine nor a buffer. Serve is
	// called again, in another goroutine, when bytes have come, that time has passed, the
	// link was closed, or the listener was roused. The context ends when the listener
	// closes.
	Serve(ctx context.Context) (until time.Time)
}

// sweepEvery is how often links that rest are looked through for those whose time has
// passed. Idle times are counted in seconds.
const sweepEvery = time.Second

// resting are a listener's stream links that rest. Where the platform has no poller,
// links do not rest.
type resting struct {
	poll *poller // nil for none

	mu     sync.Mutex
	links  map[uint64]rest
	first  time.Time // none of them has to wake before
	roused bool      // no link rests any more
}

// rest is one link that rests, until a time.
type rest struct {
	link  *Link
	until time.Time
}

// begin starts watching; it returns when the watcher has ended, once the poller is
// closed.
func (r *resting) begin() (end func()) {
	if r.poll = newPoller(); r.poll == nil {
		return func() {}
	}
	var watching sync.WaitGroup
	watching.Go(r.watch)
	return func() {
		r.poll.close()
		watching.Wait()
	}
}

// watch wakes links until the poller is closed.
func (r *resting) watch() {
	for {
		ids, open := r.poll.wait(sweepEvery)
		if !open {
			return
		}
		for _, id := range ids {
			r.mu.Lock()
			k := r.links[id].link
			r.mu.Unlock()
			if k != nil {
				k.rouse()
			}
		}
		for _, k := range r.late(time.Now()) {
			k.rouse()
		}
	}
}

// late lists the links whose time has passed.
func (r *resting) late(now time.Time) (list []*Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.links) == 0 || now.Before(r.first) {
		return nil
	}
	r.first = time.Time{}
	for _, w := range r.links {
		if !now.Before(w.until) {
			list = append(list, w.link)
		} else if r.first.IsZero() || w.until.Before(r.first) {
			r.first = w.until
		}
	}
	return list
}

// enter notes a link as resting, false when it may not. The poller may name it before
// enter returns.
func (r *resting) enter(k *Link, until time.Time) bool {
	if r.poll == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.roused || !r.poll.arm(k) {
		return false
	}
	if len(r.links) == 0 || until.Before(r.first) {
		r.first = until
	}
	r.links[k.id] = rest{link: k, until: until}
	return true
}

func (r *resting) leave(k *Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.links, k.id)
}

// Rouse wakes every link that rests; none rests from now on. It is for owners whose
// Talk has something to do before the listener closes.
func (l *Listener) Rouse() {
	r := &l.resting
	r.mu.Lock()
	r.roused = true
	list := make([]*Link, 0, len(r.links))
	for _, w := range r.links {
		list = append(list, w.link)
	}
	r.mu.Unlock()
	for _, k := range list {
		k.rouse()
	}
}

// Resting returns how many links rest.
func (l *Listener) Resting() int {
	l.resting.mu.Lock()
	defer l.resting.mu.Unlock()
	return len(l.resting.links)
}

// lieDown lets the link rest, false when it was closed or may not.
func (k *Link) lieDown(until time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.resting = !k.closed.Load() && k.listener.resting.enter(k, until)
	return k.resting
}

// rouse gives the link a goroutine again, if it rests.
func (k *Link) rouse() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rouseLocked()
}

func (k *Link) rouseLocked() {
	if !k.resting {
		return
	}
	k.resting = false
	k.listener.resting.leave(k)
	go k.converse()
}
