package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"
)

// refusalKept is how long a device that a message named, and that was refused, is not
// asked about again: its messages go on coming.
const refusalKept = time.Minute

// secretKept bounds what is kept of a secret: as much as authenticators look at.
const secretKept = 8 << 10

// standing is what a session knows of the claims that were made on its link. Most
// listeners never make one.
type standing struct {
	waiting atomic.Bool          // for the verdict about a login: no datagram is taken
	ward    atomic.Pointer[ward] // the link is in quarantine

	mu     sync.Mutex
	ended  bool
	known  map[string]mark // by device, at most bindingsPerLink
	login  Verdict         // about the device that the link logged in as
	secret string          // of the last login, to keep it out of what is kept
	expiry *time.Timer     // ends the session
}

// mark is a verdict that is remembered. With pending there is none yet.
type mark struct {
	verdict Verdict
	proof   proof
	until   time.Time // zero: as long as the link lives
	pending bool
}

// proof stands for a secret, so that a verdict is for an equal one only: its SHA-256,
// zero for none.
type proof [sha256.Size]byte

func proofOf(secret string) (p proof) {
	if secret != "" {
		p = sha256.Sum256([]byte(secret))
	}
	return p
}

// stand is the session's standing, made with the first claim that needs one.
func (s *Session) stand() *standing {
	if st := s.standing.Load(); st != nil {
		return st
	}
	s.standing.CompareAndSwap(nil, new(standing))
	return s.standing.Load()
}

// recall returns what was decided about an equal claim on this link. A stream's login is
// judged each time, a datagram's may come with every datagram.
func (st *standing) recall(c Claim, now time.Time) (Verdict, bool) {
	p := proofOf(c.Secret)
	st.mu.Lock()
	defer st.mu.Unlock()
	m, ok := st.known[c.Device]
	switch {
	case !ok || !m.until.IsZero() && !now.Before(m.until):
		return Verdict{}, false
	case m.pending:
		return Verdict{Decision: pending}, true
	case m.proof != p: // digests need no care about time
		return Verdict{}, false
	default:
		return m.verdict, true
	}
}

// remember keeps a verdict. Beyond the bound it is not kept, and the device judged with
// each message.
func (st *standing) remember(c Claim, v Verdict, now time.Time) {
	m := mark{verdict: v, proof: proofOf(c.Secret), until: v.Expires}
	if v.Decision == Refuse {
		m.until = now.Add(refusalKept)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if v.Decision == Undecided {
		delete(st.known, c.Device)
		return
	}
	st.put(c.Device, m)
}

func (st *standing) put(device string, m mark) bool {
	if _, there := st.known[device]; !there && len(st.known) >= bindingsPerLink {
		return false
	}
	if st.known == nil {
		st.known = make(map[string]mark)
	}
	st.known[device] = m
	return true
}

// begin notes that a claim is being judged aside; false when it may not be.
func (st *standing) begin(c Claim) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return !st.ended && st.put(c.Device, mark{pending: true})
}

// forget takes back what begin noted.
func (st *standing) forget(device string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.known[device].pending {
		delete(st.known, device)
	}
}

// shows tells whether bytes hold the secret of the login, as it is or as text that says
// it.
func shows(b []byte, secret string) bool {
	if secret == "" {
		return false
	}
	for _, form := range secretForms(secret) {
		if bytes.Contains(b, form) {
			return true
		}
	}
	return false
}

func secretForms(secret string) [][]byte {
	raw := []byte(secret)
	digits := []byte(hex.EncodeToString(raw))
	return [][]byte{
		raw, digits, bytes.ToUpper(digits),
		[]byte(base64.RawStdEncoding.EncodeToString(raw)), []byte(base64.RawURLEncoding.EncodeToString(raw)),
	}
}

// masked returns the bytes with asterisks in the secret's place.
func masked(b []byte, secret string) []byte {
	b = bytes.Clone(b)
	if secret == "" {
		return b
	}
	for _, form := range secretForms(secret) {
		b = bytes.ReplaceAll(b, form, bytes.Repeat([]byte("*"), len("*****")))
	}
	return b
}

// verdictOf is what let a device in, and until when.
func (st *standing) verdictOf(device string) (by string, expires *time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	v := st.login
	if m, ok := st.known[device]; ok {
		v = m.verdict
	}
	if !v.Expires.IsZero() {
		at := v.Expires.UTC()
		expires = &at
	}
	return v.By, expires
}
