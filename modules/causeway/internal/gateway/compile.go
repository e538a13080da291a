package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/listen"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// messageBytes is the size from which a message goes in parts, as far as its codec
// can cut it: the edge hub's bound for a message (Constants.MaxMessageSize, 256 KiB),
// less room for what it adds itself. The uplink refuses a little later.
const messageBytes = 256<<10 - 4<<10

// plan is a document made ready to be applied: nothing of it can be refused any
// more, except by the system (a port in use, a certificate that is not there yet).
type plan struct {
	document   *config.Document
	routes     *route.Table
	roster     *roster
	plugins    map[string]*loaded
	identities *identityPlan
	doors      map[string]door
	waiting    map[string]waiting
}

// waiting is a listener whose codec is a process that is away.
type waiting struct {
	config config.Listener
	err    error
}

// door is one listener made ready.
type door struct {
	config   config.Listener
	options  listen.Options
	profile  *session.Profile
	observer *listenerObserver
	tls      *certificates // nil without TLS
	loaded   *loaded       // nil for a built-in codec
	share    *share        // of the queue

	admission *admission
}

// compile makes a plan of desired properties, or tells every fault.
func (g *Gateway) compile(ctx context.Context, desired []byte, why occasion) (*plan, []config.Fault) {
	document, faults := config.Parse(desired)
	if faults != nil {
		return nil, faults
	}
	p := &plan{document: document, doors: make(map[string]door), waiting: make(map[string]waiting)}
	if p.plugins, faults = g.plugins.load(ctx, document.Codecs, why); faults != nil {
		return nil, config.SortFaults(faults)
	}
	if p.roster, faults = g.doors.recruit(document); faults != nil {
		g.plugins.discard(p.plugins)
		return nil, config.SortFaults(faults)
	}
	var routeFaults []route.RuleError
	p.routes, routeFaults = route.Compile(rules(document.Routes))
	for _, f := range routeFaults {
		faults = append(faults, config.Fault{Pointer: config.Pointer("routes", f.Name, "when"), Message: f.Err.Error()})
	}
	for name, l := range document.Listeners {
		if !l.Enabled {
			continue
		}
		d, listenerFaults := g.door(ctx, p, name, l)
		faults = append(faults, listenerFaults...)
		if _, waits := p.waiting[name]; !waits {
			p.doors[name] = d
		}
	}
	var identityFaults []config.Fault
	p.identities, identityFaults = g.identities.compile(document)
	if faults = append(faults, identityFaults...); len(faults) > 0 {
		g.doors.dismiss(p.roster, g.doors.staff())
		g.plugins.discard(p.plugins)
		return nil, config.SortFaults(faults)
	}
	return p, nil
}

func rules(routes map[string]config.Route) []route.Rule {
	list := make([]route.Rule, 0, len(routes))
	for name, r := range routes {
		rule := route.Rule{Name: name, When: r.When, Output: r.Output, Order: r.Order}
		for k, v := range r.Properties {
			rule.Properties = append(rule.Properties, message.Property{Name: k, Value: v})
		}
		list = append(list, rule)
	}
	return list
}

// door compiles one listener of the plan, or notes that it waits for its codec.
func (g *Gateway) door(ctx context.Context, p *plan, name string, l config.Listener) (door, []config.Fault) {
	var faults []config.Fault
	fault := func(key string, err error) {
		f := config.Fault{Pointer: config.Pointer("listeners", name, key), Message: err.Error()}
		if inner, ok := errors.AsType[*codec.OptionError](err); ok {
			f.Pointer, f.Message = f.Pointer+inner.Pointer, inner.Reason
		}
		faults = append(faults, f)
	}
	var c codec.Codec
	factory, from, err := g.plugins.factory(p.plugins, l.Codec)
	if err != nil {
		fault("codec", err)
	} else if c, err = factory(l.Options); from.away(err) {
		p.waiting[name] = waiting{config: l, err: err}
		return door{}, nil
	} else if err != nil {
		fault("options", err)
	}
	if c, err = g.transformed(l, c); err != nil {
		fault("transform", err)
	}
	framing, err := framingOf(name, l, c)
	if from.away(err) {
		p.waiting[name] = waiting{config: l, err: err}
		return door{}, nil
	}
	if err != nil {
		fault("frame", err)
	}
	d := door{config: l, options: g.listenOptions(name, l), loaded: from}
	if l.TLS != nil {
		if d.tls, err = g.certificates(ctx, *l.TLS); err != nil {
			fault("tls", err)
		} else {
			d.options.TLS = d.tls.config(l.TLS.ClientAuth)
		}
	}
	d.observer = g.observers.listener(name, l.Codec)
	version := from.version()
	if version == "" {
		version = g.opts.Version
	}
	d.observer.version.Store(&version)
	d.options.Refused = d.observer.Refused
	d.profile = g.profile(name, l, c, framing)
	d.profile.Uplink, d.share = g.identities.uplink(l, g.queueBytes(l.Limits, len(p.document.Listeners)))
	d.profile.Observer = d.observer
	tell := g.events.of(name, l.Codec)
	d.profile.Turned = func(t session.Turn) {
		d.observer.turned(t)
		tell(t)
	}
	d.admission = &admission{
		doors: g.doors, listener: name, counts: d.observer.Listener, fits: g.identities.fits(l),
	}
	d.admission.policy.Store(g.doors.policyOf(p.document, name, p.roster))
	d.observer.admission = d.admission
	d.profile.Admission, d.profile.Quarantine = d.admission, g.doors.quarantine
	return d, faults
}

