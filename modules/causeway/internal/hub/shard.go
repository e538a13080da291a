package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// tidyEvery is how often idle devices and trials are looked at.
	tidyEvery = 5 * time.Second
	// steadyLook is how long after the end of a connection it shows whether the module's ended
	// too, as it does when the hub restarts.
	steadyLook = 250 * time.Millisecond
	// steadyBefore is how long before that end the module's must have stood: where all connections
	// are reset, the module's is back within a moment.
	steadyBefore = time.Second
	// landTimeout bounds the wait for dispositions before a connection is replaced; what is
	// not settled by then is sent again.
	landTimeout = 5 * time.Second
)

// errLeft ends a connection that is to be replaced, or is not needed any more.
var errLeft = errors.New("connection is replaced")

// shard is a connection that devices share, over all its lives.
type shard struct {
	all   *Leaves
	alone *solitude // nil for a shard of many

	changed chan struct{} // cap 1: a member came

	// guarded by all.mu
	members map[*leaf]struct{}
	leaving bool
	leave   chan struct{} // closed when the connection is to be replaced; one for each life
	up      time.Time     // when the present connection stood; zero for none
	deaths  []time.Time   // when it ended by itself, the last ones
}

// add gives a leaf a seat. It is called with all.mu held.
func (s *shard) add(f *leaf) {
	f.seat, f.released = s, false
	s.members[f] = struct{}{}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// replace has the connection replaced by another of its present members. It is called with
// all.mu held.
func (s *shard) replace() {
	if !s.leaving {
		s.leaving = true
		close(s.leave)
	}
}

// run keeps the connection while there are members, until ctx ends.
func (s *shard) run(ctx context.Context) {
	failures := 0
	for s.begin() {
		began := time.Now()
		err := s.once(ctx)
		devices, stood := s.ended()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errLeft) {
			failures = 0
			continue
		}
		s.all.opts.Observer.Shard(devices, err)
		if time.Since(began) > settledUp {
			failures = 0
		}
		if stood {
			if !sleep(ctx, steadyLook) {
				return
			}
			s.suspect(err)
		}
		if !sleep(ctx, s.backoff(failures, err)) {
			return
		}
		failures++
	}
}

// begin is before a connection: those that were released go, and where none stays the shard
// goes too, and false. What has few members moves to another shard.
func (s *shard) begin() bool {
	l := s.all
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.leaving {
		s.leaving, s.leave = false, make(chan struct{})
		for f := range s.members {
			switch {
			case f.released && s.drop(f):
			case s.alone == nil || s.alone.over:
				delete(s.members, f)
				l.place(f)
			}
		}
	}
	if len(s.members) == 0 {
		delete(l.shards, s)
		return false
	}
	return true
}

// drop forgets a leaf that has nothing to send; its next message makes it anew. It is false when
// the leaf has come back meanwhile. It is called with all.mu held.
func (s *shard) drop(f *leaf) bool {
	if !f.uplink.idle() || f.idleSince().Add(s.all.limits.Idle).After(time.Now()) || !f.uplink.retire() {
		f.released = false
		return false
	}
	s.all.forget(f)
	return true
}

// ended notes that there is no connection, and tells how many devices it had and whether
// it stood at all.
func (s *shard) ended() (devices int, stood bool) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	stood, s.up = !s.up.IsZero(), time.Time{}
	for f := range s.members {
		f.mu.Lock()
		attached := f.state == LeafAttached
		f.mu.Unlock()
		if attached {
			f.turn(LeafWaiting, "")
		}
	}
	return len(s.members), stood
}

// backoff is full jitter, longer for who is in quarantine.
func (s *shard) backoff(failures int, err error) time.Duration {
	s.all.mu.RLock()
	quarantined := s.alone != nil && s.alone.quarantined
	s.all.mu.RUnlock()
	if quarantined {
		most := min(quarantineFirst<<min(failures, 10), quarantineMost)
		return most/2 + time.Duration(rand.Int64N(int64(most/2)+1)) //nolint:gosec // jitter needs no secrecy
	}
	return backoff(failures, err)
}

