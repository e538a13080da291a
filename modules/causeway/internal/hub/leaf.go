package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/go-amqp"
	"golang.org/x/sync/errgroup"
)

const (
	// leafPauseFirst and leafPauseMost bound the wait after a device was refused: its key is
	// wrong, or the hub does not know it (yet), which nobody here can change.
	leafPauseFirst = 2 * time.Second
	leafPauseMost  = 5 * time.Minute
)

// LeafState says where a device is with the hub.
type LeafState string

// The states of a leaf.
const (
	// LeafWaiting: not attached yet, or not any more.
	LeafWaiting LeafState = "waiting"
	// LeafAttached: its messages go to the hub.
	LeafAttached LeafState = "attached"
	// LeafRefused: the hub does not let it in, or it has no key; it is tried again.
	LeafRefused LeafState = "refused"
	// LeafQuarantined: it brought down its connection again and again, and is alone on one.
	LeafQuarantined LeafState = "quarantined"
)

// LeafStatus is what operators are told of a device's identity.
type LeafStatus struct {
	// Device is the device's own id, ID the hub's.
	Device string    `json:"deviceId"`
	ID     string    `json:"hubDeviceId"`
	State  LeafState `json:"state"`
	// Reason says why it is not attached, or what its services lack.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Waiting is how many of its messages are neither with the hub nor on disk.
	Waiting int `json:"waiting"`
}

// leaf is a device with an identity of its own.
type leaf struct {
	all        *Leaves
	device, id string
	uplink     *Uplink
	twin       atomic.Pointer[twinLinks] // nil while they do not stand
	used       atomic.Int64              // Unix nanoseconds
	met        atomic.Int64              // when it was last connected, or sent something; likewise
	up         atomic.Bool               // it is attached

	life context.Context //nolint:containedctx // ends when it is given up
	end  context.CancelFunc

	wish   sync.Once
	wished chan struct{} // closed when its services are wanted
	came   chan struct{} // cap 1: the device is connected

	mu      sync.Mutex
	state   LeafState
	reason  string
	since   time.Time
	refused int // in a row

	seat     *shard // guarded by Leaves.mu
	released bool   // guarded by Leaves.mu: it goes with the next connection of its shard
}

func (f *leaf) touch(now time.Time) { f.used.Store(now.UnixNano()) }

func (f *leaf) idleSince() time.Time { return time.Unix(0, f.used.Load()) }

// come notes that the device is connected.
func (f *leaf) come() {
	f.met.Store(f.used.Load()) // which is now
	if len(f.came) == 0 {      // nearly never: it costs a message nothing
		select {
		case f.came <- struct{}{}:
		default:
		}
	}
}

// want has its twin, methods and messages come.
func (f *leaf) want() { f.wish.Do(func() { close(f.wished) }) }

// turn notes a state, and tells of it when it is another.
func (f *leaf) turn(state LeafState, reason string) {
	f.mu.Lock()
	told := f.state == state && f.reason == reason
	if !told {
		f.state, f.reason, f.since = state, reason, time.Now()
	}
	f.mu.Unlock()
	if !told {
		f.all.opts.Observer.Leaf(f.status())
	}
}

// stands notes that the device is attached, and what it lacks all the same. One in quarantine
// stays there until its connection has lived for long.
func (f *leaf) stands(lack string) {
	f.all.mu.RLock()
	quarantined := f.seat != nil && f.seat.alone != nil && f.seat.alone.quarantined
	f.all.mu.RUnlock()
	if !quarantined {
		f.turn(LeafAttached, lack)
	}
}

func (f *leaf) status() LeafStatus {
	waiting := f.uplink.Stats().Messages
	f.mu.Lock()
	defer f.mu.Unlock()
	s := LeafStatus{Device: f.device, ID: f.id, State: f.state, Reason: f.reason, Since: f.since.UTC(), Waiting: waiting}
	if s.State == "" {
		s.State = LeafWaiting
	}
	return s
}

