package authenticate

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// Rules changes how failures are answered, for those that come from now on; a zero value
// leaves a rule as it is. Cool-downs that run go on.
func (g *Guard) Rules(pair, address, device CoolDown) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range []struct{ to, from *CoolDown }{
		{&g.pairs.rule, &pair}, {&g.addresses.rule, &address}, {&g.devices.rule, &device},
	} {
		if *r.from != (CoolDown{}) {
			*r.to = *r.from
		}
	}
}

// Banned tells whether an address is banned, whatever the device. Cool-downs do not
// count: devices that are known at an address may come in all the same.
func (g *Guard) Banned(remote netip.Addr) bool {
	now, remote := g.with.Now(), plain(remote)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, list := range [...]*bans{g.byTwin, g.byMethod} {
		if _, is := list.find(remote, "", now); is {
			return true
		}
	}
	return false
}

// ExportDevice is one device as Export writes it, with the hash of its password. The
// error may be ErrNoDevice, or that of the file.
func (d *Database) ExportDevice(id string) ([]byte, error) {
	r, err := d.get(id)
	if err != nil {
		return nil, fmt.Errorf("export device %q: %w", short(id), err)
	}
	return json.Marshal(r)
}
