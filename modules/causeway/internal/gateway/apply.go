package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
)

// descriptionLimit keeps lastDesiredStatus.description below the 4 KiB that a
// twin's string may have.
const descriptionLimit = 3500

// desiredStatus is lastDesiredStatus of the reported properties, as the edge hub
// reports its own.
type desiredStatus struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// router is the table of routes in force; messages pass it while it is exchanged.
type router struct{ table atomic.Pointer[route.Table] }

// Apply implements session.Router.
func (r *router) Apply(m *message.Message) {
	if t := r.table.Load(); t != nil {
		t.Apply(m)
	}
}

// apply takes desired properties of the given version: whole, or not at all.
func (g *Gateway) apply(ctx context.Context, desired json.RawMessage, version int64) {
	g.changing.Lock()
	defer g.changing.Unlock()
	g.applyLocked(ctx, desired, version)
}

func (g *Gateway) applyLocked(ctx context.Context, desired json.RawMessage, version int64) {
	if !g.says(desired) {
		desired = g.bootstrap()
	}
	if faults := g.change(ctx, desired, version, changed); faults != nil {
		g.refused, g.refusedVersion = desired, version
		description := describeFaults(faults)
		g.log.Error().Int64("version", version).Str("faults", description).Msg("desired properties refused")
		g.decided(version, desiredStatus{Code: 400, Description: description[:min(len(description), descriptionLimit)]})
		return
	}
	g.refused = nil
	g.log.Info().Int64("version", version).Int("listeners", len(g.running())).Msg("desired properties applied")
	g.decided(version, desiredStatus{Code: 200})
	if err := g.store.Save(desired, version); err != nil {
		g.log.Error().Err(err).Msg("configuration not kept for the next start")
	}
}

func describeFaults(faults []config.Fault) string {
	text := make([]string, len(faults))
	for i, f := range faults {
		text[i] = f.String()
	}
	return strings.Join(text, "; ")
}

// change compiles a document and makes it the configuration in force, or tells every
// fault. It is called with changing held.
func (g *Gateway) change(ctx context.Context, desired json.RawMessage, version int64, why occasion) []config.Fault {
	p, faults := g.compile(ctx, desired, why)
	if faults != nil {
		return faults
	}
	g.enact(p)
	g.applied, g.appliedVersion = desired, version
	return nil
}

// applyAgain tries what could not be done: listeners whose codec was away, and with
// delivered the document that was refused last, for which a program has come.
func (g *Gateway) applyAgain(ctx context.Context, delivered bool) {
	g.changing.Lock()
	defer g.changing.Unlock()
	if delivered && g.refused != nil {
		g.applyLocked(ctx, g.refused, g.refusedVersion)
		return
	}
	g.mu.Lock()
	waiting := len(g.waiting) > 0
	g.mu.Unlock()
	if !waiting {
		return
	}
	if faults := g.change(ctx, g.applied, g.appliedVersion, retrying); faults != nil {
		g.observers.flood.Warn("listeners wait for their codec: "+describeFaults(faults), nil)
	}
	g.reported.Changed()
}

// says tells whether desired properties say anything besides their metadata.
func (g *Gateway) says(desired json.RawMessage) bool {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(desired, &members); err != nil {
		return true // config.Parse tells what is wrong with it
	}
	delete(members, "$version")
	delete(members, "$metadata")
	return len(members) > 0
}

// decided notes and reports what became of a version.
func (g *Gateway) decided(version int64, s desiredStatus) {
	g.mu.Lock()
	g.version, g.status = version, s
	g.mu.Unlock()
	g.observers.twinVersion(version)
	g.reported.Changed()
}

