package session

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// deviceIDLimit is IoT Hub's own bound for a device id.
	deviceIDLimit = 128
	// bindingsPerLink bounds the devices that one link speaks for, as a meter
	// concentrator does; the others' messages pass, but commands do not find them.
	bindingsPerLink = 4096
)

// Table is the live table: which sessions there are, and which one speaks for a
// device. It is safe for concurrent use.
type Table struct {
	// Present is called when a device is found on a session that it was not on
	// before. It must not block. It is set before the first session.
	Present func(device string)

	// moves changes when a device that a session speaks for may have come to be
	// spoken for by another, or by none: lanes then look again.
	moves atomic.Uint64

	banished banishments

	mu       sync.Mutex
	sessions map[*Session]struct{}
	devices  map[string]seat
}

// seat is the session that speaks for a device, and by what it does.
type seat struct {
	session *Session
	trust   Trust
	until   time.Time // when the device has to go; zero is never
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{sessions: make(map[*Session]struct{}), devices: make(map[string]seat)}
}

// Find returns the session that speaks for a device, nil for none.
func (t *Table) Find(device string) *Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.devices[device].session
}

// Status is what operators are told of one device.
type Status struct {
	Device   string    `json:"deviceId"`
	Listener string    `json:"listener"`
	Codec    string    `json:"codec"`
	Remote   string    `json:"remote"`
	Since    time.Time `json:"connectedSince"`
	LastSeen time.Time `json:"lastSeen"`
	Frames   uint64    `json:"frames"`
	Messages uint64    `json:"messages"`
	// AdmittedBy is the name of what let the device in, and Expires when it has to go;
	// both are absent where nothing has judged it.
	AdmittedBy string     `json:"admittedBy,omitempty"`
	Expires    *time.Time `json:"expires,omitempty"`
	// DuplicateLogins is how many logins in a row found an open link of the device.
	DuplicateLogins uint64 `json:"duplicateLogins,omitempty"`
}

// Status describes the device on its session.
func (s *Session) status(device string) Status {
	peer := s.link.Peer()
	d := Status{
		Device: device, Listener: s.profile.Listener, Codec: s.profile.CodecName, Remote: peer.Remote.String(),
		Since: s.began.UTC(), LastSeen: s.lastSeen().UTC(), Frames: s.frames.Load(), Messages: s.seq.Load(),
	}
	if id := s.identity.Load(); id != nil && *id == device {
		d.DuplicateLogins = s.doubles.Load()
	}
	if st := s.standing.Load(); st != nil {
		d.AdmittedBy, d.Expires = st.verdictOf(device)
	}
	return d
}

func (s *Session) lastSeen() time.Time { return time.Unix(0, s.last.Load()) }

// Device returns the status of one device; false when it is not connected.
func (t *Table) Device(device string) (Status, bool) {
	s := t.Find(device)
	if s == nil {
		return Status{}, false
	}
	return s.status(device), true
}

// Devices returns up to limit devices in ascending order of id, after the given
// one, and how many there are in all.
func (t *Table) Devices(after string, limit int) (page []Status, total int) {
	t.mu.Lock()
	total = len(t.devices)
	ids := make([]string, 0, total)
	for id := range t.devices {
		if id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = ids[:min(len(ids), limit)]
	on := make([]*Session, len(ids))
	for i, id := range ids {
		on[i] = t.devices[id].session
	}
	t.mu.Unlock()
	for i, id := range ids {
		page = append(page, on[i].status(id))
	}
	return page, total
}

// Counts returns how many links and devices are live.
func (t *Table) Counts() (links, devices int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions), len(t.devices)
}

func (t *Table) enter(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions[s] = struct{}{}
}

func (t *Table) leave(s *Session) {
	reason := s.endedFor()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, s)
	for _, device := range s.bound.list {
		t.vacate(device, s, reason)
	}
	if s.bound.took {
		t.moves.Add(1)
	}
}

// vacate ends a session's speaking for a device, with mu held.
func (t *Table) vacate(device string, s *Session, reason string) {
	on := t.devices[device].session
	if on == s {
		delete(t.devices, device)
	}
	s.turned(Turn{Kind: TurnDisconnected, Device: device, Reason: reason, Elsewhere: on != nil && on != s})
}

