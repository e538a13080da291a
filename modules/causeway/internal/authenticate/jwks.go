package authenticate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	// maxKeySet bounds what a fetch reads: 32 RSA keys with their certificates.
	maxKeySet = 256 << 10
	// failedInterval is the longest time until the next fetch after one that failed:
	// no device comes in meanwhile.
	failedInterval = 5 * time.Second
)

// keySet is the keys of one JWKS URL. It is fetched when it is first needed, and in the
// caller's absence afterwards: keys that are known are used while newer ones come.
type keySet struct {
	url                    string
	client                 *http.Client
	now                    func() time.Time
	refresh, unknown, keep time.Duration

	ends context.Context
	end  context.CancelFunc
	runs sync.WaitGroup

	mu      sync.Mutex
	keys    []key
	fetched time.Time // when keys were; zero for never
	begun   time.Time // of the last fetch; zero for none
	err     error     // of the last fetch
	running chan struct{}
	closed  bool
}

func newKeySet(spec *jwksSpec, deps Deps) (*keySet, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if _, err := address("/jwks/url", spec.URL, spec.Plain); err != nil {
		return nil, err
	}
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	const conns = 1 // one fetch at a time
	c, err := client(spec.CA, seconds(spec.TimeoutSeconds), conns, deps)
	if err != nil {
		return nil, below("/jwks", err)
	}
	s := &keySet{
		url: spec.URL, client: c, now: deps.Now,
		refresh: seconds(spec.RefreshSeconds), unknown: seconds(spec.UnknownSeconds), keep: seconds(spec.KeepSeconds),
	}
	s.ends, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Close ends a fetch that runs, and waits for it.
func (s *keySet) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.runs.Wait()
	s.client.CloseIdleConnections()
	return nil
}

// find returns the keys that fit a token's header. When none does, it waits for a fetch,
// but at most one is begun in each interval. The error means that nobody can tell: there
// are no keys that are young enough.
func (s *keySet) find(ctx context.Context, h header) ([]key, error) {
	s.mu.Lock()
	found := s.known(h)
	if len(found) > 0 && s.age() < s.refresh {
		s.mu.Unlock()
		return found, nil
	}
	running := s.begin()
	s.mu.Unlock()
	if len(found) > 0 || running == nil {
		return s.outcome(found)
	}
	select {
	case <-running:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for keys: %w", ctx.Err())
	}
	s.mu.Lock()
	found = s.known(h)
	s.mu.Unlock()
	return s.outcome(found)
}

// outcome tells a key that does not exist from one that could not be fetched.
func (s *keySet) outcome(found []key) ([]key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(found) > 0:
		return found, nil
	case s.err != nil:
		return nil, fmt.Errorf("fetch keys: %w", s.err)
	case s.fetched.IsZero() || s.age() >= s.keep:
		return nil, errors.New("fetch keys: they are too old")
	default:
		return nil, nil
	}
}

// known returns the keys that fit, of those that are young enough. The lock is held.
func (s *keySet) known(h header) []key {
	if s.fetched.IsZero() || s.age() >= s.keep {
		return nil
	}
	return fitting(s.keys, h)
}

func (s *keySet) age() time.Duration { return s.now().Sub(s.fetched) }

// begin starts a fetch unless one runs, or the last began within the interval. What it
// returns is closed at the end of the one that runs; nil for none. The lock is held.
func (s *keySet) begin() <-chan struct{} {
	now, interval := s.now(), s.unknown
	if s.err != nil {
		interval = min(interval, failedInterval)
	}
	if s.running != nil || s.closed || !s.begun.IsZero() && now.Sub(s.begun) < interval {
		return s.running
	}
	running := make(chan struct{})
	s.running, s.begun = running, now
	s.runs.Go(func() {
		keys, err := s.fetch()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err = err; err == nil {
			s.keys, s.fetched = keys, s.now()
		}
		s.running = nil
		close(running)
	})
	return running
}

// fetch gets the keys. The client's timeout bounds it.
func (s *keySet) fetch() ([]key, error) {
	r, err := http.NewRequestWithContext(s.ends, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		if hidden, ok := errors.AsType[*url.Error](err); ok {
			err = hidden.Err // the URL may have a key in it
		}
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxKeySet {
		return nil, fmt.Errorf("more than %d bytes", maxKeySet)
	}
	keys, err := parseKeySet(body)
	return slices.Clip(keys), err
}