// enact makes a plan the configuration in force. Listeners go first and come last,
// so that a port can move from one name to another; one that did not change keeps
// its connections.
func (g *Gateway) enact(p *plan) {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.down {
		g.doors.dismiss(p.roster, g.doors.staff())
		g.plugins.discard(p.plugins)
		return
	}
	for name, running := range g.running() {
		d, stays := p.doors[name]
		if stays && d.config.Equal(running.config) && g.keeps(running, d) {
			continue
		}
		if w, waits := p.waiting[name]; waits && w.config.Equal(running.config) {
			continue // its codec is away at the moment, and its links know
		}
		running.stop()
		g.remove(name)
		if !stays {
			g.observers.forget(name)
		}
	}
	g.mu.Lock()
	g.document, g.waiting = p.document, p.waiting
	g.mu.Unlock()
	for name, running := range g.running() { // those that keep their connections
		running.admission.policy.Store(g.doors.policyOf(p.document, name, p.roster))
	}
	g.doors.relieve(p.roster)
	g.doors.configure(p.document)
	g.plugins.adopt(p.plugins)
	g.identities.enact(p.identities, p.document)
	g.router.table.Store(p.routes)
	g.events.configure(p.document.Events)
	g.quota.Resize(p.document.Limits.Connections)
	if level := p.document.Log.Level; level != "" {
		g.setLevel(level)
	} else {
		g.setLevel(g.opts.Environment.LogLevel)
	}
	for name, d := range p.doors {
		if g.running()[name] == nil {
			l := startListener(name, d, g.reported.Changed)
			g.add(name, l)
			if s := l.state(); s.Error != "" {
				g.log.Error().Str("listener", name).Str("err", s.Error).Msg("listener cannot open, trying again")
			} else {
				g.log.Info().Str("listener", name).Str("bind", s.Bind).Str("codec", d.config.Codec).Msg("listener open")
			}
		}
	}
	listeners := g.running()
	for _, l := range listeners {
		l.share.resize(g.queueBytes(l.config.Limits, len(listeners)))
	}
	g.spooling.configure(p.document.Spool)
	g.letters.configure(p.document.DeadLetters)
	g.devices.Configured(desiredOf(p.document))
	g.ready.Store(true)
}

// keeps tells whether a running listener can go on with its connections: its codec is
// the same, or its links go over to the new one.
func (g *Gateway) keeps(running *listener, d door) bool {
	before := running.codec()
	if before == d.loaded {
		return true
	}
	if (d.profile.Framing == nil) != (running.profile.Framing == nil) {
		return false
	}
	e := running.exchange(d)
	if before != nil {
		g.plugins.exchanged(before, e)
	}
	g.log.Info().Str("listener", running.name).Str("codec", d.config.Codec).Str("version", d.loaded.version()).
		Msg("codec exchanged")
	return true
}

// desiredOf lists the values that devices are to be told.
func desiredOf(d *config.Document) map[string]json.RawMessage {
	desired := make(map[string]json.RawMessage)
	for id, device := range d.Devices {
		if len(device.Desired) > 0 {
			desired[id] = device.Desired
		}
	}
	return desired
}

func (g *Gateway) setLevel(level string) {
	if err := g.opts.Level.Set(level); err != nil {
		g.log.Error().Err(err).Msg("log level not changed")
	}
}

// running is a copy of the listeners that run.
func (g *Gateway) running() map[string]*listener {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make(map[string]*listener, len(g.listeners))
	for name, l := range g.listeners {
		list[name] = l
	}
	return list
}

func (g *Gateway) add(name string, l *listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners[name] = l
}

func (g *Gateway) remove(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, name)
}

// current is the document in force; empty before the first.
func (g *Gateway) current() *config.Document {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.document
}

// restore applies the last good configuration, so that devices are served before
// the hub has said anything. It tells whether there was one.
func (g *Gateway) restore(ctx context.Context) bool {
	desired, version, err := g.store.Load()
	if errors.Is(err, config.ErrNone) {
		g.log.Info().Msg("first start: no last good configuration yet")
		return false
	}
	if err != nil {
		g.log.Error().Err(err).Msg("last good configuration not read")
		return false
	}
	g.changing.Lock()
	defer g.changing.Unlock()
	if faults := g.change(ctx, desired, version, starting); faults != nil {
		g.log.Error().Int64("version", version).Str("fault", faults[0].String()).Msg("last good configuration refused")
		return false
	}
	g.log.Info().Int64("version", version).Msg("last good configuration applied")
	return true
}

// startup applies what there is when neither the disk nor the hub said anything.
func (g *Gateway) startup(ctx context.Context) {
	g.changing.Lock()
	defer g.changing.Unlock()
	if faults := g.change(ctx, g.bootstrap(), 0, starting); faults != nil {
		g.log.Error().Str("fault", fmt.Sprint(faults)).Msg("bootstrap configuration refused")
		return
	}
	g.log.Info().Msg("bootstrap configuration applied")
}
