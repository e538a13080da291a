package edge

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Keeper keeps small JSON documents by name over a restart.
type Keeper interface {
	// Load fills doc and says whether the name was known.
	Load(name string, doc any) (bool, error)
	// Save replaces the document; it is on disk when Save returns, so that a killed
	// process finds it again.
	Save(name string, doc any) error
}

// Journal is told of every message that reaches the cloud, in order, before its sender is.
type Journal interface {
	Append(messages []Upstream) error
}

// Options are what a Hub is built from. The zero value of each field stands for the
// default named beside it.
type Options struct {
	// IoTHub is the hub's host name (default DefaultIoTHub), Gateway the edge device's
	// (default "localhost"), Device the edge device's id (default "edge").
	IoTHub, Gateway, Device string
	// Keep holds identities and twins over a restart; nil keeps them in memory.
	Keep Keeper
	// Journal records upstream messages; nil records none.
	Journal Journal
	// Spool records what waits while the link to the cloud is cut; nil for nothing.
	Spool Spool
	// AckTimeout is how long a module input waits for a disposition (30 s on the real hub).
	AckTimeout time.Duration
	// RetryDelay is the pause before a lost input message is tried again (1 s).
	RetryDelay time.Duration
	// SubscribeGrace is the pause between a client's subscription to methods and the
	// delivery of the calls that waited for it (3 s on the real hub; below zero for none).
	SubscribeGrace time.Duration
	// Reauth is how often heads judge tokens again (5 min on the real hub).
	Reauth time.Duration
	// TokenSkew is how long a token outlives its expiry (5 min on the real hub; below
	// zero for none).
	TokenSkew time.Duration
	// KeepMessages and KeepBytes bound the messages that stay visible (100,000 and
	// 256 MiB); the oldest make room. CountOnly keeps none and only counts.
	KeepMessages int
	KeepBytes    int64
	CountOnly    bool
	// QueueMessages and QueueBytes bound each store-and-forward queue (1,000,000 and
	// 512 MiB). A full queue refuses as the real in-memory store does.
	QueueMessages int
	QueueBytes    int64
	// ClientCAs are whose client certificates are good in place of tokens; nil for nobody's.
	ClientCAs *x509.CertPool
	// Admission limits how many clients there may be, and how fast they may come.
	Admission Admission
	// Now is the clock (time.Now).
	Now func() time.Time
}

// The defaults of Options.
const (
	DefaultIoTHub = "causeway.azure-devices.net"
	DefaultDevice = "edge"
)

// maxIdentities bounds how many identities a hub knows: far above what one edge device
// can carry (a real hub connects 100 at a time).
const maxIdentities = 20000

func (o *Options) defaults() {
	setDefault(&o.IoTHub, DefaultIoTHub)
	setDefault(&o.Gateway, "localhost")
	setDefault(&o.Device, DefaultDevice)
	setDefault(&o.AckTimeout, 30*time.Second)
	setDefault(&o.RetryDelay, time.Second)
	setDefault(&o.SubscribeGrace, 3*time.Second)
	setDefault(&o.Reauth, 5*time.Minute)
	setDefault(&o.TokenSkew, 5*time.Minute)
	setDefault(&o.KeepMessages, 100_000)
	setDefault(&o.KeepBytes, 256<<20)
	setDefault(&o.QueueMessages, 1_000_000)
	setDefault(&o.QueueBytes, 512<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Hub is the edge hub's core. It implements Head. All methods are safe for concurrent use.
type Hub struct {
	opts Options
	// policies are the keys of the shared access policies; they never change.
	policies map[string][]byte

	// mu guards the fields down to nextCall; it is never held while a session or
	// another lock of the hub is entered.
	mu         sync.Mutex
	identities map[Identity]*credentials
	clients    map[Identity]*client
	closed     bool
	tokens     map[Identity]string
	denied     map[string]struct{}
	calls      map[string]*call
	feedback   feedback
	// bound are the identities that were let in while there was room.
	bound map[Identity]struct{}

	routing  atomic.Pointer[routing]
	faults   faults
	upstream upstream
	twins    twins
	counters counters
	seen     seen
	// admission and ends have locks of their own.
	admission admission
	ends      ends

	done  chan struct{}
	pumps sync.WaitGroup
}

var _ Head = (*Hub)(nil)

// New builds a hub and reads back what opts.Keep holds. Close ends it.
func New(opts Options) (*Hub, error) {
	opts.defaults()
	h := &Hub{
		opts:       opts,
		identities: map[Identity]*credentials{},
		clients:    map[Identity]*client{},
		tokens:     map[Identity]string{},
		denied:     map[string]struct{}{},
		calls:      map[string]*call{},
		bound:      map[Identity]struct{}{},
		done:       make(chan struct{}),
	}
	h.upstream.init(&h.opts, &h.counters)
	h.twins.records = map[Identity]*twinRecord{}
	h.routing.Store(&routing{})
	if err := h.loadIdentities(); err != nil {
		return nil, err
	}
	if err := h.loadPolicies(); err != nil {
		return nil, err
	}
	if err := h.AddIdentity(Identity{Device: opts.Device}, ""); err != nil {
		return nil, err
	}
	return h, nil
}

// Device returns the edge device's id, IoTHub and Gateway the two host names.
func (h *Hub) Device() string { return h.opts.Device }

// IoTHub returns the IoT hub's host name.
func (h *Hub) IoTHub() string { return h.opts.IoTHub }

// Gateway returns the edge device's host name.
func (h *Hub) Gateway() string { return h.opts.Gateway }

// Now is the hub's clock.
func (h *Hub) Now() time.Time { return h.opts.Now() }

// ReauthInterval implements Head.
func (h *Hub) ReauthInterval() time.Duration { return h.opts.Reauth }

// Close closes every session and waits for the hub's own goroutines.
func (h *Hub) Close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	close(h.done)
	h.mu.Unlock()
	h.DropConnections("the hub is closing")
	h.pumps.Wait()
}

// ErrUnknownIdentity is returned for an identity that the hub does not know.
var ErrUnknownIdentity = errors.New("identity is not known")

// guid returns a random lower-case GUID.
func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
