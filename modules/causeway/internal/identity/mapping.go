package identity

import (
	"fmt"
	"strings"
	"sync"
)

// Rule computes the hub's device id from the device's own; empty means that the rule
// does not apply to it.
type Rule interface {
	HubDevice(own string) (string, error)
}

// Mapping translates a device's own id (IMEI, serial, phone number) to the hub's device
// id and back. What gives an id first counts: the table, the rule, the prefix before the
// own id; without any of them the hub's id is the own one.
//
// Each of the hub's ids belongs to the first device that got it, for the mapping's life:
// a second one is refused, never merged with it. Ids that differ in case only are one,
// because the edge hub compares them so. It is safe for concurrent use.
type Mapping struct {
	prefix string
	rule   Rule // or nil
	// most bounds what is remembered of devices that the table does not name: anybody can
	// invent ids, where no authentication keeps them out.
	most int
	// gateway is the gateway's own id where it is a device, or empty.
	gateway string

	mu       sync.Mutex
	table    map[string]string // own id to the hub's, as configured; never changes
	assigned map[string]string // own id to the hub's, what was given out
	owners   map[string]string // the hub's id in lower case to the own id, of both
}

// newMapping takes a table whose hub ids are legal and differ.
func newMapping(table map[string]string, rule Rule, prefix string, most int) *Mapping {
	m := &Mapping{
		prefix: prefix, rule: rule, most: most,
		table: table, assigned: make(map[string]string), owners: make(map[string]string),
	}
	for own, hub := range table {
		m.owners[fold(hub)] = own
	}
	return m
}

// HubDevice returns the hub's id of a device. The same own id always gets the same. The
// error names the id and what is allowed; it wraps ErrIllegal, ErrCollision or ErrFull.
func (m *Mapping) HubDevice(own string) (string, error) {
	if hub, ok := m.known(own); ok {
		return hub, nil
	}
	hub, err := m.translate(own)
	if err != nil {
		return "", err
	}
	if isGateway(m.gateway, hub) {
		return "", fmt.Errorf("%w: device %q would be %q, which is the gateway itself", ErrCollision, short(own), hub)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if hub, ok := m.assigned[own]; ok { // by another link of the device, meanwhile
		return hub, nil
	}
	if owner, taken := m.owners[fold(hub)]; taken {
		return "", fmt.Errorf("%w: device %q would be %q, which is device %q", ErrCollision, short(own), hub, short(owner))
	}
	if len(m.assigned) >= m.most {
		return "", fmt.Errorf("%w: device %q is one more than %d", ErrFull, short(own), m.most)
	}
	m.assigned[own], m.owners[fold(hub)] = hub, own
	return hub, nil
}

// Own returns the device's own id, where the hub's id has been given to a device or the
// table names it. Case does not matter.
func (m *Mapping) Own(hubDevice string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	own, ok := m.owners[fold(hubDevice)]
	return own, ok
}

// Release gives a device's assignment back, for one that the hub does not know: invented
// ids would otherwise use up the bound. What the table says stays.
func (m *Mapping) Release(own string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if hub, ok := m.assigned[own]; ok {
		delete(m.assigned, own)
		delete(m.owners, fold(hub))
	}
}

func (m *Mapping) known(own string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if hub, ok := m.table[own]; ok {
		return hub, true
	}
	hub, ok := m.assigned[own]
	return hub, ok
}

// translate computes the hub's id of a device that the table does not name.
func (m *Mapping) translate(own string) (string, error) {
	switch {
	case own == "":
		return "", fmt.Errorf("%w: the device's own is empty", ErrIllegal)
	case len(own) > maxOwn:
		return "", fmt.Errorf("%w: device %q has %d bytes, at most %d are allowed", ErrIllegal, short(own), len(own), maxOwn)
	}
	hub := ""
	if m.rule != nil {
		var err error
		if hub, err = m.rule.HubDevice(own); err != nil {
			return "", fmt.Errorf("%w: the rule for device %q: %w", ErrIllegal, short(own), err)
		}
	}
	if hub == "" {
		hub = m.prefix + own
	}
	if err := CheckID(hub); err != nil {
		return "", fmt.Errorf("device %q: %w", short(own), err)
	}
	return hub, nil
}

// maxOwn bounds the own ids that are remembered, in bytes: twice what the hub takes, so
// that a rule may shorten them.
const maxOwn = 2 * maxID

// fold makes one of ids that the edge hub takes for one. Ids are ASCII, so no other
// letters are folded.
func fold(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, id)
}
