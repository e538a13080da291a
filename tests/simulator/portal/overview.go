package portal

import (
	"net/http"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// maxListed bounds the identities of an overview: a page is read by people.
const maxListed = 500

// overview is the state of everything but the messages.
type overview struct {
	IoTHub string `json:"iothub"`
	Device string `json:"device"`
	// Listening is false while the hub is down.
	Listening bool         `json:"listening"`
	Stats     edge.Stats   `json:"stats"`
	Routes    []edge.Route `json:"routes"`
	// Identities are the edge device and its modules, then all others; Unlisted counts
	// those for which there was no room.
	Identities []identity `json:"identities"`
	Unlisted   int        `json:"unlisted"`
}

type identity struct {
	Device    string `json:"device"`
	Module    string `json:"module,omitempty"`
	Connected bool   `json:"connected"`
	// Disabled ones are barred from connecting.
	Disabled bool `json:"disabled,omitempty"`
	// LastSeen is absent when the identity was not seen since the simulator started.
	LastSeen *time.Time `json:"lastSeen,omitempty"`
}

func (p *Portal) overview(w http.ResponseWriter, _ *http.Request) {
	known := p.hub.Identities()
	device := p.hub.Device()
	slices.SortStableFunc(known, func(a, b edge.KnownIdentity) int {
		switch {
		case (a.Device == device) == (b.Device == device):
			return 0
		case a.Device == device:
			return -1
		}
		return 1
	})
	o := overview{
		IoTHub: p.hub.IoTHub(), Device: device, Listening: p.heads.Listening(), Stats: p.hub.Stats(),
		Routes: p.hub.Routes(), Identities: []identity{}, Unlisted: max(len(known)-maxListed, 0),
	}
	// The list of clients has no room for 20,000 of them either.
	o.Stats.Clients = o.Stats.Clients[:min(len(o.Stats.Clients), maxListed)]
	for _, k := range known[:min(len(known), maxListed)] {
		entry := identity{Device: k.Device, Module: k.Module, Connected: p.hub.Connected(k.Identity)}
		if e, err := p.hub.Entry(k.Identity); err == nil { // it may be gone by now
			entry.Disabled = e.Disabled
		}
		if at := p.hub.LastSeen(k.Identity); !at.IsZero() {
			at = at.UTC()
			entry.LastSeen = &at
		}
		o.Identities = append(o.Identities, entry)
	}
	reply(w, http.StatusOK, o)
}