// away tells whether an error says that the codec is a process that is not there.
func (l *loaded) away(err error) bool {
	return l != nil && l.config.Remote() && errors.Is(err, codec.ErrBroken)
}

// framingOf is the framing that the listener names; without one, the codec's own
// (nil), none for datagrams (nil), or lines.
func framingOf(name string, l config.Listener, c codec.Codec) (*frame.Framing, error) {
	spec := l.Frame
	if len(spec) == 0 {
		if c == nil || l.Bind.Transport == "udp" {
			return nil, nil
		}
		probe, err := c.Begin(codec.Peer{Listener: name, Transport: l.Bind.Transport})
		if err != nil {
			return nil, fmt.Errorf("the codec cannot begin: %w", err)
		}
		_, own := probe.(codec.Framer)
		codec.Close(probe)
		if own {
			return nil, nil
		}
		spec = json.RawMessage(`{"type":"line"}`)
	}
	framing, err := frame.Parse(spec, l.Limits.FrameBytes)
	if err == nil && framing.Kind() == "datagram" && l.Bind.Transport != "udp" {
		return nil, codec.Optionf("/type", "datagram framing needs a udp:// bind")
	}
	return framing, err
}

func (g *Gateway) listenOptions(name string, l config.Listener) listen.Options {
	return listen.Options{
		Name: name, Network: l.Bind.Transport, Address: l.Bind.Address,
		Proxy: listen.ProxyOptions{
			Mode: listen.ProxyMode(l.ProxyProtocol.Mode), Trusted: prefixes(l.ProxyProtocol.Trusted),
		},
		Allow: prefixes(l.Allow), Barred: g.doors.barred,
		Connections: l.Limits.Connections, PerAddress: l.Limits.ConnectionsPerAddress, Shared: g.quota,
		PeerIdle:   time.Duration(l.Limits.IdleSeconds) * time.Second,
		SendBuffer: l.Limits.SendBytes, DatagramSize: l.Limits.FrameBytes,
	}
}

func (g *Gateway) profile(name string, l config.Listener, c codec.Codec, framing *frame.Framing) *session.Profile {
	p := &session.Profile{
		Listener: name, CodecName: l.Codec, Output: l.Output, Codec: c, Framing: framing,
		MessageBytes: messageBytes,
		Device:       l.Device, FrameBytes: l.Limits.FrameBytes, LoginBytes: l.Limits.LoginBytes,
		LoginTime: time.Duration(l.Limits.LoginSeconds) * time.Second,
		Idle:      time.Duration(l.Limits.IdleSeconds) * time.Second,
		Router:    &g.router, Table: g.table,
	}
	switch l.Ack {
	case "decoded":
		p.Ack = session.AckDecoded
	case "none":
		p.Ack = session.AckNone
	}
	return p
}

// queueBytes is the listener's share of the queue, among so many: what its document says,
// or half, or all of it.
func (g *Gateway) queueBytes(l config.ListenerLimits, listeners int) int {
	switch {
	case l.QueueBytes > 0:
		return l.QueueBytes
	case listeners == 1: // there is nobody to leave room for
		return g.opts.Environment.HubQueueBytes
	default:
		return g.opts.Environment.HubQueueBytes / 2
	}
}

func prefixes(list []config.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = p.Prefix
	}
	return out
}
