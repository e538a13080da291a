package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/identity"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/spool"
)

const (
	// identityDevice is the listeners' word for devices that have identities of their own.
	identityDevice = "device"
	// leafFolder is the place of their spool in the data directory.
	leafFolder = "spool-devices"
	// leafQueueOf is the part of the queue that one device may fill, so that some which the hub
	// refuses leave room for the others until the disk takes over.
	leafQueueOf = 64
	// leafSpoolOf is the part of the spool that one device may fill.
	leafSpoolOf = 8
	// leafWindow is more than the one transfer that a device has in flight.
	leafWindow = 2
)

// errNameless is why a message cannot have the identity of its device.
var errNameless = errors.New("the device has not said who it is")

// identities are the devices that have an identity of their own: their links at the hub, their
// keys, their disk, and their twins.
type identities struct {
	g      *Gateway
	leaves *hub.Leaves
	twins  *leafTwins
	// current is the keys and the mapping in force.
	current atomic.Pointer[identityPlan]

	// opening is held while the disk is opened or configured. Leaves are called under it, and
	// never under mu: they take that under a lock of their own, see Released.
	opening sync.Mutex

	mu     sync.Mutex
	spool  *spool.Spool // nil: not opened yet
	parts  *spool.Partitions
	err    error // why not
	wanted config.Spool
	use    bool // a listener wants it, or something was left
}

// identityPlan is what a document says of identities, compiled.
type identityPlan struct {
	settings identity.Settings
	limits   hub.LeavesLimits
	keys     *identity.Keys
	mapping  *identity.Mapping
}

func newIdentities(g *Gateway, o hub.Options) *identities {
	i := &identities{g: g, wanted: config.Spool{Full: "block", Durability: "hub"}}
	i.twins = newLeafTwins(g, i)
	env := g.opts.Environment
	i.leaves = hub.NewLeaves(hub.LeavesOptions{
		Identity: o.Identity, Protocol: o.Protocol, Roots: o.Roots, Version: o.Version,
		TokenTTL: o.TokenTTL, SettleTimeout: o.SettleTimeout,
		Name: i.name, Credential: i.credential, Denied: i.denied,
		Present: func(device string) bool { return g.table.Find(device) != nil },
		Steady:  func(since time.Time) bool { return g.hub.ConnectedSince(since) },
		Uplink: hub.UplinkOptions{
			BatchBytes: env.HubBatchBytes, Window: leafWindow, Linger: env.HubLinger,
			QueueBytes: max(env.HubQueueBytes/leafQueueOf, env.HubBatchBytes),
			Refused:    func(r *message.Refused) { g.letters.refused(r) },
		},
		Spill: hub.SpillOptions{Failed: g.observers.Failed},
		Released: func(device string) {
			i.twins.forget(device)
			if parts := i.partitions(); parts != nil {
				parts.Forget(device)
			}
			if p := i.current.Load(); p != nil {
				p.mapping.Release(device)
			}
		},
		Handler: i.twins, Observer: i,
	}, limitsOf(config.Identity{ // until there is a document
		ShardSize: 20, AttachesPerSecond: 20, TwinRequestsPerSecond: 20, IdleSeconds: 900, Devices: 1,
	}))
	return i
}

func limitsOf(c config.Identity) hub.LeavesLimits {
	return hub.LeavesLimits{
		Shard: c.ShardSize, Attaches: float64(c.AttachesPerSecond), TwinRequests: float64(c.TwinRequestsPerSecond),
		Idle: time.Duration(c.IdleSeconds) * time.Second, Most: c.Devices,
	}
}

// compile makes a plan of the document, or tells what is wrong with it. What is in force is
// kept where nothing has changed: it knows keys, and who has which id.
func (i *identities) compile(d *config.Document) (*identityPlan, []config.Fault) {
	var faults []config.Fault
	if p := i.g.opts.Environment.Hub.UpstreamProtocol; p == string(hub.MQTT) || p == string(hub.MQTTWebSocket) {
		for name, l := range d.Listeners {
			if l.Identity == identityDevice {
				faults = append(faults, config.Fault{
					Pointer: config.Pointer("listeners", name, "identity"),
					Message: "is \"device\", which needs UpstreamProtocol Amqp or AmqpWs: MQTT has one identity a connection",
				})
			}
		}
	}
	settings := identity.Settings{
		Map: d.Identity.Map, Keys: d.Identity.Keys, Most: d.Identity.Devices, Devices: make(map[string]string),
	}
	for id, device := range d.Devices {
		if device.Key != "" {
			settings.Devices[id] = device.Key.Reveal()
		}
	}
	limits := limitsOf(d.Identity)
	if now := i.current.Load(); now != nil && reflect.DeepEqual(now.settings, settings) {
		return &identityPlan{settings: settings, limits: limits, keys: now.keys, mapping: now.mapping}, faults
	}
	keys, mapping, wrong := identity.New(settings, i.surroundings())
	for _, f := range wrong {
		faults = append(faults, config.Fault{Pointer: f.Pointer, Message: f.Reason})
	}
	return &identityPlan{settings: settings, limits: limits, keys: keys, mapping: mapping}, faults
}

