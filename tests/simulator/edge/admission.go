package edge

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Admission is how a hub keeps clients from being too many or too fast. The zero value
// has no limits.
type Admission struct {
	// Clients is how many identities may be present at a time. One too many is let in for
	// its telemetry only, and one that was present before is not counted, as in the real
	// hub (100 there).
	Clients int
	// Connects is how many identities may connect in a second, Twins how many twin
	// operations there may be, after a burst of one second's worth each.
	Connects, Twins int
	// Refuse makes what is too fast fail, as IoT Hub does; otherwise it waits its turn.
	Refuse bool
}

// maxTurn bounds how long anything waits its turn: as long as the real hub lets an attach
// wait for the identity's registration.
const maxTurn = 100 * time.Second

// ErrThrottled is a twin operation beyond the rate (429).
var ErrThrottled = errors.New("too many twin operations")

// admission is the state behind an Admission.
type admission struct {
	connecting, operating     pace
	attaches, connects, twins peak
	throttled                 atomic.Uint64
}

// AdmissionStats tell how fast clients came. Peaks are since the start, or since
// RestartPeaks.
type AdmissionStats struct {
	// Attaches are links, over MQTT logins; Connects are first links of an identity on a
	// connection, whether they were opened or not; Twins are operations.
	Attaches Rate `json:"attaches"`
	Connects Rate `json:"connects"`
	Twins    Rate `json:"twins"`
	// Throttled counts what had to wait, or was refused, for being too fast.
	Throttled uint64 `json:"throttled"`
}

func (a *admission) stats() AdmissionStats {
	return AdmissionStats{a.attaches.rate(), a.connects.rate(), a.twins.rate(), a.throttled.Load()}
}

// RestartPeaks begins the peaks of AdmissionStats anew.
func (h *Hub) RestartPeaks() {
	for _, p := range []*peak{&h.admission.attaches, &h.admission.connects, &h.admission.twins} {
		p.restart()
	}
}

// Attach implements Head.
func (h *Hub) Attach(id Identity, first bool) (wait time.Duration, err error) {
	now := h.opts.Now()
	h.admission.attaches.count(now)
	t := h.tallyOf(id)
	t.attaches.Add(1)
	if first {
		h.admission.connects.count(now)
	}
	if refusal := h.attachFault(id); refusal != nil {
		t.refused.Add(1)
		return 0, refusal
	}
	if !first {
		return 0, nil
	}
	wait, ok := h.turn(&h.admission.connecting, h.opts.Admission.Connects)
	if !ok {
		t.refused.Add(1)
		return 0, &Refusal{ConditionThrottled, "too many devices connect at once"}
	}
	return wait, nil
}

// tallyOf is for identities that nobody has vouched for yet.
func (h *Hub) tallyOf(id Identity) *tally {
	if h.knows(id) != nil {
		return &tally{}
	}
	return h.seen.of(id)
}

// twinTurn is asked before every twin operation of a client, and waits its turn.
func (h *Hub) twinTurn(ctx context.Context) error {
	h.admission.twins.count(h.opts.Now())
	wait, ok := h.turn(&h.admission.operating, h.opts.Admission.Twins)
	if !ok {
		return ErrThrottled
	}
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
		return errors.New("the hub is closed")
	}
}

// turn lets one through at the rate and says how long it has to wait, or that it has come
// too fast.
func (h *Hub) turn(p *pace, rate int) (wait time.Duration, ok bool) {
	if rate <= 0 {
		return 0, true
	}
	patience := maxTurn
	if h.opts.Admission.Refuse {
		patience = 0
	}
	wait, ok = p.take(h.opts.Now(), rate, patience)
	if !ok || wait > 0 {
		h.admission.throttled.Add(1)
	}
	return wait, ok
}

// bind says whether an identity may be present with all that it has. Caller holds mu.
func (h *Hub) bind(id Identity) bool {
	limit := h.opts.Admission.Clients
	if limit <= 0 {
		return true
	}
	if _, before := h.bound[id]; before {
		return true
	}
	present := 0
	for _, c := range h.clients {
		if c.session != nil {
			present++
		}
	}
	if present >= limit {
		return false
	}
	h.bound[id] = struct{}{}
	return true
}

// ForgetClients makes the hub count clients anew that were present before, as one that was
// started again.
func (h *Hub) ForgetClients() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.bound)
}
