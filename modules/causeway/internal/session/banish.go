package session

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Banish takes a device that may not stay from all links: those that it has logged in
// on, or whose fixed id it is, are closed, for a reason that operators read. A link that
// only names it in messages goes on; the device is judged anew with its next message, and
// so is a claim that is being judged now. It returns how many links were closed.
func (t *Table) Banish(device, reason string) (closed int) {
	t.banished.note(device, reason)
	for _, s := range t.links() {
		if s.banish(device, reason) {
			closed++
		}
	}
	return closed
}

// links are the sessions of now.
func (t *Table) links() []*Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Session, 0, len(t.sessions))
	for s := range t.sessions {
		list = append(list, s)
	}
	return list
}

// BanishAll closes the links of a range of addresses, and returns how many.
func (t *Table) BanishAll(of netip.Prefix, reason string) (closed int) {
	for _, s := range t.links() {
		if of.Contains(s.link.Peer().Remote.Addr().Unmap()) {
			s.link.Close(reason)
			closed++
		}
	}
	return closed
}

// banish takes a device from the session, and tells whether that closes its link.
func (s *Session) banish(device, reason string) bool {
	if s.known() == device {
		s.link.Close(reason)
		return true
	}
	if st := s.standing.Load(); st != nil {
		st.drop(device)
	}
	s.profile.Table.release(device, s, reason)
	return false
}

// banishedKept is how many devices are remembered that were banished last, some 40 bytes
// each. A verdict takes seconds; where more were banished meanwhile it is asked for again.
const banishedKept = 256

// banishments are the devices that were banished last, for claims that were being judged
// meanwhile: no link shows those.
type banishments struct {
	count atomic.Uint64
	mu    sync.Mutex
	last  [banishedKept]banishment
}

type banishment struct{ device, reason string }

func (b *banishments) note(device, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.count.Load()
	b.last[n%banishedKept] = banishment{device, reason}
	b.count.Store(n + 1)
}

// since tells whether a device was banished after the count was so many, and why.
func (b *banishments) since(count uint64, device string) (reason string, is bool) {
	if b.count.Load() == count {
		return "", false // nobody was: nearly always
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.count.Load()
	if now-count > banishedKept {
		return "judged-again", true
	}
	for n := count; n < now; n++ {
		if e := b.last[n%banishedKept]; e.device == device {
			return e.reason, true
		}
	}
	return "", false
}

// ousted tells whether a device was banished while a claim of it was being judged. Then
// it goes the way of those that Banish found.
func (s *Session) ousted(c Claim) bool {
	reason, is := s.profile.Table.banished.since(c.since, c.Device)
	if is {
		s.banish(c.Device, reason)
	}
	return is
}

// expire takes devices from the links that only name them in messages, once their time is
// over. Links that they have logged in on are closed by a timer of their own.
func (t *Table) expire(now time.Time) {
	t.mu.Lock()
	var over map[string]*Session
	for device, on := range t.devices {
		if !on.until.IsZero() && !now.Before(on.until) && !on.session.loggedIn(device) {
			if over == nil {
				over = make(map[string]*Session)
			}
			over[device] = on.session
		}
	}
	t.mu.Unlock()
	for device, s := range over {
		t.release(device, s, reasonExpired)
	}
}
