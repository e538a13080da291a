package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/lifecycle"
)

// identityState is what operators are told of all identities.
type identityState struct {
	Attached    int `json:"attached"`
	Waiting     int `json:"waiting"`
	Refused     int `json:"refused"`
	Quarantined int `json:"quarantined"`
	Connections int `json:"connections"`
	// Troubled are some of those that are refused or in quarantine, with the reason.
	Troubled map[string]string `json:"troubled,omitempty"`
}

const (
	// troubledTold bounds them: the reported twin has 32 KiB for everything.
	troubledTold = 10
	reasonTold   = 200
)

func (i *identities) state() identityState {
	s := identityState{Connections: i.leaves.Shards(), Troubled: map[string]string{}}
	list := i.leaves.Statuses(nil)
	slices.SortFunc(list, func(a, b hub.LeafStatus) int { return strings.Compare(a.ID, b.ID) }) // always the same are told
	for _, l := range list {
		switch l.State {
		case hub.LeafAttached:
			s.Attached++
		case hub.LeafRefused:
			s.Refused++
		case hub.LeafQuarantined:
			s.Quarantined++
		default:
			s.Waiting++
		}
		if l.State == hub.LeafRefused || l.State == hub.LeafQuarantined {
			if len(s.Troubled) < troubledTold {
				s.Troubled[reportable(l.ID)] = fmt.Sprintf("%s: %.*s", l.State, reasonTold, l.Reason)
			}
		}
	}
	return s
}

// reportable makes an id the key of a twin, which knows no ".", "$", "#" and spaces.
func reportable(id string) string {
	b := []byte(id)
	for n, c := range b {
		if c == '.' || c == '$' || c == '#' || c <= ' ' {
			b[n] = '_'
		}
	}
	return string(b)
}

// Leaf implements hub.LeafObserver.
func (i *identities) Leaf(s hub.LeafStatus) {
	kind, o := lifecycle.IdentityDetached, i.g.observers
	switch s.State {
	case hub.LeafRefused, hub.LeafQuarantined:
		kind = lifecycle.IdentityRefused
		o.flood.Warn("device's identity "+string(s.State), errors.New(s.Reason), "device", s.Device, "hubDevice", s.ID)
	case hub.LeafAttached:
		kind = lifecycle.IdentityAttached
		fallthrough
	default:
		o.log.Debug().Str("device", s.Device).Str("hubDevice", s.ID).Str("state", string(s.State)).Str("reason", s.Reason).
			Msg("device's identity")
	}
	status, _ := i.g.table.Device(s.Device)
	i.g.events.identity(kind, status.Listener, s.Device, s.Reason[:min(len(s.Reason), reasonTold)])
}

// Shard implements hub.LeafObserver.
func (i *identities) Shard(devices int, err error) {
	i.g.observers.flood.Warn("connection of devices ended", err, "devices", strconv.Itoa(devices))
}

// Batch implements hub.LeafObserver.
func (i *identities) Batch(messages int, inFlight time.Duration, condition string) {
	i.g.observers.Batch(messages, inFlight, condition)
}

// Identities implements command.Gateway.
func (g *Gateway) Identities(after string, limit int, state string) (page []any, total int) {
	list := g.identities.leaves.Statuses(func(s hub.LeafStatus) bool { return state == "" || string(s.State) == state })
	slices.SortFunc(list, func(a, b hub.LeafStatus) int { return strings.Compare(a.Device, b.Device) })
	for _, s := range list {
		if s.Device > after && len(page) < limit {
			page = append(page, s)
		}
	}
	return page, len(list)
}

// DiscardMessages implements command.Identities. What a device that is connected sends would be
// refused meanwhile.
func (g *Gateway) DiscardMessages(ctx context.Context, device string) (messages int, err error) {
	if g.table.Find(device) != nil {
		return 0, fmt.Errorf("%w: it is connected", command.ErrInUse)
	}
	messages, err = g.identities.leaves.Discard(ctx, device)
	if errors.Is(err, hub.ErrLeafBusy) {
		return messages, fmt.Errorf("%w: %w", command.ErrInUse, err)
	}
	return messages, err
}

// used tells whether identities are of interest at all.
func (i *identities) used() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.use
}

// oldest is when the oldest message was taken that no hub has settled, in memory or on disk; zero
// for none.
func (i *identities) oldest() time.Time {
	oldest := i.leaves.Stats().Oldest
	if disk := i.stats(); oldest.IsZero() || !disk.Oldest.IsZero() && disk.Oldest.Before(oldest) {
		oldest = disk.Oldest
	}
	return oldest
}

// identityGauges adds what is known of identities to the metrics.
func (o *observers) identityGauges(i *identities) error {
	for _, gauge := range []struct {
		name, help string
		value      func() float64
	}{
		{"causeway_identities_attached", "Devices attached under an identity of their own.",
			func() float64 { return float64(i.state().Attached) }},
		{"causeway_identities_refused", "Devices whose identity the hub refuses, or that have no key.",
			func() float64 { return float64(i.state().Refused) }},
		{"causeway_identities_quarantined", "Devices that brought down their connection again and again.",
			func() float64 { return float64(i.state().Quarantined) }},
		{"causeway_identity_connections", "Connections that devices with an identity share.",
			func() float64 { return float64(i.leaves.Shards()) }},
		{"causeway_identity_queue_bytes", "Bytes of such devices taken and neither with the hub nor on disk.",
			func() float64 { return float64(i.leaves.Stats().Bytes) }},
		{"causeway_identity_spool_messages", "Messages of such devices on disk that wait for the hub.", func() float64 {
			return float64(i.stats().Records)
		}},
	} {
		if err := o.metrics.Gauge(gauge.name, gauge.help, gauge.value); err != nil {
			return err
		}
	}
	return nil
}