// surroundings are what keys and mapping take from the gateway.
func (i *identities) surroundings() identity.Surroundings {
	own := i.g.credential
	with := identity.Surroundings{
		Sign: own.Signer.Sign, Policy: own.Policy, Environment: os.LookupEnv, ReadFile: readBounded, Rule: identityRule,
	}
	if hub := i.g.opts.Environment.Hub; hub.ModuleID == "" {
		with.Gateway = hub.DeviceID
	}
	return with
}

// identityRule compiles the rule of a mapping.
func identityRule(text string) (identity.Rule, error) {
	n, err := route.CompileName(text)
	if err != nil { // not n, which would be a rule
		return nil, err
	}
	return n, nil
}

// enact puts a plan in force.
func (i *identities) enact(p *identityPlan, d *config.Document) {
	before := i.current.Swap(p)
	i.leaves.Limit(p.limits)
	if before != nil && before.keys != p.keys {
		i.leaves.Retry()
	}
	for _, l := range d.Listeners {
		if l.Identity == identityDevice && l.Enabled {
			i.want()
		}
	}
	i.configure(d.Spool)
}

// uplink is the way up of a listener, with its share of the queue.
func (i *identities) uplink(l config.Listener, bytes int) (session.Uplink, *share) {
	if l.Identity != identityDevice {
		s := newShare(i.g.uplink, bytes, i.g.uplink.Force)
		return s, s
	}
	s := newShare(i.leaves, bytes, seldom(i.leaves.Force))
	return newApart(s, seldom(i.leaves.ForceAway), i.leaves.Attached), s
}

// fits tells why a device can have no identity, and has those who can attached; nil for a
// listener whose devices need none.
func (i *identities) fits(l config.Listener) func(device string) error {
	if l.Identity != identityDevice {
		return nil
	}
	return func(device string) error {
		err := i.leaves.Admit(device)
		if err != nil {
			i.g.observers.flood.Warn("device refused, for it can have no identity", err, "device", device)
		}
		return err
	}
}

// present hears of a device that is connected. One that takes commands gets its twin, methods
// and messages; those of others nobody could answer.
func (i *identities) present(device string) {
	i.twins.present(device)
	s := i.g.table.Find(device)
	if s == nil || !s.Commands() {
		return
	}
	i.g.mu.Lock()
	l := i.g.listeners[s.Listener()]
	i.g.mu.Unlock()
	if l != nil && l.config.Identity == identityDevice {
		_ = i.leaves.Serve(device) // who cannot have an identity was refused, or is nobody
	}
}

// name translates a device's own id to the hub's.
func (i *identities) name(device string) (string, error) {
	p := i.current.Load()
	if p == nil {
		return "", identity.ErrUnknown
	}
	if l := i.g.running()[device]; l != nil && l.config.Device == "" { // the session's word for nobody
		return "", errNameless
	}
	id, err := p.mapping.HubDevice(device)
	if errors.Is(err, identity.ErrFull) {
		err = crowded{err}
	}
	return id, err
}

// crowded is an error of the mapping in the word that leaves have for it.
type crowded struct{ error }

func (c crowded) Is(target error) bool { return target == hub.ErrLeaves }
func (c crowded) Unwrap() error        { return c.error }

// credential finds how a device proves itself.
func (i *identities) credential(ctx context.Context, id string) (hub.Credential, error) {
	p := i.current.Load()
	if p == nil {
		return hub.Credential{}, identity.ErrUnknown
	}
	c, err := p.keys.Credential(ctx, id)
	if err != nil {
		return hub.Credential{}, err
	}
	if c.Certificate != nil {
		return hub.Credential{Certificate: c.Certificate}, nil
	}
	return hub.Credential{Signer: signature(c.Sign), Policy: c.Policy}, nil
}

