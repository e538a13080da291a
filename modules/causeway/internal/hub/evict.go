package hub

import (
	"strings"
	"time"
)

// Where as many devices are known as may be, one that comes needs another's place. The hub
// refuses some, for ever perhaps: they were deleted, or somebody has invented them. What they
// have said is on disk, where it stays; they are known again when they come back, or when
// there is room.

const (
	// unmet bounds how long a device has to be away before its place may be taken; it is as long
	// as it would take another to be released, if that is less.
	unmet = time.Minute
	// evictAgain is the pause after none could be found: anybody can invent ids, and each look is
	// at all that are known.
	evictAgain = 100 * time.Millisecond
)

// evict makes room for one more device, and is false when there is none to be made now. It is
// called with mu held.
func (l *Leaves) evict() bool {
	now := time.Now()
	if now.Sub(l.crowded) < evictAgain {
		return false
	}
	for _, f := range l.leaves { // any: which of them the order of a map leaves to chance
		if f.expendable(now, min(unmet, l.limits.Idle)) && f.uplink.retire() {
			l.forget(f)
			return true
		}
	}
	l.crowded = now
	for s := range l.shards { // one that is idle goes with its connection, for who tries again
		if s.mark(now, l.limits.Idle) > 0 {
			s.replace()
			break
		}
	}
	return false
}

// found tells whether room could be made.
func (l *Leaves) found(room func() bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return room()
}

// expendable tells whether the hub refuses the device, while nobody has seen it for some time.
func (f *leaf) expendable(now time.Time, away time.Duration) bool {
	if f.up.Load() || now.Sub(time.Unix(0, f.met.Load())) < away {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state == LeafRefused
}

// forget drops a leaf whose uplink was retired: whoever serves it ends, and its next message
// makes it anew. It is called with mu held.
func (l *Leaves) forget(f *leaf) {
	if s := f.seat; s != nil {
		if delete(s.members, f); len(s.members) == 0 {
			s.replace()
		}
	}
	delete(l.leaves, f.device)
	delete(l.ids, strings.ToLower(f.id))
	f.end()
	f.uplink.Close()
	l.opts.Released(f.device)
}
