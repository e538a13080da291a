package hub

import (
	"context"
	"time"
)

// The hub closes a connection because of one of its identities and does not say which: it
// was removed, its token ended, or somebody else connected as it. Who it was shows when each is
// alone. A shard that has ended often enough for no reason that others share is taken apart: its
// devices get a connection each, on trial. Those whose connection lives go back to a shard
// of many; one whose connection ends again is in quarantine, where it is tried ever more seldom.
const (
	// deathsMost within deathsWithin make a shard suspect.
	deathsMost   = 3
	deathsWithin = 5 * time.Minute
	// guilty is how often a connection on trial ends before its device is in quarantine.
	guilty = 2
	// trial is how long a connection has to live to clear its device, quarantine how long that
	// of a device in quarantine.
	trial      = 2 * time.Minute
	quarantine = 10 * time.Minute
	// quarantineFirst and quarantineMost bound the wait between its attempts.
	quarantineFirst = 30 * time.Second
	quarantineMost  = 10 * time.Minute
	// trialsMost bounds the shards that are taken apart at a time, each into as many connections
	// as it had devices.
	trialsMost = 2
)

// solitude is why a leaf has a connection for itself. All but leaf is guarded by Leaves.mu.
type solitude struct {
	leaf        *leaf
	certified   bool // it shows a certificate
	quarantined bool
	over        bool // it goes back to the others
}

// suspect notes that a connection which stood has ended by itself, and draws the consequences.
func (s *shard) suspect(err error) {
	l, now := s.all, time.Now()
	if !l.opts.Steady(now.Add(-steadyLook - steadyBefore)) { // the hub itself is away, or was
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := s.deaths[:0]
	for _, at := range s.deaths {
		if now.Sub(at) < deathsWithin {
			kept = append(kept, at)
		}
	}
	s.deaths = append(kept, now)
	switch {
	case s.alone == nil && len(s.members) > 1 && len(s.deaths) >= deathsMost && l.trials() < trialsMost:
		for f := range s.members {
			delete(s.members, f)
			l.open(&solitude{leaf: f}).add(f)
		}
	case s.alone == nil && len(s.members) == 1 && len(s.deaths) >= deathsMost:
		for f := range s.members {
			delete(s.members, f)
			l.open(&solitude{leaf: f, quarantined: true}).add(f)
			f.turn(LeafQuarantined, err.Error())
		}
	case s.alone != nil && !s.alone.quarantined && len(s.deaths) >= guilty:
		s.alone.quarantined = true
		s.alone.leaf.turn(LeafQuarantined, err.Error())
	case s.alone != nil && s.alone.quarantined:
		s.alone.leaf.turn(LeafQuarantined, err.Error())
	}
}

// trials is how many shards are taken apart at the moment, by the connections on trial.
func (l *Leaves) trials() int {
	n := 0
	for s := range l.shards {
		if s.alone != nil && !s.alone.quarantined && !s.alone.certified {
			n++
		}
	}
	return (n + l.limits.Shard - 1) / l.limits.Shard
}

// certify gives a device that shows a certificate a connection for itself.
func (l *Leaves) certify(f *leaf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaves[f.device] != f { // it was given up meanwhile
		return
	}
	if s := f.seat; s != nil {
		delete(s.members, f)
		if len(s.members) == 0 {
			s.replace()
		}
	}
	l.open(&solitude{leaf: f, certified: true}).add(f)
}

// tidy releases devices that are idle, and ends trials, until ctx ends.
func (l *Leaves) tidy(ctx context.Context) {
	t := time.NewTicker(tidyEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		l.tidyOnce(time.Now())
	}
}

func (l *Leaves) tidyOnce(now time.Time) {
	for _, f := range l.list() { // whoever is connected is in use; asked without a lock of ours
		switch {
		case l.opts.Present(f.device):
			f.touch(now)
			f.met.Store(now.UnixNano())
		case !f.uplink.idle():
			f.touch(now)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.shards {
		s.tidy(now, l.limits.Idle)
	}
}

// tidy looks at one shard. To let one device go would end the connection of all (its last
// link is gone then), so the shard is replaced when half of them are released.
func (s *shard) tidy(now time.Time, idle time.Duration) {
	released := s.mark(now, idle)
	lived := time.Duration(0)
	if !s.up.IsZero() {
		lived = now.Sub(s.up)
	}
	switch {
	case released > 0 && 2*released >= len(s.members):
		s.replace()
	case s.alone == nil:
	case s.alone.certified: // it stays alone, but not in quarantine
		if s.alone.quarantined && lived >= quarantine {
			s.alone.quarantined, s.deaths = false, nil
			s.alone.leaf.turn(LeafAttached, "")
		}
	case !s.alone.quarantined && lived >= trial, s.alone.quarantined && lived >= quarantine:
		s.alone.over = true
		s.replace()
	}
}

// mark notes who is to be released, and how many that are.
func (s *shard) mark(now time.Time, idle time.Duration) (released int) {
	for f := range s.members {
		if f.released = now.Sub(f.idleSince()) >= idle; f.released {
			released++
		}
	}
	return released
}

// Statuses describe the devices that have an identity here, all or only those that the
// condition lets pass.
func (l *Leaves) Statuses(condition func(LeafStatus) bool) (list []LeafStatus) {
	for _, f := range l.list() {
		if s := f.status(); condition == nil || condition(s) {
			list = append(list, s)
		}
	}
	return list
}

// Status describes one device; false when it has no identity here.
func (l *Leaves) Status(device string) (LeafStatus, bool) {
	l.mu.RLock()
	f := l.leaves[device]
	l.mu.RUnlock()
	if f == nil {
		return LeafStatus{}, false
	}
	return f.status(), true
}

// Shards is how many connections the devices have at the moment.
func (l *Leaves) Shards() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.shards)
}
