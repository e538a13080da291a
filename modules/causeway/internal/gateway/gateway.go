package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/listen"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
	"github.com/causeway-iot/causeway/modules/causeway/internal/twin"
)

const (
	// firstTwin is how long the first start waits for the twin before it takes the
	// bootstrap configuration: with a hub that is there, it would only flap.
	firstTwin = 10 * time.Second
	// drainShare of the shutdown grace is for the hub to settle what is in flight;
	// the rest is for writing acknowledgements and closing.
	drainShare = 0.7
)

// Options are what a Gateway is made of.
type Options struct {
	Environment config.Environment
	// Version is the program's version.
	Version string
	Log     zerolog.Logger
	Level   *observe.Level
	// Registry holds the codecs that configurations can name.
	Registry *codec.Registry
}

// Gateway is the whole program behind main.
type Gateway struct {
	opts  Options
	log   zerolog.Logger
	began time.Time

	uplink     *hub.Uplink
	hub        *hub.Hub
	workload   *hub.Workload // nil with a connection string
	table      *session.Table
	router     router
	quota      *listen.Quota
	credential hub.Credential // the gateway's own
	commands   *command.Service
	identities *identities
	methods    *command.Methods
	desired    *twin.Desired
	reported   *twin.Reported
	devices    *twin.Devices
	store      *config.Store
	observers  *observers
	spooling   *spooling
	kept       *state.File
	letters    *deadLetters
	events     *events
	doors      *doors

	ready    atomic.Bool
	applying sync.Mutex // one change of configuration at a time
	down     bool       // no listener may come any more; guarded by applying
	plugins  *plugins

	work context.Context //nolint:containedctx // ends when the gateway goes down; set by Run

	changing                       sync.Mutex // held while a document is compiled, applied and kept
	applied, refused               json.RawMessage
	appliedVersion, refusedVersion int64

	mu        sync.Mutex
	document  *config.Document
	listeners map[string]*listener
	waiting   map[string]waiting // listeners whose codec is away
	version   int64
	status    desiredStatus
	results   atomic.Uint64
}

// New builds a gateway that does not run yet. An error tells of an environment
// that cannot work.
func New(opts Options) (*Gateway, error) {
	g := &Gateway{
		opts: opts, log: opts.Log, began: time.Now(),
		table: session.NewTable(), quota: listen.NewQuota(0), store: config.NewStore(opts.Environment.DataDir),
		document: new(config.Document), listeners: make(map[string]*listener), work: context.Background(),
	}
	env := opts.Environment
	g.uplink = hub.NewUplink(hub.UplinkOptions{
		BatchBytes: env.HubBatchBytes, Window: env.HubBatchesInFlight,
		QueueBytes: env.HubQueueBytes, Linger: env.HubLinger, Device: env.Hub.ModuleID == "",
		Refused: func(r *message.Refused) { g.letters.refused(r) },
	})
	g.kept = state.New(env.DataDir)
	g.plugins = newPlugins(g)
	g.letters = newDeadLetters(g, g.kept)
	g.events = newEvents(g.uplink)
	g.doors = newDoors(g, g.kept)
	g.spooling = &spooling{g: g, wanted: config.Spool{Full: "block", Durability: "hub"}}
	g.observers = newObservers(observe.Labels{
		IoTHub: env.Hub.IoTHubHostName, EdgeDevice: env.Hub.DeviceID, Module: env.Hub.ModuleID, Version: opts.Version,
	}, opts.Log)
	g.observers.letters, g.observers.codecs = g.letters, opts.Registry
	err := errors.Join(
		g.observers.gauges(g), g.observers.spoolGauges(g.spooling), g.observers.letterGauges(g.letters),
		g.events.counters(g.observers.metrics), g.observers.doorGauges(g.doors))
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	hubOptions, err := g.hubOptions()
	if err != nil {
		return nil, err
	}
	g.hub, g.credential = hub.New(hubOptions, g.uplink), hubOptions.Credential
	g.identities = newIdentities(g, hubOptions)
	if err := g.observers.identityGauges(g.identities); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	g.commands = command.New(command.Options{
		Find: g.find, Limit: func() int { return g.current().Limits.QueuedCommands },
		Ended: g.commandEnded, Expired: g.events.expired, Store: command.StateStore{File: g.kept},
		Failed: func(err error) { g.observers.flood.Warn("queued commands not kept", err) },
	})
	g.methods = command.NewMethods(g.commands, g, g.letters, g, g, g, command.Doors{
		Bans: g.doors, Quarantine: g.doors, Registry: g.doors,
	})
	g.observers.known = g.methods.Names()
	g.reported = twin.NewReported(g.hub, g.describe, func(err error) { g.log.Warn().Err(err).Msg("report failed") })
	g.devices = twin.NewDevices(g.pushDesired, g.reported.Changed)
	g.desired = twin.New(twin.Options{
		Hub: g.hub, Merge: config.MergePatch, Apply: g.applyDesired, Fetched: g.reported.Fetched,
		Failed: func(err error) {
			if g.hub.Connected() { // otherwise it is fetched when the hub is back
				g.log.Warn().Err(err).Msg("twin not in step")
			}
		},
	})
	g.table.Present = func(device string) {
		g.commands.Wake(device)
		g.devices.Present(device)
		g.identities.present(device)
	}
	return g, nil
}

