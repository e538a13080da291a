package hub

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

var (
	// ErrLeaves: as many devices have an identity of their own as are allowed.
	ErrLeaves = errors.New("too many devices with an identity of their own")
	// ErrUnknownLeaf: the device has no identity of its own here, or none yet.
	ErrUnknownLeaf = errors.New("device without an identity of its own")
	// ErrLeafTaken: another device here has the hub's device id.
	ErrLeafTaken = errors.New("another device has the hub's device id")
)

// LeavesOptions are what Leaves are made of. All fields without "optional" are needed.
type LeavesOptions struct {
	// Identity says where the hub is; Device and Module in it are not used.
	Identity Identity
	// Protocol is AMQP or AMQPWebSocket: MQTT has one identity a connection.
	Protocol Protocol
	Roots    func(context.Context) (*x509.CertPool, error)
	Version  string
	// TokenTTL and SettleTimeout are as in Options, with the same defaults.
	TokenTTL, SettleTimeout time.Duration
	// Name translates the device's own id to the hub's. It is asked once for each leaf. An error
	// that is ErrLeaves says that it has named as many as it may; it is asked again when a place
	// was found.
	Name func(device string) (string, error)
	// Credential finds how a device proves itself, by the hub's id. It is asked at every attach
	// and for every token.
	Credential func(ctx context.Context, id string) (Credential, error)
	// Denied hears that the hub refused the credential of a device, by the hub's id: it may have
	// been changed. Optional.
	Denied func(id string)
	// Present tells whether a device is connected to the gateway, by its own id. One that is
	// stays attached.
	Present func(device string) bool
	// Steady tells whether the module's own connection has stood since then: a shard that ended
	// meanwhile ended for a reason of its own.
	Steady func(since time.Time) bool
	// Uplink bounds the way up of each device.
	Uplink UplinkOptions
	// Spill says when the disk is used, Store is the disk of a device, by its own id; nil for
	// none.
	Spill SpillOptions
	Store func(device string) Store
	// Released hears of a device that is known no longer, since it has been idle, or is not taken
	// although it has been named; it must not call back. Optional.
	Released func(device string)

	Handler LeafHandler
	// Observer hears of changes; optional.
	Observer LeafObserver
}

// LeavesLimits are what the configuration says of leaves. All are positive.
type LeavesLimits struct {
	// Shard is how many devices share a connection.
	Shard int
	// Attaches and TwinRequests are how many of them there are in a second, of all devices
	// together.
	Attaches, TwinRequests float64
	// Idle is how long a device that is not connected, and has nothing to be sent, stays attached.
	Idle time.Duration
	// Most is how many devices may be known at a time.
	Most int
}

// LeafHandler receives what the hub sends to devices, named by their own ids. Calls may come
// from many goroutines at once, for one device from one for each kind.
type LeafHandler interface {
	// Twin tells that a device's twin can be asked for, each time anew, or that it cannot any
	// more.
	Twin(device string, stands bool)
	// Desired receives a desired-properties patch.
	Desired(device string, patch json.RawMessage)
	// Method answers a direct method.
	Method(ctx context.Context, device, name string, payload json.RawMessage) (status int, answer json.RawMessage)
	// Message takes a cloud-to-device message, one at a time for each device, and says what has
	// become of it.
	Message(ctx context.Context, device string, m CloudMessage) Settlement
}

// LeafObserver hears of changes. Calls must not block.
type LeafObserver interface {
	// Leaf tells that a device's state changed.
	Leaf(LeafStatus)
	// Shard tells that a connection of so many devices ended, and why.
	Shard(devices int, err error)
	// Batch is as in Observer, for all devices together.
	Batch(messages int, inFlight time.Duration, condition string)
}

// Leaves are the devices that have an identity of their own at the hub. Each has its own
// way up, so that one which the hub refuses holds up nobody; they share connections. It is safe
// for concurrent use. Devices are named by their own ids.
//
// One identity's fault makes the hub close the whole connection (edge hub,
// ClientConnectionHandler), so the devices are spread over shards, and one that brings down its
// shard again and again is put alone, see suspects.go.
type Leaves struct {
	opts     LeavesOptions
	attaches *rate.Limiter
	requests *rate.Limiter
	methods  *methodRoom
	diskWake chan struct{}
	retry    atomic.Pointer[occasion]

	mu      sync.RWMutex
	limits  LeavesLimits
	leaves  map[string]*leaf
	ids     map[string]*leaf // by the hub's id in lower case, as the edge hub compares them
	shards  map[*shard]struct{}
	started context.Context //nolint:containedctx // of the shards; nil before Run, and after it
	closed  bool
	crowded time.Time       // when no place could be found for one more
	claimed map[string]bool // those whose messages are being discarded: one for each such call

	running sync.WaitGroup // of the shards
}

