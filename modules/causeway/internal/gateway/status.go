package gateway

import (
	"errors"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// describe is the reported properties, in the shape in which the edge hub reports
// its own.
func (g *Gateway) describe() map[string]any {
	g.mu.Lock()
	version, status := g.version, g.status
	g.mu.Unlock()
	listeners := make(map[string]any)
	for name, l := range g.running() {
		listeners[name] = l.state()
	}
	g.mu.Lock()
	for name, w := range g.waiting {
		if listeners[name] == nil {
			listeners[name] = listenerState{State: "waiting", Bind: w.config.Bind.String(), Error: w.err.Error()}
		}
	}
	g.mu.Unlock()
	links, devices := g.table.Counts()
	description := map[string]any{
		"schemaVersion":    "1.0",
		"version":          map[string]any{"version": g.opts.Version},
		"listeners":        listeners,
		"spool":            g.spooling.state(),
		"acknowledgements": g.observers.metrics.AckLatency(),
		"counts": map[string]any{
			"connections": links, "devices": devices, "deadLetters": g.letters.ring.Stats().Count,
			"quarantined": g.doors.quarantine.Len(),
		},
	}
	// By the minute: whoever needs it closer asks for the status or the metrics.
	if age := g.oldestUnsent().Truncate(time.Minute); age > 0 {
		description["oldestUnsentSeconds"] = int(age.Seconds())
	}
	if status.Code != 0 {
		description["lastDesiredVersion"] = version
		description["lastDesiredStatus"] = status
	}
	if g.identities.used() {
		description["identities"] = g.identities.state()
	}
	if codecs := g.plugins.state(); len(codecs) > 0 {
		description["codecs"] = codecs
	}
	if reported := g.devices.Report(); len(reported) > 0 {
		description["devices"] = reported
	}
	return description
}

// Status implements command.Gateway.
func (g *Gateway) Status() any {
	description := g.describe()
	queue := g.uplink.Stats()
	description["uptimeSeconds"] = int(time.Since(g.began).Seconds())
	description["hub"] = map[string]any{"connected": g.hub.Connected(), "error": g.observers.connectionError()}
	description["deadLetters"] = g.letters.state()
	description["events"] = g.events.output.Stats()
	guard := g.doors.guard.Load().Stats()
	description["doors"] = map[string]any{
		"bans": guard.Bans, "coolingDown": guard.Pairs + guard.Addresses + guard.Devices,
		"failedDatagrams": guard.Unproven,
	}
	description["uplink"] = map[string]any{
		"messages": queue.Messages, "bytes": queue.Bytes, "batchesInFlight": queue.Batches,
		"oldestSeconds": g.oldestUnsent().Seconds(), "retried": queue.Retried,
	}
	return description
}

// Devices implements command.Gateway.
func (g *Gateway) Devices(after string, limit int) (page []any, total int) {
	list, total := g.table.Devices(after, limit)
	for _, s := range list {
		page = append(page, s)
	}
	return page, total
}

// Device implements command.Gateway.
func (g *Gateway) Device(id string) (any, bool) {
	status, connected := g.table.Device(id)
	if leaf, known := g.identities.leaves.Status(id); known {
		return struct {
			session.Status
			Identity hub.LeafStatus `json:"identity"`
		}{status, leaf}, connected
	}
	return status, connected
}

// SetLogLevel implements command.Gateway.
func (g *Gateway) SetLogLevel(level string) error { return g.opts.Level.Set(level) }

// oldestUnsent is the age of the oldest message that the hub has not settled, in
// memory or on disk.
func (g *Gateway) oldestUnsent() time.Duration {
	oldest := g.uplink.Stats().Oldest
	if leaves := g.identities.oldest(); oldest.IsZero() || !leaves.IsZero() && leaves.Before(oldest) {
		oldest = leaves
	}
	if disk := g.spooling.oldest(); oldest.IsZero() || !disk.IsZero() && disk.Before(oldest) {
		oldest = disk
	}
	if oldest.IsZero() {
		return 0
	}
	return max(0, time.Since(oldest)) // a clock may step back
}

// aliveWithin is how long a look at the session table may take before the gateway
// counts as stuck: it is one lock that every session passes.
const aliveWithin = 5 * time.Second

// Alive implements observe.Health.
func (g *Gateway) Alive() error {
	answered := make(chan struct{})
	go func() {
		g.table.Counts()
		g.uplink.Stats()
		close(answered)
	}()
	t := time.NewTimer(aliveWithin)
	defer t.Stop()
	select {
	case <-answered:
		return nil
	case <-t.C:
		return errStuck
	}
}

// errStuck tells of a lock that is not given back.
var errStuck = errors.New("sessions or uplink do not answer")

// Ready implements observe.Health.
func (g *Gateway) Ready() (bool, any) {
	ready := g.ready.Load()
	listeners := make(map[string]listenerState)
	for name, l := range g.running() {
		s := l.state()
		listeners[name] = s
		ready = ready && s.Error == ""
	}
	return ready, map[string]any{"hubConnected": g.hub.Connected(), "listeners": listeners}
}
