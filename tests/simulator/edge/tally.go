package edge

import (
	"sync"
	"sync/atomic"
	"time"
)

// tally is what the hub has seen of one identity.
type tally struct {
	at atomic.Int64 // when it was last heard of

	tokens                               atomic.Uint64
	attaches, refused, connections       atomic.Uint64
	telemetry, twinGets, twinPatches     atomic.Uint64
	methods, answers                     atomic.Uint64
	completed, abandoned, rejected, lost atomic.Uint64
}

// IdentityStats are one identity's totals since the hub started.
type IdentityStats struct {
	// Tokens counts those that were put for it and taken, over AMQP alone: over MQTT a token
	// comes with a login.
	Tokens uint64 `json:"tokens"`
	// Attaches counts the links that it asked for, or over MQTT its logins; Refused those
	// that were not opened, and tokens and certificates that did not hold.
	Attaches uint64 `json:"attaches"`
	Refused  uint64 `json:"refused"`
	// Connections counts how often it became present on a connection.
	Connections uint64 `json:"connections"`
	// Telemetry counts its messages, in transfers that were taken.
	Telemetry   uint64 `json:"telemetry"`
	TwinGets    uint64 `json:"twinGets"`
	TwinPatches uint64 `json:"twinPatches"`
	// Methods counts the calls that it was given, Answers what it said to them.
	Methods uint64 `json:"methods"`
	Answers uint64 `json:"answers"`
	// Completed, Abandoned, Rejected and Lost count deliveries of messages from the cloud
	// by what the device made of them; Lost are those it left unsettled.
	Completed uint64 `json:"completed"`
	Abandoned uint64 `json:"abandoned"`
	Rejected  uint64 `json:"rejected"`
	Lost      uint64 `json:"lost"`
}

// seen holds the tallies. It is bounded by the identities that a hub keeps: heads let
// nobody else in, and who is refused gets one only when the registry knows the name.
type seen struct {
	mu      sync.RWMutex
	tallies map[Identity]*tally
}

// of returns the identity's tally, for a known one at the cost of a read lock. Beyond the
// bound it is one that nobody reads.
func (s *seen) of(id Identity) *tally {
	s.mu.RLock()
	t, ok := s.tallies[id]
	s.mu.RUnlock()
	if ok {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok = s.tallies[id]; ok {
		return t
	}
	t = &tally{}
	if len(s.tallies) < maxIdentities {
		if s.tallies == nil {
			s.tallies = map[Identity]*tally{}
		}
		s.tallies[id] = t
	}
	return t
}

// note is called for every transfer.
func (s *seen) note(id Identity, now time.Time) *tally {
	t := s.of(id)
	t.at.Store(now.UnixNano())
	return t
}

func (s *seen) forget(id Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tallies, id)
}

// LastSeen is when the identity last connected, left or sent a message since the hub
// started; the zero time for never.
func (h *Hub) LastSeen(id Identity) time.Time {
	h.seen.mu.RLock()
	defer h.seen.mu.RUnlock()
	if t, ok := h.seen.tallies[id]; ok && t.at.Load() != 0 {
		return time.Unix(0, t.at.Load())
	}
	return time.Time{}
}

// IdentityStats returns the totals of every identity that was heard of, by name.
func (h *Hub) IdentityStats() map[string]IdentityStats {
	h.seen.mu.RLock()
	defer h.seen.mu.RUnlock()
	all := make(map[string]IdentityStats, len(h.seen.tallies))
	for id, t := range h.seen.tallies {
		all[id.String()] = IdentityStats{
			Tokens:   t.tokens.Load(),
			Attaches: t.attaches.Load(), Refused: t.refused.Load(), Connections: t.connections.Load(),
			Telemetry: t.telemetry.Load(), TwinGets: t.twinGets.Load(), TwinPatches: t.twinPatches.Load(),
			Methods: t.methods.Load(), Answers: t.answers.Load(),
			Completed: t.completed.Load(), Abandoned: t.abandoned.Load(), Rejected: t.rejected.Load(), Lost: t.lost.Load(),
		}
	}
	return all
}
