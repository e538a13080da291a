package edge

import (
	"sync"
	"sync/atomic"
	"time"
)

// seen remembers when each identity was last heard of. It is bounded by the identities that
// the hub knows: heads let nobody else in.
type seen struct {
	mu    sync.RWMutex
	times map[Identity]*atomic.Int64
}

// note is called for every transfer, so a known identity costs a read lock and no memory.
func (s *seen) note(id Identity, now time.Time) {
	s.mu.RLock()
	at, ok := s.times[id]
	s.mu.RUnlock()
	if !ok {
		s.mu.Lock()
		if at, ok = s.times[id]; !ok && len(s.times) < maxIdentities {
			if s.times == nil {
				s.times = map[Identity]*atomic.Int64{}
			}
			at = new(atomic.Int64)
			s.times[id] = at
		}
		s.mu.Unlock()
	}
	if at != nil {
		at.Store(now.UnixNano())
	}
}

func (s *seen) forget(id Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.times, id)
}

// LastSeen is when the identity last connected, left or sent a message since the hub
// started; the zero time for never.
func (h *Hub) LastSeen(id Identity) time.Time {
	h.seen.mu.RLock()
	defer h.seen.mu.RUnlock()
	if at, ok := h.seen.times[id]; ok {
		return time.Unix(0, at.Load())
	}
	return time.Time{}
}
