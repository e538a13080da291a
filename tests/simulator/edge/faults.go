package edge

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxFaults bounds the rules in force.
const maxFaults = 1000

// FaultRule is a fault that is to happen to the next publishes or attaches.
type FaultRule struct {
	// ID is given by AddFault, from 1; ClearFault takes it.
	ID uint64
	// Identity limits the rule to one identity; nil means all.
	Identity *Identity
	// Count is how many publishes, or attaches, it happens to; below zero until it is cleared.
	Count int
	// Holding limits a refusal to messages whose body holds the text; empty means all.
	Holding string
	Fault   Fault
}

type faults struct {
	active  atomic.Bool
	holding atomic.Bool // a rule looks at bodies
	mu      sync.Mutex
	rules   []FaultRule
	last    uint64
}

// AddFault puts a rule behind those already in force. Count zero means one.
func (h *Hub) AddFault(r FaultRule) error {
	if r.Fault == (Fault{}) {
		return errors.New("add fault: one of delay, withhold, refuse, drop and attach must be set")
	}
	if r.Fault.Delay < 0 || r.Fault.Delay > time.Hour {
		return errors.New("add fault: delay must be between 0 and 1 h")
	}
	if r.Fault.Attach != nil && r.Fault != (Fault{Attach: r.Fault.Attach}) {
		return errors.New("add fault: attach is about links, and cannot be one with the others")
	}
	if r.Holding != "" && r.Fault != (Fault{Refuse: r.Fault.Refuse}) {
		return errors.New("add fault: holding goes with refuse alone")
	}
	if r.Count == 0 {
		r.Count = 1
	}
	f := &h.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rules) >= maxFaults {
		return errors.New("add fault: 1000 rules are in force already")
	}
	f.last++
	r.ID = f.last
	f.rules = append(f.rules, r)
	f.changed()
	return nil
}

// ClearFaults takes back every rule and returns how many there were.
func (h *Hub) ClearFaults() int {
	f := &h.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.rules)
	f.rules = nil
	f.changed()
	return n
}

// ClearFault takes back one rule and says whether it was in force.
func (h *Hub) ClearFault(id uint64) bool {
	f := &h.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.rules)
	f.rules = slices.DeleteFunc(f.rules, func(r FaultRule) bool { return r.ID == id })
	f.changed()
	return len(f.rules) < before
}

// Faults lists the rules in force with what is left of their counts.
func (h *Hub) Faults() []FaultRule {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	return append([]FaultRule{}, h.faults.rules...)
}

// changed keeps what is looked at without the lock.
func (f *faults) changed() {
	f.active.Store(len(f.rules) > 0)
	f.holding.Store(slices.ContainsFunc(f.rules, func(r FaultRule) bool { return r.Holding != "" }))
}

// PublishFault implements Head.
func (h *Hub) PublishFault(from Identity) Fault {
	return h.takeFault(from, func(r *FaultRule) bool { return r.Fault.Attach == nil && r.Holding == "" })
}

// attachFault is how the next link of an identity is to be refused, nil for not.
func (h *Hub) attachFault(id Identity) *Refusal {
	return h.takeFault(id, func(r *FaultRule) bool { return r.Fault.Attach != nil }).Attach
}

// bodyFault is how a message is to be refused for what its body holds, nil for not.
func (h *Hub) bodyFault(m *Message) *Refusal {
	if !h.faults.holding.Load() {
		return nil
	}
	return h.takeFault(m.From, func(r *FaultRule) bool {
		return r.Holding != "" && bytes.Contains(m.Body, []byte(r.Holding))
	}).Refuse
}

// takeFault takes the first rule about an identity that is wanted.
func (h *Hub) takeFault(from Identity, wanted func(*FaultRule) bool) Fault {
	f := &h.faults
	if !f.active.Load() {
		return Fault{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.rules {
		r := &f.rules[i]
		if r.Identity != nil && *r.Identity != from || !wanted(r) {
			continue
		}
		fault := r.Fault
		if r.Count > 0 {
			if r.Count--; r.Count == 0 {
				f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
				f.changed()
			}
		}
		h.counters.faultsTaken.Add(1)
		return fault
	}
	return Fault{}
}
