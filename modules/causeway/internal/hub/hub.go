package hub

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// errRenewal ends a link that cannot renew its token.
var errRenewal = errors.New("connection ended for a new token")

// ErrNotConnected is returned by calls that need the hub while it is away.
var ErrNotConnected = errors.New("edge hub not connected")

const (
	// connectTimeout bounds dialling, CBS and all attaches: the hub may wait 100 s
	// for its identity cache before it answers a first attach.
	connectTimeout = 120 * time.Second
	// backoffFirst and backoffMost bound the full-jitter wait between attempts. A
	// restarting edge hub is away for some ten seconds, and users see the wait.
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 10 * time.Second
	// backoffDenied is the least wait after a refused attach: the identity may be
	// missing from the hub's scope, which it refreshes slowly.
	backoffDenied = 2 * time.Second
	// settledUp is how long a connection must have lived to count as a success
	// that starts the back-off anew.
	settledUp = 10 * time.Second
)

// Options are what a Hub is made of. All fields without "optional" are needed.
type Options struct {
	Identity Identity
	// Credential is how the identity proves itself: by a Signer.
	Credential Credential
	// Protocol is what the hub is spoken to in. Default AMQP.
	Protocol Protocol
	// Roots returns the certificates that may sign the hub's. It is asked at every
	// connect, since the edge CA may have been renewed.
	Roots func(context.Context) (*x509.CertPool, error)
	// Version is the product information sent as client version.
	Version string
	// TokenTTL is the life of a token; it is renewed after three quarters of it.
	// Default 1 h.
	TokenTTL time.Duration
	// SettleTimeout is how long the hub may leave a batch without a disposition
	// before the connection counts as dead. Default 60 s.
	SettleTimeout time.Duration
	// Handler receives what comes down.
	Handler Handler
	// Observer hears of changes; optional.
	Observer Observer
}

// Handler receives what the hub sends down. Connected and Desired are called in
// the order of events from one goroutine at a time and should return soon; Method
// is called from at most 32 goroutines.
type Handler interface {
	// Connected is called each time that the links stand. Desired patches missed
	// in between are not sent again: the handler fetches the twin.
	Connected()
	// Desired receives a desired-properties patch with its $version.
	Desired(patch json.RawMessage)
	// Method answers a direct method: an HTTP-like status and a JSON value (empty
	// for null). The context ends with the connection.
	Method(ctx context.Context, name string, payload json.RawMessage) (status int, answer json.RawMessage)
	// Input takes a message for a module input; an error rejects it, which drops
	// it, as the hub has no dead letters.
	Input(ctx context.Context, input Input) error
}

// Input is a message that a route sent to one of the module's inputs.
type Input struct {
	Name       string
	Body       []byte
	Properties map[string]string
}

// Observer hears of changes of the hub's state. Calls must not block.
type Observer interface {
	// Connection tells that the connection stands (nil) or why it ended.
	Connection(err error)
	// Renewed tells that a new token took the place of the old one: on the open
	// connection over AMQP, and by a new one over MQTT.
	Renewed()
	// Batch tells of a settled batch: messages, time in flight, and the error
	// condition of a refusal ("" when accepted).
	Batch(messages int, inFlight time.Duration, condition string)
}

// Hub keeps the module connected. Its methods are safe for concurrent use.
type Hub struct {
	opts   Options
	uplink *Uplink
	live   atomic.Pointer[link]
	began  atomic.Int64 // when the link came, Unix nanoseconds
}

// New makes a hub that is not yet running.
func New(opts Options, uplink *Uplink) *Hub {
	if opts.TokenTTL <= 0 {
		opts.TokenTTL = time.Hour
	}
	if opts.SettleTimeout <= 0 {
		opts.SettleTimeout = time.Minute
	}
	if opts.Protocol == "" {
		opts.Protocol = AMQP
	}
	if opts.Observer == nil {
		opts.Observer = silent{}
	}
	return &Hub{opts: opts, uplink: uplink}
}

// Run keeps the connection until ctx ends, and returns when all of it is closed.
func (h *Hub) Run(ctx context.Context) {
	failures, renewing := 0, false
	for ctx.Err() == nil {
		began := time.Now()
		err := h.once(ctx, renewing)
		if ctx.Err() != nil {
			return
		}
		if renewing = errors.Is(err, errRenewal); renewing {
			failures = 0
			continue
		}
		h.opts.Observer.Connection(err)
		if time.Since(began) > settledUp {
			failures = 0
		}
		if !sleep(ctx, backoff(failures, err)) {
			return
		}
		failures++
	}
}

// Connected tells whether the links stand.
func (h *Hub) Connected() bool { return h.live.Load() != nil }

// ConnectedSince tells whether they do, and have since then at least.
func (h *Hub) ConnectedSince(at time.Time) bool {
	return h.Connected() && time.Unix(0, h.began.Load()).Before(at)
}

// Twin fetches the module's twin as the hub has it: desired and reported, each
// with its $version. The hub gives empty objects when it does not know the twin
// yet.
func (h *Hub) Twin(ctx context.Context) (desired, reported json.RawMessage, err error) {
	l := h.live.Load()
	if l == nil {
		return nil, nil, fmt.Errorf("get twin: %w", ErrNotConnected)
	}
	return getTwin(ctx, (*l).request)
}

// request makes a twin request, see link.
type request func(ctx context.Context, operation string, body []byte) ([]byte, error)

func getTwin(ctx context.Context, ask request) (desired, reported json.RawMessage, err error) {
	body, err := ask(ctx, "GET", nil)
	if err != nil {
		return nil, nil, fmt.Errorf("get twin: %w", err)
	}
	var t struct{ Desired, Reported json.RawMessage }
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, nil, fmt.Errorf("get twin: %w", err)
	}
	return t.Desired, t.Reported, nil
}

// Report sends a patch of the reported properties. The hub has stored it when
// Report returns nil; a *TwinError tells of a patch that breaks its rules.
func (h *Hub) Report(ctx context.Context, patch json.RawMessage) error {
	l := h.live.Load()
	if l == nil {
		return fmt.Errorf("report: %w", ErrNotConnected)
	}
	if _, err := (*l).request(ctx, "PATCH", patch); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// once is the life of one connection; renewing tells that the one before ended for a
// new token, which is no news but that of the token.
func (h *Hub) once(ctx context.Context, renewing bool) error {
	dialCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	l, err := h.connect(dialCtx)
	if err != nil {
		return err
	}
	h.began.Store(time.Now().UnixNano())
	h.live.Store(&l)
	h.uplink.reached(true)
	if renewing {
		h.opts.Observer.Renewed()
	} else {
		h.opts.Observer.Connection(nil)
	}
	err = l.run(ctx)
	h.live.Store(nil)
	h.uplink.recall()
	h.uplink.reached(false)
	return err
}

// backoff is full jitter over an exponentially growing bound.
func backoff(failures int, err error) time.Duration {
	most := backoffMost
	if failures < 10 {
		most = min(backoffFirst<<failures, backoffMost)
	}
	d := time.Duration(rand.Int64N(int64(most) + 1)) //nolint:gosec // jitter needs no secrecy
	if denied(err) {
		d += backoffDenied
	}
	return d
}

// sleep waits and tells whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// silent is the observer of a hub that has none.
type silent struct{}

func (silent) Connection(error)                 {}
func (silent) Renewed()                         {}
func (silent) Batch(int, time.Duration, string) {}