// failed notes that the device could not be attached, and returns how long to wait.
func (f *leaf) failed(err error) time.Duration {
	f.mu.Lock()
	pause := min(leafPauseFirst<<min(f.refused, 10), leafPauseMost)
	f.refused++
	f.mu.Unlock()
	f.bar(true)
	f.turn(LeafRefused, err.Error())
	return pause
}

// reached notes whether the hub takes the device's messages.
func (f *leaf) reached(there bool) {
	f.up.Store(there)
	if there {
		f.bar(false)
	}
	f.uplink.reached(there)
}

// bar tells the device's disk whether the hub refuses the device.
func (f *leaf) bar(refused bool) {
	if b, ok := f.uplink.Store().(interface{ Bar(refused bool) }); ok {
		b.Bar(refused)
	}
}

// identity is who the device is at the hub.
func (f *leaf) identity() Identity {
	id := f.all.opts.Identity
	id.Device, id.Module = f.id, ""
	return id
}

// refusedLeaf is why a device could not be attached, while its connection stands.
type refusedLeaf struct{ err error }

func (r *refusedLeaf) Error() string { return "device not attached: " + r.err.Error() }
func (r *refusedLeaf) Unwrap() error { return r.err }

// refusedOn makes a failure one of the device, unless its connection has ended, or is about to.
func refusedOn(conn *amqp.Conn, err error) error {
	select {
	case <-conn.Done():
		return err
	default:
	}
	if errors.Is(err, errNodeEnded) {
		return err
	}
	return &refusedLeaf{err}
}

// serve attaches the device on a connection and serves it until its links end, or ctx.
// Without a cbs the connection proves who the device is.
func (f *leaf) serve(ctx context.Context, conn *amqp.Conn, node *cbs) error {
	o := &f.all.opts
	if err := f.all.attaches.Wait(ctx); err != nil {
		return err
	}
	attach, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	session, err := conn.NewSession(attach, nil)
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	defer f.leave(conn, session)
	expiry, err := f.prove(attach, node)
	if err != nil {
		return refusedOn(conn, err)
	}
	events, err := session.NewSender(attach, f.identity().address("/messages/events"),
		&amqp.SenderOptions{Name: "TelemetrySenderLink", Properties: linkProperties(o.Version, "")})
	if err != nil {
		return refusedOn(conn, fmt.Errorf("attach telemetry link: %w", err))
	}
	f.mu.Lock()
	f.refused = 0
	f.mu.Unlock()
	f.stands("")
	f.reached(true)
	up := eventLink{uplink: f.uplink, events: events, patience: o.SettleTimeout, observed: o.Observer.Batch}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return up.run(ctx) })
	if node != nil {
		g.Go(func() error {
			return keepToken(ctx, o.TokenTTL, expiry, func(ctx context.Context) (time.Time, error) {
				return f.prove(ctx, node)
			}, func() {})
		})
	}
	g.Go(func() error { return f.serveServices(ctx, session) })
	return g.Wait()
}

// prove puts a token for the device.
func (f *leaf) prove(ctx context.Context, node *cbs) (expiry time.Time, err error) {
	if node == nil {
		return time.Time{}, nil
	}
	by, err := f.all.opts.Credential(ctx, f.id)
	if err != nil {
		return time.Time{}, err
	}
	if by.Certificate != nil {
		return time.Time{}, errCertified
	}
	return node.renew(ctx, f.identity(), by, f.all.opts.TokenTTL)
}

// errCertified: the device proves itself by a certificate, on a connection of its own.
var errCertified = errors.New("device has a certificate")

// leave takes what is in flight back, for the links are gone or about to go.
func (f *leaf) leave(conn *amqp.Conn, session *amqp.Session) {
	f.uplink.recall()
	f.reached(false)
	select {
	case <-conn.Done():
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = session.Close(ctx) // what is closed already, or with the connection, needs no more
}
