package session

import "net/netip"

// Banish closes the link of a device that may not stay, for a reason that operators
// read. A link that has logged in as another device and only speaks for this one goes
// on; the device is judged anew with its next message. It returns whether there was one.
func (t *Table) Banish(device, reason string) bool {
	s := t.Find(device)
	if s == nil {
		return false
	}
	if id := s.identity.Load(); id != nil && *id == device {
		s.link.Close(reason)
		return true
	}
	if st := s.standing.Load(); st != nil {
		st.drop(device)
	}
	t.moves.Add(1)
	return true
}

// BanishAll closes the links of a range of addresses, and returns how many.
func (t *Table) BanishAll(of netip.Prefix, reason string) int {
	t.mu.Lock()
	var list []*Session
	for s := range t.sessions {
		if of.Contains(s.link.Peer().Remote.Addr().Unmap()) {
			list = append(list, s)
		}
	}
	t.mu.Unlock()
	for _, s := range list {
		s.link.Close(reason)
	}
	return len(list)
}
