package session

import (
	"context"
	"sync"
	"time"
)

// Run lets the timers of dialogues run until ctx ends, about once a second, and takes out
// devices whose time is over. The links of
// one listener are ticked one after the other, and those of different listeners beside
// each other: a codec that takes its time makes the ticks of its own listener rare. There
// are at most as many goroutines as listeners.
func (t *Table) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var rounds sync.WaitGroup
	defer rounds.Wait()
	var busy rounding
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.expire(time.Now())
		for p, list := range t.ticking() {
			if !busy.begin(p) {
				continue // its last round goes on
			}
			rounds.Go(func() {
				defer busy.end(p)
				for _, s := range list {
					if ctx.Err() != nil {
						return
					}
					s.tick(ctx, time.Now())
				}
			})
		}
	}
}

// ticking lists the sessions with timers, by listener.
func (t *Table) ticking() map[*Profile][]*Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make(map[*Profile][]*Session)
	for s := range t.sessions {
		if s.engaged.Load().ticker != nil {
			list[s.profile] = append(list[s.profile], s)
		}
	}
	return list
}

// rounding are the listeners whose links are being ticked.
type rounding struct {
	mu   sync.Mutex
	busy map[*Profile]bool
}

func (r *rounding) begin(p *Profile) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[p] {
		return false
	}
	if r.busy == nil {
		r.busy = make(map[*Profile]bool)
	}
	r.busy[p] = true
	return true
}

func (r *rounding) end(p *Profile) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, p)
}
