package authenticate

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// rightEntries and wrongEntries bound what is remembered, some 200 bytes each. A
	// fleet that comes back all at once must not wait for its hashes one by one; a
	// device that repeats a wrong password must not cost a hash each time. They stand
	// apart, so that guesses cannot push out what is right.
	rightEntries = 32768
	wrongEntries = 4096
	// remembered is how long: a day, so that a fleet's nightly gap is covered.
	remembered = 24 * time.Hour
)

// digest is a keyed hash of what must not be kept.
type digest [sha256.Size]byte

// sealer makes digests with a key that lives as long as the process. Whoever reads a
// digest out of memory still has to try passwords, but cannot look them up.
type sealer struct{ key [32]byte }

func newSealer() *sealer {
	s := &sealer{}
	_, _ = rand.Read(s.key[:]) // never fails: it ends the program
	return s
}

// seal hashes the parts, each with its length before it, so that no two lists of parts
// are the same bytes.
func (s *sealer) seal(parts ...string) (d digest) {
	m := hmac.New(sha256.New, s.key[:])
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		m.Write(length[:])
		m.Write([]byte(p))
	}
	m.Sum(d[:0])
	return d
}

// Passwords hashes passwords and compares them with hashes, in workers. What was
// compared is remembered for a day as a keyed hash of both: a change of the hash counts
// at once. One serves all authenticators; it is safe for concurrent use.
type Passwords struct {
	workers *Workers
	now     func() time.Time
	sealer  *sealer
	right   *lru.Cache[digest, time.Time]
	wrong   *lru.Cache[digest, time.Time]
}

// NewPasswords uses workers for the hashing, nil for some of its own; nil for the clock
// is time.Now.
func NewPasswords(w *Workers, now func() time.Time) *Passwords {
	if w == nil {
		w = NewWorkers(WorkersOptions{})
	}
	if now == nil {
		now = time.Now
	}
	p := &Passwords{workers: w, now: now, sealer: newSealer()}
	p.right, _ = lru.New[digest, time.Time](rightEntries) // fails for sizes below 1 only
	p.wrong, _ = lru.New[digest, time.Time](wrongEntries)
	return p
}

// Work runs other work of the kind in the same workers, such as the check of a signature:
// together they take no more cores than there are workers. The error is that of
// [Workers.Do].
func (p *Passwords) Work(ctx context.Context, fn func()) error { return p.workers.Do(ctx, fn) }

// Hash returns the hash to keep of a password. It may wait for a worker; the error may
// be ErrBusy.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("hash password: it has %d bytes, allowed are 1 to %d", len(password), maxPassword)
	}
	var text string
	if err := p.workers.Do(ctx, func() { text = hashed(password) }); err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return text, nil
}

// Matches tells whether a password is the one of a hash. It may wait for a worker; the
// error may be ErrBusy, ErrHash, or that of the context.
func (p *Passwords) Matches(ctx context.Context, text, password string) (bool, error) {
	if password == "" || len(password) > maxPassword {
		return false, nil
	}
	key := p.sealer.seal(text, password)
	now := p.now()
	if until, ok := p.right.Get(key); ok && now.Before(until) {
		return true, nil
	}
	if until, ok := p.wrong.Get(key); ok && now.Before(until) {
		return false, nil
	}
	h, err := parseHash(text)
	if err != nil {
		return false, err
	}
	var ok bool
	if err := p.workers.Do(ctx, func() { ok = h.matches(password) }); err != nil {
		if errors.Is(err, ErrBusy) {
			return false, err
		}
		return false, fmt.Errorf("compare password: %w", err)
	}
	if ok {
		p.right.Add(key, now.Add(remembered))
	} else {
		p.wrong.Add(key, now.Add(remembered))
	}
	return ok, nil
}