// Run serves until ctx ends, and then drains within the shutdown grace. The error
// tells of a start that failed; a drain that did not finish is logged, since the
// devices still hold what was not acknowledged.
func (g *Gateway) Run(ctx context.Context) error {
	var server *observe.Server
	if addr := g.opts.Environment.MetricsAddr; addr != "" {
		var err error
		if server, err = observe.Serve(ctx, addr, g.observers.metrics, g); err != nil {
			return err
		}
		g.log.Info().Str("addr", server.Addr().String()).Msg("metrics open")
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g.work = ctx
	var rooms sync.WaitGroup
	g.spooling.open()
	g.identities.open()
	g.remember()
	if !g.restore(ctx) {
		rooms.Go(func() { g.awaitFirst(ctx) })
	}
	for _, room := range []func(context.Context){
		g.hub.Run, g.table.Run, g.desired.Run, g.reported.Run, g.devices.Run,
		g.spooling.run, g.spooling.watch, g.identities.run, g.giveBack, g.plugins.run,
	} {
		rooms.Go(func() { room(work) })
	}
	<-ctx.Done()
	g.drain()
	stop()
	g.commands.Close()
	rooms.Wait()
	g.uplink.Close()
	g.identities.close()
	g.spooling.close()
	g.letters.ring.Close()
	g.doors.close()
	g.plugins.end(context.WithoutCancel(ctx))
	if err := g.kept.Close(); err != nil {
		g.log.Warn().Err(err).Msg("state file not closed")
	}
	g.observers.close()
	if server != nil {
		return server.Close()
	}
	return nil
}

// remember opens what the gateway keeps besides the spool: dead letters, queued
// commands, and who may come in. Without it the gateway serves all the same.
func (g *Gateway) remember() {
	for _, err := range []error{g.kept.Open(), g.letters.ring.Start(), g.commands.Restore(), g.doors.restore()} {
		if err != nil {
			g.log.Error().Err(err).Msg("not all that was kept is there")
		}
	}
}

// awaitFirst is the first start: a bootstrap file is applied at once, otherwise
// the twin has a while to come.
func (g *Gateway) awaitFirst(ctx context.Context) {
	if g.opts.Environment.ConfigFile == "" {
		t := time.NewTimer(firstTwin)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	if !g.ready.Load() {
		g.startup(ctx)
	}
}

// bootstrap is the configuration of a gateway whose twin says nothing.
func (g *Gateway) bootstrap() []byte {
	path := g.opts.Environment.ConfigFile
	if path == "" {
		return config.DefaultDocument()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		g.log.Error().Err(err).Msg("bootstrap configuration not read")
		return config.DefaultDocument()
	}
	return b
}

// drain is the orderly end: nothing new is accepted or read, what was read goes
// to the hub, its acknowledgements to the devices, and the links are closed.
func (g *Gateway) drain() {
	grace := g.opts.Environment.Shutdown
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	g.log.Info().Dur("grace", grace).Msg("going down")
	g.applying.Lock()
	defer g.applying.Unlock()
	g.down = true
	listeners := g.running()
	for _, l := range listeners {
		l.quiesce()
	}
	settle, cancelSettle := context.WithTimeout(ctx, time.Duration(float64(grace)*drainShare))
	defer cancelSettle()
	if !g.hub.Connected() { // nobody is there to wait for, but the disk is
		g.uplink.Force()
		g.identities.leaves.Force()
	}
	if err := g.drainUplinks(settle); err != nil {
		g.uplink.Force()
		g.identities.leaves.Force()
	}
	if err := g.drainUplinks(ctx); err != nil {
		g.log.Warn().Err(err).Msg("left with unsettled messages; their devices were not acknowledged")
	}
	var closing sync.WaitGroup
	for _, l := range listeners {
		closing.Go(func() {
			l.settled(ctx) // what the disk has settled just now, too
			l.close()
		})
	}
	closing.Wait()
	_ = g.uplink.Drain(ctx) // events of the links' ends; the telemetry's end was told above
	g.log.Info().Msg("down")
}

// drainUplinks waits until everything taken is settled, of the module and of its devices.
func (g *Gateway) drainUplinks(ctx context.Context) error {
	return errors.Join(g.uplink.Drain(ctx), g.identities.leaves.Drain(ctx))
}

// find looks a device up for the way down.
func (g *Gateway) find(device string) (command.Device, bool) {
	s := g.table.Find(device)
	if s == nil {
		return nil, false
	}
	return recipient{s}, true
}

// recipient is a connected device on the way down.
type recipient struct{ *session.Session }

// Command implements command.Device.
func (r recipient) Command(ctx context.Context, q command.Request, id string) (codec.Result, error) {
	return r.Give(ctx, session.Order{Device: q.DeviceID, ID: id, Name: q.Command, Payload: q.Payload})
}
