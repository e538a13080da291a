package identity

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache remembers what a source has said, in memory only: so long that a renewed token
// does not ask anew, and not so long that a key that was changed stays unknown.
type cache struct {
	source Source
	life   lifetimes

	mu      sync.Mutex
	entries *simplelru.LRU[string, entry] // the least recently asked devices leave
}

// lifetimes say how long an answer counts.
type lifetimes struct {
	// known is that of a credential, unknown that of "no such device": short, because
	// somebody is about to register it.
	known, unknown time.Duration
	// stale is how much longer a credential serves while its source is unavailable.
	stale time.Duration
}

// entry is one answer: a credential, or that there is none.
type entry struct {
	credential Credential
	known      bool
	until      time.Time
}

// newCache remembers the answers for so many devices, at least one.
func newCache(source Source, life lifetimes, most int) (*cache, error) {
	entries, err := simplelru.NewLRU[string, entry](most, nil)
	if err != nil {
		return nil, err
	}
	return &cache{source: source, life: life, entries: entries}, nil
}

// Credential implements Source.
func (c *cache) Credential(ctx context.Context, hubDevice string) (Credential, error) {
	old, ok := c.get(hubDevice)
	if ok && time.Now().Before(old.until) {
		if !old.known {
			return Credential{}, ErrUnknown
		}
		return old.credential, nil
	}
	got, err := c.source.Credential(ctx, hubDevice)
	switch {
	case err == nil:
		c.add(hubDevice, entry{credential: got, known: true, until: c.until(got)})
	case errors.Is(err, ErrUnknown):
		c.add(hubDevice, entry{until: time.Now().Add(c.life.unknown)})
	case ok && old.known && time.Now().Before(old.until.Add(c.life.stale)):
		return old.credential, nil
	}
	return got, err
}

// until is when a credential has to be asked for again.
func (c *cache) until(got Credential) time.Time {
	until := time.Now().Add(c.life.known)
	if got.Certificate != nil && got.Certificate.Leaf != nil && got.Certificate.Leaf.NotAfter.Before(until) {
		return got.Certificate.Leaf.NotAfter
	}
	return until
}

// Forget lets go of one device's answer.
func (c *cache) Forget(hubDevice string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(hubDevice)
}

func (c *cache) get(hubDevice string) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Get(hubDevice)
}

func (c *cache) add(hubDevice string, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Add(hubDevice, e)
}