// NewLeaves makes leaves that do nothing before Run.
func NewLeaves(opts LeavesOptions, limits LeavesLimits) *Leaves {
	if opts.TokenTTL <= 0 {
		opts.TokenTTL = time.Hour
	}
	if opts.SettleTimeout <= 0 {
		opts.SettleTimeout = time.Minute
	}
	if opts.Observer == nil {
		opts.Observer = noLeafObserver{}
	}
	if opts.Denied == nil {
		opts.Denied = func(string) {}
	}
	if opts.Released == nil {
		opts.Released = func(string) {}
	}
	opts.Uplink.Leaf = true
	opts.Uplink.defaults()
	l := &Leaves{
		opts: opts, limits: limits, leaves: make(map[string]*leaf), ids: make(map[string]*leaf),
		shards: make(map[*shard]struct{}), claimed: make(map[string]bool),
		attaches: rate.NewLimiter(rate.Limit(limits.Attaches), 1),
		requests: rate.NewLimiter(rate.Limit(limits.TwinRequests), 1),
		methods:  newMethodRoom(leafMethodsAtOnce, leafMethodsQueued, leafMethodPatience),
		diskWake: make(chan struct{}, 1),
	}
	l.retry.Store(newOccasion())
	return l
}

// Retry has devices that were refused tried again at once, as fast as they may be attached:
// their keys are other ones now.
func (l *Leaves) Retry() {
	close(l.retry.Swap(newOccasion()).came)
}

// occasion ends the waits of those who wait for a better time.
type occasion struct{ came chan struct{} }

func newOccasion() *occasion { return &occasion{came: make(chan struct{})} }

// await waits for the occasion, or d, and tells whether ctx still lives.
func (o *occasion) await(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-o.came:
	case <-timer.C:
	}
	return true
}

// Limit changes the limits. A smaller shard is in force for shards to come.
func (l *Leaves) Limit(limits LeavesLimits) {
	l.mu.Lock()
	l.limits = limits
	l.mu.Unlock()
	l.attaches.SetLimit(rate.Limit(limits.Attaches))
	l.requests.SetLimit(rate.Limit(limits.TwinRequests))
}

// Run keeps the devices attached until ctx ends, and returns when all connections are closed.
func (l *Leaves) Run(ctx context.Context) {
	l.mu.Lock()
	l.started = ctx
	for s := range l.shards {
		l.start(s)
	}
	l.mu.Unlock()
	l.running.Go(func() { l.spill(ctx) })
	l.running.Go(func() { l.tidy(ctx) })
	<-ctx.Done()
	l.mu.Lock()
	l.started = nil // nothing starts any more
	l.mu.Unlock()
	l.running.Wait()
}

// Wake makes a device known, and attached, although it is not connected: it has something on
// disk. The errors are those of Admit; for it no other device is given up, see evict.go.
func (l *Leaves) Wake(device string) error {
	_, err := l.leaf(device, func() bool { return false })
	return err
}

// Admit makes a device known that is connected now, and attached. The error is ErrLeaves,
// ErrLeafTaken, or that of Options.Name.
func (l *Leaves) Admit(device string) error {
	leaf, err := l.leaf(device, l.evict)
	if err == nil {
		leaf.come()
	}
	return err
}

// Attached tells whether the device's messages go to the hub at the moment.
func (l *Leaves) Attached(device string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	leaf := l.leaves[device]
	return leaf != nil && leaf.up.Load()
}

// Serve is Admit for a device that takes commands: it has its twin, methods and messages come,
// which cost several times what its own messages do (go-amqp keeps some 80 KiB for a link that
// receives).
func (l *Leaves) Serve(device string) error {
	leaf, err := l.leaf(device, l.evict)
	if err == nil {
		leaf.want()
		leaf.come()
	}
	return err
}

// Twin is Hub.Twin for a device: ErrNotConnected when its links do not stand.
func (l *Leaves) Twin(ctx context.Context, device string) (desired, reported json.RawMessage, err error) {
	return getTwin(ctx, func(ctx context.Context, operation string, body []byte) ([]byte, error) {
		return l.request(ctx, device, operation, body)
	})
}