// once is the life of one connection.
func (s *shard) once(ctx context.Context) error {
	l := s.all
	up := upstream{protocol: l.opts.Protocol, gateway: l.opts.Identity.Gateway, roots: l.opts.Roots}
	var err error
	if up.certificate, err = s.certificate(ctx); err != nil {
		return err
	}
	dial, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, raw, err := up.openAMQP(dial)
	if err != nil {
		return fmt.Errorf("connect devices: %w", err)
	}
	defer closeAMQP(conn, raw)
	var node *cbs
	if up.certificate == nil {
		session, err := conn.NewSession(dial, nil)
		if err != nil {
			return fmt.Errorf("connect devices: begin session: %w", err)
		}
		if node, err = newCBS(dial, session); err != nil {
			return fmt.Errorf("connect devices: %w", err)
		}
	}
	l.mu.Lock()
	s.up = time.Now()
	leave := s.leave
	l.mu.Unlock()
	g, live := errgroup.WithContext(ctx)
	g.Go(func() error { return watch(live, conn) })
	if node != nil {
		g.Go(func() error { return node.watch(live) })
	}
	g.Go(func() error { return s.departure(live, leave) })
	g.Go(func() error {
		s.seat(live, func(ctx context.Context, f *leaf) error { return f.serve(ctx, conn, node) })
		return live.Err()
	})
	return g.Wait()
}

// certificate is what the connection shows to the hub; nil for one that takes tokens.
func (s *shard) certificate(ctx context.Context) (*tls.Certificate, error) {
	l := s.all
	l.mu.RLock()
	certified := s.alone != nil && s.alone.certified
	l.mu.RUnlock()
	if !certified {
		return nil, nil
	}
	f := s.alone.leaf
	by, err := l.opts.Credential(ctx, f.id)
	if err != nil {
		f.failed(err)
		return nil, fmt.Errorf("certificate of device %q: %w", f.id, err)
	}
	if by.Certificate == nil { // it has a key now
		l.mu.Lock()
		s.alone.certified = false
		l.mu.Unlock()
	}
	return by.Certificate, nil
}

// departure lets what is in flight land when the connection is to be replaced, and ends it.
func (s *shard) departure(ctx context.Context, leave <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-leave:
	}
	look := time.NewTicker(drainLook)
	defer look.Stop()
	until := time.Now().Add(landTimeout)
	for flying := true; flying && time.Now().Before(until); {
		flying = false
		for _, f := range s.list() {
			flying = f.uplink.rest() || flying
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return errLeft
}

func (s *shard) list() []*leaf {
	s.all.mu.RLock()
	defer s.all.mu.RUnlock()
	list := make([]*leaf, 0, len(s.members))
	for f := range s.members {
		list = append(list, f)
	}
	return list
}

// seat has every member served, those that come later too, until ctx ends. A member that is
// refused is tried again while the connection stands.
func (s *shard) seat(ctx context.Context, serve func(context.Context, *leaf) error) {
	var all sync.WaitGroup
	defer all.Wait()
	var seated sync.Map // of leaves; one that has left may come back
	for {
		for _, f := range s.list() {
			if _, sits := seated.LoadOrStore(f, true); sits {
				continue
			}
			all.Go(func() {
				if s.keep(ctx, f, serve) {
					s.all.certify(f)
				}
				seated.Delete(f)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		}
	}
}

// keep has a member served until ctx ends, or it is given up, or until it shows a certificate:
// then it is true.
func (s *shard) keep(
	ctx context.Context, f *leaf, serve func(context.Context, *leaf) error,
) (certified bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.life, cancel)()
	for {
		retry := s.all.retry.Load() // before: what changes meanwhile is not missed
		err := serve(ctx, f)
		if ctx.Err() != nil {
			return false
		}
		if errors.Is(err, errCertified) {
			return true
		}
		pause := leafPauseFirst
		if refused, ok := errors.AsType[*refusedLeaf](err); ok {
			if denied(refused.err) {
				s.all.opts.Denied(f.id)
			}
			pause = f.failed(refused.err)
		} else {
			f.turn(LeafWaiting, err.Error())
		}
		jitter := time.Duration(rand.Int64N(int64(pause)/2 + 1)) //nolint:gosec // needs no secrecy
		if !retry.await(ctx, pause-jitter) {
			return false
		}
	}
}
