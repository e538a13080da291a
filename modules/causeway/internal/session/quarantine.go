package session

import (
	"container/list"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// QuarantineBounds are what a quarantine may take: devices in all, and the first frames
// of each, so many and so many bytes.
type QuarantineBounds struct{ Devices, Frames, Bytes int }

// Quarantine is the devices that nobody knows yet. They stay connected; nothing of them
// is decoded, sent or acknowledged, until somebody decides. It is safe for concurrent
// use.
type Quarantine struct {
	mu     sync.Mutex
	bounds QuarantineBounds
	wards  map[string]*list.Element // of *ward, by device
	order  list.List                // the oldest first
}

// NewQuarantine returns an empty quarantine.
func NewQuarantine(b QuarantineBounds) *Quarantine {
	return &Quarantine{bounds: b, wards: make(map[string]*list.Element)}
}

// Bound changes the bounds, for what comes from now on.
func (q *Quarantine) Bound(b QuarantineBounds) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bounds = b
}

// Len is how many devices there are in it.
func (q *Quarantine) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.order.Len()
}

// Quarantined is what operators are told of a device in quarantine.
type Quarantined struct {
	Device   string    `json:"deviceId"`
	Listener string    `json:"listener"`
	Codec    string    `json:"codec"`
	Remote   string    `json:"remote"`
	Since    time.Time `json:"since"`
	// Frames are the first that came after the login, in hexadecimal; where the device
	// was named by a message, the bodies of its first messages. The secret of the login
	// is masked.
	Frames []string `json:"frames"`
	// More is how many came besides, and were not kept.
	More int `json:"more"`
}

// List returns up to limit devices in ascending order of id, after the given one, and
// how many there are. A page ends earlier where it has more than so many bytes.
func (q *Quarantine) List(after string, limit, size int) (page []Quarantined, total int) {
	q.mu.Lock()
	total = q.order.Len()
	var wards []*ward
	for device, e := range q.wards {
		if device > after {
			wards = append(wards, wardOf(e))
		}
	}
	q.mu.Unlock()
	slices.SortFunc(wards, func(a, b *ward) int {
		if a.claim.Device < b.claim.Device {
			return -1
		}
		return 1
	})
	page = []Quarantined{}
	for _, w := range wards[:min(len(wards), limit)] {
		d := w.describe()
		for _, f := range d.Frames {
			size -= len(f)
		}
		if size < 0 && len(page) > 0 {
			break
		}
		page = append(page, d)
	}
	return page, total
}

// On is the name of the listener by which a device in quarantine came, empty for none.
func (q *Quarantine) On(device string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.wards[device]; e != nil {
		return wardOf(e).session.profile.Listener
	}
	return ""
}

// Admit lets a device in on the link that it is on, false when it is not in quarantine.
// What was kept of a stream is taken now, in order; where more came than was kept, the
// link is closed instead, so that the device begins anew. Datagrams come again.
func (q *Quarantine) Admit(device string, v Verdict) bool {
	w := q.take(device)
	if w == nil {
		return false
	}
	w.session.discharge(w, v)
	return true
}

// Reject refuses a device, and closes the link that it has logged in on; false when it
// is not in quarantine.
func (q *Quarantine) Reject(device, reason string) bool {
	w := q.take(device)
	if w == nil {
		return false
	}
	w.session.reject(w, Verdict{Reason: reason})
	return true
}

func wardOf(e *list.Element) *ward {
	w, _ := e.Value.(*ward)
	return w
}

// enter puts a device into quarantine, in place of the oldest where it is full. It
// returns those that have to go.
func (q *Quarantine) enter(w *ward) (gone []*ward) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.bounds = q.bounds
	if e := q.wards[w.claim.Device]; e != nil { // on another link: the newest counts, as of logins
		gone = append(gone, wardOf(e))
		q.order.Remove(e)
	}
	q.wards[w.claim.Device] = q.order.PushBack(w)
	for q.order.Len() > max(q.bounds.Devices, 1) {
		oldest := wardOf(q.order.Front())
		q.order.Remove(q.order.Front())
		delete(q.wards, oldest.claim.Device)
		gone = append(gone, oldest)
	}
	return gone
}

func (q *Quarantine) take(device string) *ward {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.wards[device]
	if e == nil {
		return nil
	}
	q.order.Remove(e)
	delete(q.wards, device)
	return wardOf(e)
}

// holds tells whether a device is in quarantine on this session.
func (q *Quarantine) holds(device string, s *Session) bool { return q.find(device, s) != nil }

func (q *Quarantine) find(device string, s *Session) *ward {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.wards[device]; e != nil && wardOf(e).session == s {
		return wardOf(e)
	}
	return nil
}

// sample keeps the body of a message of a device in quarantine.
func (q *Quarantine) sample(device string, s *Session, b []byte, at time.Time) {
	if w := q.find(device, s); w != nil && !w.login {
		w.keep(b, at)
	}
}

// leave takes the devices of a session out.
func (q *Quarantine) leave(s *Session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for device, e := range q.wards {
		if wardOf(e).session == s {
			q.order.Remove(e)
			delete(q.wards, device)
		}
	}
}

// ward is one device in quarantine.
type ward struct {
	session *Session
	claim   Claim
	login   bool   // the whole link is held, not only the messages of a device
	refuse  []byte // framed
	since   time.Time
	bounds  QuarantineBounds

	mu       sync.Mutex
	frames   []keptFrame
	bytes    int
	more     int
	released atomic.Bool // written with mu held
}

type keptFrame struct {
	bytes []byte
	at    time.Time
}

// keep takes a frame, false when the device is not held any more. While what was kept is
// being taken, it waits.
func (w *ward) keep(b []byte, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.released.Load():
		return false
	case w.more > 0 || len(w.frames) >= w.bounds.Frames || w.bytes+len(b) > w.bounds.Bytes:
		w.more++ // only the first: what is taken later may have no gap
	default:
		w.frames = append(w.frames, keptFrame{slices.Clone(b), at})
		w.bytes += len(b)
	}
	return true
}

func (w *ward) describe() Quarantined {
	peer, p := w.session.link.Peer(), w.session.profile
	w.mu.Lock()
	defer w.mu.Unlock()
	d := Quarantined{
		Device: w.claim.Device, Listener: p.Listener, Codec: p.CodecName, Remote: peer.Remote.String(),
		Since: w.since.UTC(), Frames: make([]string, 0, len(w.frames)), More: w.more,
	}
	for _, f := range w.frames {
		d.Frames = append(d.Frames, hex.EncodeToString(masked(f.bytes, w.claim.Secret)))
	}
	return d
}
