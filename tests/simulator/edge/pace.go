package edge

import (
	"sync"
	"time"
)

// pace lets events through at a rate, after a burst of one second's worth.
type pace struct {
	mu sync.Mutex
	// due is when the events let through so far would have come one by one.
	due time.Time
}

// take lets one event through and returns how long it has to wait. An event that would
// wait longer than patience is not let through.
func (p *pace) take(now time.Time, rate int, patience time.Duration) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	interval := time.Second / time.Duration(rate)
	due := p.due
	if due.Before(now) {
		due = now
	}
	wait = max(due.Sub(now)-time.Duration(rate-1)*interval, 0)
	if wait > patience {
		return wait, false
	}
	p.due = due.Add(interval)
	return wait, true
}

// peak counts events, and the most that came within one second.
type peak struct {
	mu    sync.Mutex
	total uint64
	most  uint64
	// slots are the tenths of the last second, slot the newest of them.
	slots [10]uint64
	slot  int64
}

func (p *peak) count(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tenth := now.UnixMilli() / 100
	for i := int64(1); i <= tenth-p.slot && i <= int64(len(p.slots)); i++ {
		p.slots[(p.slot+i)%int64(len(p.slots))] = 0
	}
	p.slot = max(p.slot, tenth)
	p.slots[p.slot%int64(len(p.slots))]++
	p.total++
	var sum uint64
	for _, n := range p.slots {
		sum += n
	}
	p.most = max(p.most, sum)
}

// Rate is a kind of event's total, and the most of them within one second.
type Rate struct {
	Total uint64 `json:"total"`
	Peak  uint64 `json:"peak"`
}

func (p *peak) rate() Rate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Rate{p.total, p.most}
}

// restart forgets the peak, not the total.
func (p *peak) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most, p.slots = 0, [10]uint64{}
}