// Report is Hub.Report for a device.
func (l *Leaves) Report(ctx context.Context, device string, patch json.RawMessage) error {
	if _, err := l.request(ctx, device, "PATCH", patch); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (l *Leaves) request(ctx context.Context, device, operation string, body []byte) ([]byte, error) {
	if err := l.requests.Wait(ctx); err != nil {
		return nil, fmt.Errorf("wait for a turn: %w", err)
	}
	l.mu.RLock()
	leaf := l.leaves[device]
	l.mu.RUnlock()
	if leaf == nil {
		return nil, ErrUnknownLeaf
	}
	twin := leaf.twin.Load()
	if twin == nil {
		return nil, ErrNotConnected
	}
	return twin.request(ctx, operation, body)
}

// leaf returns the leaf of a device, made if need be; where there are too many, if room can be
// made for it.
func (l *Leaves) leaf(device string, room func() bool) (*leaf, error) {
	now := time.Now()
	l.mu.RLock()
	found := l.leaves[device]
	if found != nil {
		found.touch(now) // before it can be dropped
	}
	l.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	id, err := l.opts.Name(device)
	if errors.Is(err, ErrLeaves) && l.found(room) {
		id, err = l.opts.Name(device)
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.leaves[device] != nil:
		return l.leaves[device], nil
	case l.closed:
		return nil, errLeavesClosed
	case l.claimed[device]:
		return nil, ErrLeafBusy
	case len(l.leaves) >= l.limits.Most && !room():
		l.opts.Released(device)
		return nil, fmt.Errorf("%w: %d", ErrLeaves, l.limits.Most)
	case l.ids[strings.ToLower(id)] != nil:
		l.opts.Released(device)
		return nil, fmt.Errorf("device id %q: %w", id, ErrLeafTaken)
	}
	made := l.make(device, id)
	made.touch(now)
	l.leaves[device], l.ids[strings.ToLower(id)] = made, made
	l.place(made)
	return made, nil
}

// errLeavesClosed: no device comes any more.
var errLeavesClosed = errors.New("the gateway is going down")

// make makes a leaf with its way up.
func (l *Leaves) make(device, id string) *leaf {
	made := &leaf{all: l, device: device, id: id, wished: make(chan struct{}), came: make(chan struct{}, 1)}
	made.life, made.end = context.WithCancel(context.Background())
	made.uplink = NewUplink(l.opts.Uplink)
	made.uplink.disk.wake = l.diskWake
	if store := l.opts.Store; store != nil {
		if s := store(device); s != nil {
			made.uplink.UseStore(s, l.opts.Spill)
		}
	}
	return made
}

// place gives a leaf a seat: on the fullest shard that has room, or on a new one. It is called
// with mu held.
func (l *Leaves) place(f *leaf) {
	var best *shard
	for s := range l.shards {
		if s.alone == nil && !s.leaving && len(s.members) < l.limits.Shard &&
			(best == nil || len(s.members) > len(best.members)) {
			best = s
		}
	}
	if best == nil {
		best = l.open(nil)
	}
	best.add(f)
}

// open makes a shard, of one leaf alone if there is a reason for that. It is called with mu held.
func (l *Leaves) open(alone *solitude) *shard {
	s := &shard{
		all: l, alone: alone, members: make(map[*leaf]struct{}),
		changed: make(chan struct{}, 1), leave: make(chan struct{}),
	}
	l.shards[s] = struct{}{}
	if l.started != nil {
		l.start(s)
	}
	return s
}

func (l *Leaves) start(s *shard) {
	ctx := l.started
	l.running.Go(func() { s.run(ctx) })
}

// each calls f for every leaf.
func (l *Leaves) each(f func(*leaf)) {
	for _, leaf := range l.list() {
		f(leaf)
	}
}

func (l *Leaves) list() []*leaf {
	l.mu.RLock()
	defer l.mu.RUnlock()
	list := make([]*leaf, 0, len(l.leaves))
	for _, leaf := range l.leaves {
		list = append(list, leaf)
	}
	return list
}

// noLeafObserver is the observer of leaves that have none.
type noLeafObserver struct{}

func (noLeafObserver) Leaf(LeafStatus)                  {}
func (noLeafObserver) Shard(int, error)                 {}
func (noLeafObserver) Batch(int, time.Duration, string) {}