// release ends a session's speaking for a device while the session goes on.
func (t *Table) release(device string, s *Session, reason string) {
	s.shifts.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, live := t.sessions[s]; live && s.bound.remove(device) {
		t.vacate(device, s, reason)
		if s.bound.took {
			t.moves.Add(1)
		}
	}
}

// claim gives a device that logged in to its new session. The link on which it
// logged in before is closed: half-open connections of mobile devices are many. False
// says that the other link has shown more, and keeps the device.
func (t *Table) claim(device string, s *Session, v Verdict) bool {
	old, ok := t.put(device, s, true, v)
	if old != nil && old.loggedIn(device) {
		t.retire(old)
		s.doubles.Store(old.doubles.Load() + 1)
		old.link.Close("taken-over")
	}
	return ok
}

// loggedIn tells whether the device has logged in here, as the last one.
func (s *Session) loggedIn(device string) bool {
	id := s.identity.Load()
	return id != nil && *id == device
}

// retire keeps a session that is about to end from taking devices back with the
// frames that it has still buffered.
func (t *Table) retire(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, s)
}

// put makes s speak for the device, by a login or because a message names it, and
// returns the session that did before. False says that this one has shown more, and
// keeps the device.
func (t *Table) put(device string, s *Session, login bool, v Verdict) (old *Session, ok bool) {
	took, old, ok := t.sit(device, s, login, v)
	if took && t.Present != nil {
		t.Present(device)
	}
	return old, ok
}

// sit is put; took tells whether the device was not on s before.
func (t *Table) sit(device string, s *Session, login bool, v Verdict) (took bool, old *Session, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.devices[device]
	old = before.session
	if _, live := t.sessions[s]; !live {
		return false, nil, true
	}
	if old != nil && old != s && v.Trust < before.trust {
		return false, nil, false
	}
	if login && v.By != "" {
		s.turned(Turn{Kind: TurnAuthenticated, Device: device})
	}
	if old == s {
		t.devices[device] = seat{s, v.Trust, v.Expires}
		return false, nil, true
	}
	first, room := s.bound.add(device)
	if !room {
		return false, nil, true
	}
	t.devices[device] = seat{s, v.Trust, v.Expires}
	// Links that share the listener's own id would pass it to and fro for ever.
	shared := device == s.profile.Device || device == s.profile.Listener
	if old != nil {
		s.bound.took = true
		if !shared {
			t.moves.Add(1)
		}
	}
	if login && old != nil && old.loggedIn(device) {
		s.turned(Turn{Kind: TurnTakenOver, Device: device, Before: old.link})
	}
	// A device that two links bring by turns is told of once for each, and again when the
	// other has gone.
	if first || old == nil && !shared {
		s.turned(Turn{Kind: TurnConnected, Device: device})
	}
	return true, old, true
}

// bind makes a session speak for a device that its messages name. It takes the
// device from an older session without closing it: messages prove less than a
// login, and the old link may speak for others. From one that has shown more it does
// not, and is false.
func (s *Session) bind(device string, v Verdict) bool {
	_, ok := s.profile.Table.put(device, s, false, v)
	return ok
}

// binding lists the devices that a session speaks for; guarded by Table.mu.
type binding struct {
	list []string
	took bool // some device was taken from another session
}

// add lists a device; first tells whether it was not there, ok whether it is now.
func (b *binding) add(device string) (first, ok bool) {
	if len(b.list) >= bindingsPerLink {
		return false, false // before looking through the list, which then would cost every message
	}
	if slices.Contains(b.list, device) {
		return false, true
	}
	b.list = append(b.list, device)
	return true, true
}

// remove takes a device out, false where it is not in.
func (b *binding) remove(device string) bool {
	at := slices.Index(b.list, device)
	if at >= 0 {
		b.list = slices.Delete(b.list, at, at+1)
	}
	return at >= 0
}

// checkDevice refuses ids that cannot travel as text: the hub would refuse their
// messages.
func checkDevice(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("device id is empty: %w", codec.ErrRefused)
	case len(id) > deviceIDLimit:
		return fmt.Errorf("device id of %d bytes, at most %d: %w", len(id), deviceIDLimit, codec.ErrRefused)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("device id %q is not printable text: %w", id, codec.ErrRefused)
	default:
		return nil
	}
}