// signature is a function that signs.
type signature func(ctx context.Context, data []byte) (string, error)

// Sign implements hub.Signer.
func (s signature) Sign(ctx context.Context, data []byte) (string, error) { return s(ctx, data) }

// denied has the key of a device looked up anew: it may have been changed.
func (i *identities) denied(id string) {
	if p := i.current.Load(); p != nil {
		p.keys.Forget(id)
	}
}

// open opens the disk where an earlier life has left one.
func (i *identities) open() {
	if _, err := os.Stat(i.folder()); err == nil {
		i.want()
	}
}

func (i *identities) folder() string {
	return filepath.Join(i.g.opts.Environment.DataDir, leafFolder)
}

// want opens the disk, once, and makes those known whose messages it holds.
func (i *identities) want() {
	i.opening.Lock()
	defer i.opening.Unlock()
	i.mu.Lock()
	i.use = true
	opened := i.spool != nil
	i.mu.Unlock()
	if opened {
		return
	}
	store, parts, err := i.divide()
	i.mu.Lock()
	if i.err = err; err == nil {
		i.spool, i.parts = store, parts
	}
	wanted := i.wanted
	i.mu.Unlock()
	if err != nil {
		i.g.log.Error().Err(err).Msg("spool of devices cannot be opened, they are acknowledged by the hub only")
		return
	}
	i.bound(store, parts, wanted)
	i.leaves.UseStores(func(device string) hub.Store { return parts.Of(device) })
	if names := parts.Names(); len(names) > 0 {
		i.g.log.Info().Int("devices", len(names)).Int("messages", store.Stats().Records).
			Msg("spool of devices holds messages of an earlier life")
	}
}

func (i *identities) divide() (*spool.Spool, *spool.Partitions, error) {
	store, err := spool.Open(spool.Options{Dir: i.folder(), Observer: i.g.observers})
	if err != nil {
		return nil, nil, err
	}
	parts, err := spool.Divide(store, 0, hub.DeviceOf)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, parts, nil
}

// run keeps the devices attached until ctx ends, and wakes those whose messages are on disk.
func (i *identities) run(ctx context.Context) {
	var rooms sync.WaitGroup
	i.twins.begin(ctx)
	rooms.Go(func() { i.leaves.Run(ctx) })
	rooms.Go(func() { i.twins.run(ctx) })
	again := time.NewTicker(spoolAgain)
	defer again.Stop()
	for {
		i.wake()
		select {
		case <-ctx.Done():
			rooms.Wait()
			return
		case <-again.C:
			i.mu.Lock()
			missing := i.use && i.spool == nil
			i.mu.Unlock()
			if missing {
				i.want()
			}
		}
	}
}

// wake makes those known whose messages wait on disk. One that cannot be is tried again: the
// mapping may come to have its id.
func (i *identities) wake() {
	parts := i.partitions()
	if parts == nil {
		return
	}
	for _, device := range parts.Names() {
		if err := i.leaves.Wake(device); err != nil {
			i.g.observers.flood.Warn("messages on disk of a device that has no identity", err, "device", device)
		}
	}
}

func (i *identities) partitions() *spool.Partitions {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.parts
}

// configure takes the document's wishes; the bound is one of its own beside the module's.
func (i *identities) configure(wanted config.Spool) {
	i.opening.Lock()
	defer i.opening.Unlock()
	i.mu.Lock()
	i.wanted = wanted
	store, parts := i.spool, i.parts
	i.mu.Unlock()
	if store != nil {
		i.bound(store, parts, wanted)
	}
}

// bound has a disk used as it is wished. Without a disk nothing is, or devices would wait for it
// for ever.
func (i *identities) bound(store *spool.Spool, parts *spool.Partitions, wanted config.Spool) {
	full, most := spool.Block, wanted.Bytes/leafSpoolOf
	if wanted.Full == "drop-oldest" {
		full, most = spool.DropOldest, 0
	}
	store.Configure(wanted.Bytes, full)
	parts.Bound(most)
	i.leaves.WriteAlways(wanted.Durability == "always")
}

// close is the end, after that of the leaves.
func (i *identities) close() {
	i.leaves.Close()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.spool != nil {
		if err := i.spool.Close(); err != nil {
			i.g.log.Error().Err(err).Msg("spool of devices not closed cleanly")
		}
	}
}

// stats are those of the disk.
func (i *identities) stats() spool.Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.spool == nil {
		return spool.Stats{Err: i.err, Failed: i.err != nil}
	}
	return i.spool.Stats()
}
