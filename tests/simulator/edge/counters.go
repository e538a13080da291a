package edge

import (
	"maps"
	"sync"
	"sync/atomic"
)

// counters are the hub's running totals.
type counters struct {
	accepted, refused, noRoute, expired atomic.Uint64
	connects, methods, twinGets         atomic.Uint64
	inputsAccepted, inputsDropped       atomic.Uint64
	inputsRetried, faultsTaken          atomic.Uint64

	mu       sync.Mutex
	bySource map[string]uint64
}

// sourceCounts counts the messages of one transfer; transfers rarely have more than one
// source, so the last one is kept outside the map.
type sourceCounts struct {
	source string
	n      uint64
	others map[string]uint64
}

func (s *sourceCounts) add(source string, n uint64) {
	if s.source == source {
		s.n += n
		return
	}
	if s.n > 0 {
		if s.others == nil {
			s.others = map[string]uint64{}
		}
		s.others[s.source] += s.n
	}
	s.source, s.n = source, n
}

func (c *counters) count(s *sourceCounts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bySource == nil {
		c.bySource = map[string]uint64{}
	}
	c.one(s.source, s.n)
	for source, n := range s.others {
		c.one(source, n)
	}
}

func (c *counters) one(source string, n uint64) {
	if n == 0 {
		return
	}
	c.accepted.Add(n)
	if _, ok := c.bySource[source]; !ok && len(c.bySource) >= maxSources {
		source = "(others)"
	}
	c.bySource[source] += n
}

// Stats are the hub's totals since it started.
type Stats struct {
	// Accepted counts messages that were taken, Refused transfers that were not.
	Accepted uint64 `json:"accepted"`
	Refused  uint64 `json:"refused"`
	// NoRoute counts accepted messages that no route took, Expired those that waited
	// longer than their time to live.
	NoRoute uint64 `json:"noRoute"`
	Expired uint64 `json:"expired"`
	// Upstream counts messages that reached the cloud, UpstreamBytes their size; Kept
	// are still visible, Evicted no longer, Queued wait for the cloud.
	Upstream      uint64 `json:"upstream"`
	UpstreamBytes uint64 `json:"upstreamBytes"`
	Kept          int    `json:"kept"`
	Evicted       uint64 `json:"evicted"`
	Queued        int    `json:"queued"`
	// Sequence is the sequence number of the newest upstream message.
	Sequence uint64            `json:"sequence"`
	CloudCut bool              `json:"cloudCut"`
	BySource map[string]uint64 `json:"bySource"`
	Connects uint64            `json:"connects"`
	Methods  uint64            `json:"methods"`
	TwinGets uint64            `json:"twinGets"`
	Faults   uint64            `json:"faults"`
	Inputs   InputStats        `json:"inputs"`
	Clients  []Presence        `json:"clients"`
	// Admission tells how fast clients came.
	Admission AdmissionStats `json:"admission"`
}

// InputStats count deliveries to module inputs.
type InputStats struct {
	Accepted uint64 `json:"accepted"`
	Dropped  uint64 `json:"dropped"`
	Retried  uint64 `json:"retried"`
}

// Stats returns the totals.
func (h *Hub) Stats() Stats {
	c := &h.counters
	s := Stats{
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), NoRoute: c.noRoute.Load(),
		Expired: c.expired.Load(), Connects: c.connects.Load(), Methods: c.methods.Load(),
		TwinGets: c.twinGets.Load(), Faults: c.faultsTaken.Load(),
		Inputs: InputStats{c.inputsAccepted.Load(), c.inputsDropped.Load(), c.inputsRetried.Load()},
	}
	c.mu.Lock()
	s.BySource = maps.Clone(c.bySource)
	c.mu.Unlock()
	h.upstream.stats(&s)
	s.Clients = h.Presences()
	s.Admission = h.admission.stats()
	return s
}
