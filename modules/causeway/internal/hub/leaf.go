package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/go-amqp"
	"golang.org/x/sync/errgroup"
)

const (
	// servicesFirst and servicesMost bound the pause after a device's twin, method or message links
	// were refused, or ended: the hub has as many clients as it takes, or is short of something
	// else.
	servicesFirst = 5 * time.Second
	servicesMost  = time.Minute
	// detachTimeout bounds the wait for the hub to let a link go.
	detachTimeout = 30 * time.Second
	// leafMethodsAtOnce and leafMethodsEach bound the direct methods of devices that run at the same
	// time, and those of one: a device is asked one thing at a time, and some that are silent
	// leave room for the others.
	leafMethodsAtOnce = 128
	leafMethodsEach   = 4
	// leafMethodsQueued bounds those that wait for a place, whose payloads take 128 KiB each at
	// most, and leafMethodsTaken all of one device, with those whose answer is being sent.
	leafMethodsQueued = 256
	leafMethodsTaken  = 32
	// leafMethodPatience bounds the wait: with the 20 s that a device has to answer it stays
	// below the 30 s that a caller waits by default.
	leafMethodPatience = 8 * time.Second
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
	if len(f.came) == 0 { // nearly never: it costs a message nothing
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
	f.turn(LeafRefused, err.Error())
	return pause
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
	f.uplink.reached(true)
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
	f.uplink.reached(false)
	select {
	case <-conn.Done():
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = session.Close(ctx) // what is closed already, or with the connection, needs no more
}

// serveServices serves twin, methods and messages, once they are wanted. Where the hub does
// not give them, the device's own messages go on.
func (f *leaf) serveServices(ctx context.Context, session *amqp.Session) error {
	select {
	case <-f.wished:
	case <-ctx.Done():
		return ctx.Err()
	}
	again := attempts{pause: servicesFirst}
	for {
		s, err := f.attachServices(ctx, session, again.suffix())
		if err == nil {
			f.stands("")
			err = s.serve(ctx)
			if ctx.Err() == nil {
				err = errors.Join(err, s.detach())
			}
		}
		if ctx.Err() != nil || errors.Is(err, errNotDetached) {
			return err
		}
		f.stands(err.Error())
		if !again.wait(ctx) {
			return ctx.Err()
		}
	}
}

// attempts to attach a kind of link on a session.
type attempts struct {
	n     int
	pause time.Duration
}

// suffix makes the name of a link another at each attempt, see pair.
func (a *attempts) suffix() string {
	if a.n++; a.n == 1 {
		return ""
	}
	return "-" + strconv.Itoa(a.n)
}

// wait waits ever longer, and tells whether ctx still lives.
func (a *attempts) wait(ctx context.Context) bool {
	pause := a.pause
	a.pause = min(2*pause, servicesMost)
	return sleep(ctx, pause)
}

// closer is a link.
type closer interface {
	Close(ctx context.Context) error
}

// errNotDetached: a kind of link cannot be attached again, the old one still stands.
var errNotDetached = errors.New("hub does not detach a link")

// detach closes links and waits for the hub's word.
func detach(links ...closer) error {
	ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
	defer cancel()
	for _, l := range links {
		_ = l.Close(ctx) // one that has ended is detached
	}
	if ctx.Err() != nil {
		return errNotDetached
	}
	return nil
}

// services are what a device has besides its telemetry.
type services struct {
	leaf    *leaf
	session *amqp.Session
	twin    *twinLinks
	methods *methodLinks
}

func (f *leaf) attachServices(ctx context.Context, session *amqp.Session, suffix string) (*services, error) {
	if err := f.all.attaches.Wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	o, id, s := &f.all.opts, f.identity(), &services{leaf: f, session: session}
	var err error
	s.twin, err = newTwinLinks(ctx, session, id, o.Version, suffix, func(patch json.RawMessage) {
		o.Handler.Desired(f.device, patch)
	})
	if err == nil {
		desk := newMethodDesk(func(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
			return o.Handler.Method(ctx, f.device, name, payload)
		}, f.all.methods, leafMethodsEach, leafMethodsTaken)
		s.methods, err = newMethodLinks(ctx, session, id, o.Version, suffix, desk)
	}
	if err != nil {
		return nil, errors.Join(err, s.detach())
	}
	return s, nil
}

// detach closes what was attached, since a kind of link is not attached twice. An error says that
// the hub has not let go of it.
func (s *services) detach() error {
	var links []closer
	if s.twin != nil {
		links = append(links, s.twin.rx, s.twin.tx)
	}
	if s.methods != nil {
		links = append(links, s.methods.rx, s.methods.tx)
	}
	return detach(links...)
}

func (s *services) serve(ctx context.Context) error {
	f := s.leaf
	f.twin.Store(s.twin)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.twin.serve(ctx) })
	g.Go(func() error { return s.methods.serve(ctx) })
	g.Go(func() error { return f.receiveMessages(ctx, s.session) })
	g.Go(func() error {
		if f.identity().Direct() {
			if err := s.twin.subscribe(ctx); err != nil {
				return err
			}
		}
		f.all.opts.Handler.Twin(f.device, true)
		return nil
	})
	err := g.Wait()
	f.twin.Store(nil)
	s.twin.requests.lost()
	f.all.opts.Handler.Twin(f.device, false)
	return err
}
