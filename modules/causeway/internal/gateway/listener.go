package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/listen"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

const (
	// bindAgain bounds the wait between attempts to open a listener: a port that is
	// still held by a process that ends, an address that comes with its network.
	bindAgain = 10 * time.Second
	// stopGrace is how long the sessions of a listener that was removed or changed
	// may wait for their acknowledgements.
	stopGrace = 3 * time.Second
)

// listener is one running listener: it opens its socket, again and again where
// that fails, and serves it until it is stopped.
type listener struct {
	name     string
	config   config.Listener
	options  listen.Options
	profile  *session.Profile
	observer *listenerObserver
	changed  func() // the state changed
	share    *share
	loaded   *loaded // guarded by mu; nil for a built-in codec

	admission *admission

	draining  context.Context //nolint:containedctx // ends when sessions have to stop reading
	drain     context.CancelFunc
	cancel    context.CancelFunc
	done      chan struct{}
	sessions  sync.WaitGroup
	mu        sync.Mutex
	open      *listen.Listener
	err       error
	accepting bool
}

func startListener(name string, d door, changed func()) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	draining, drain := context.WithCancel(ctx)
	l := &listener{
		name: name, config: d.config, options: d.options, profile: d.profile,
		observer: d.observer, changed: changed, share: d.share, loaded: d.loaded, admission: d.admission,
		draining: draining, drain: drain, cancel: cancel, done: make(chan struct{}), accepting: true,
	}
	first := l.bind()
	go func() {
		defer close(l.done)
		l.run(ctx, first)
	}()
	return l
}

// bind opens the socket and notes how that went.
func (l *listener) bind() *listen.Listener {
	open, err := listen.Open(l.options)
	l.mu.Lock()
	l.open, l.err = open, err
	l.mu.Unlock()
	return open
}

func (l *listener) run(ctx context.Context, open *listen.Listener) {
	wait := bindAgain / 64
	for open == nil {
		l.changed()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		wait = min(2*wait, bindAgain)
		open = l.bind()
	}
	l.changed()
	_ = open.Serve(ctx, l) // always nil, see Serve
}

// Stream implements listen.Handler.
func (l *listener) Stream(link *listen.Link) listen.Talk {
	if !l.enter() {
		link.Close("gateway-stopped")
		return nil
	}
	l.observer.Opened()
	t := &talk{listener: l, link: countedLink{Link: link, sent: l.observer.BytesOut}}
	var err error
	if t.session, err = session.Begin(l.profile, &t.link); err != nil {
		l.observer.Fault(session.Fault{Kind: session.FaultProtocol, Link: link, Err: err})
		link.Close("refused-by-codec")
		t.end()
		return nil
	}
	return t
}

// talk is a stream link's session, counted.
type talk struct {
	listener *listener
	session  *session.Session
	link     countedLink
}

// Serve implements listen.Talk.
func (t *talk) Serve(ctx context.Context) (until time.Time) {
	until = t.session.Serve(ctx, t.listener.draining, &t.link)
	if until.IsZero() {
		t.end()
	}
	return until
}

func (t *talk) end() {
	t.listener.observer.Closed(t.link.Reason())
	t.listener.sessions.Done()
}

// enter counts a session in, unless the listener is being stopped: a link may have
// been accepted just before, and nobody waits for it then.
func (l *listener) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepting {
		l.sessions.Add(1)
	}
	return l.accepting
}

// Peer implements listen.Handler.
func (l *listener) Peer(link *listen.Link) listen.Receiver {
	s, err := session.Begin(l.profile, &countedLink{Link: link, sent: l.observer.BytesOut})
	if err != nil {
		l.observer.Fault(session.Fault{Kind: session.FaultProtocol, Link: link, Err: err})
		return nil
	}
	l.observer.Opened()
	return peerReceiver{Session: s, observer: l.observer, draining: l.draining}
}

// quiesce stops accepting and reading; what was read goes on its way.
func (l *listener) quiesce() {
	l.mu.Lock()
	l.accepting = false
	open := l.open
	l.mu.Unlock()
	if open != nil {
		open.StopAccepting()
	}
	l.drain()
	if open != nil {
		open.Rouse() // for the end of the draining
	}
}

// settled waits until every stream session has written its acknowledgements.
func (l *listener) settled(ctx context.Context) {
	quiet := make(chan struct{})
	go func() {
		l.sessions.Wait()
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-ctx.Done():
		l.cancel() // ends the sessions, and with them the waiting goroutine
		<-quiet
	}
}

// close ends the listener and returns when nothing of it runs any more.
func (l *listener) close() {
	l.cancel()
	l.drain()
	<-l.done
}

// stop is quiesce, settled and close, for a listener that goes while others stay.
func (l *listener) stop() {
	l.quiesce()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	l.settled(ctx)
	l.close()
}

// codec is what was loaded for it; nil for a built-in one.
func (l *listener) codec() *loaded {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loaded
}

// exchange gives its links the codec of the door.
func (l *listener) exchange(d door) *session.Edition {
	l.mu.Lock()
	l.loaded = d.loaded
	l.mu.Unlock()
	l.observer.version.Store(d.observer.version.Load())
	return l.profile.Swap(d.profile.Codec, d.loaded.insists())
}

// resting is how many of its links rest.
func (l *listener) resting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		return 0
	}
	return l.open.Resting()
}

// listenerState is what operators are told of a listener.
type listenerState struct {
	State       string `json:"state"`
	Bind        string `json:"bind"`
	Connections int    `json:"connections"`
	Error       string `json:"error,omitempty"`
}

func (l *listener) state() listenerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := listenerState{State: "listening", Bind: l.config.Bind.String()}
	switch {
	case l.err != nil:
		s.State, s.Error = "failed", l.err.Error()
	case !l.accepting:
		s.State = "stopping"
	}
	if l.open != nil {
		s.Bind = l.config.Bind.Transport + "://" + l.open.Addr().String()
		s.Connections = l.open.Links()
	}
	return s
}
