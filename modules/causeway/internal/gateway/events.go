package gateway

import (
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/lifecycle"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// events is where what happens to devices becomes messages on the output "events".
type events struct{ output *lifecycle.Output }

func newEvents(uplink lifecycle.Sender) *events { return &events{output: lifecycle.NewOutput(uplink)} }

// counters adds what was told, and what was not, to the metrics.
func (e *events) counters(m *observe.Metrics) error {
	if err := m.Counter("causeway_events_total", "Lifecycle messages handed to the hub's queue.", func() float64 {
		return float64(e.output.Stats().Sent)
	}); err != nil {
		return err
	}
	return m.Counter("causeway_events_dropped_total",
		"Lifecycle messages over a bound, or refused by the hub.", func() (sum float64) {
			for _, n := range e.output.Stats().Dropped {
				sum += float64(n)
			}
			return sum
		})
}

// configure takes the document's wishes.
func (e *events) configure(c config.Events) {
	e.output.Configure(lifecycle.Settings{
		Kinds: map[lifecycle.Kind]bool{
			lifecycle.Connected: c.Connected, lifecycle.Disconnected: c.Disconnected,
			lifecycle.Authenticated: c.Authenticated, lifecycle.Refused: c.Refused,
			lifecycle.TakenOver: c.TakenOver, lifecycle.Quarantined: c.Quarantined,
			lifecycle.CommandSent: c.CommandSent, lifecycle.CommandAnswered: c.CommandAnswered,
			lifecycle.CommandExpired: c.CommandExpired, lifecycle.IdentityAttached: c.IdentityAttached,
			lifecycle.IdentityDetached: c.IdentityDetached, lifecycle.IdentityRefused: c.IdentityRefused,
		},
		PerSecond: c.PerSecond, Burst: c.Burst, DevicePerMinute: c.DevicePerMinute, DeviceBurst: c.DeviceBurst,
	})
}

// kindOf is the kind of event that tells of a turn.
func kindOf(t session.TurnKind) lifecycle.Kind {
	return [...]lifecycle.Kind{
		session.TurnConnected: lifecycle.Connected, session.TurnDisconnected: lifecycle.Disconnected,
		session.TurnAuthenticated: lifecycle.Authenticated, session.TurnRefused: lifecycle.Refused,
		session.TurnTakenOver: lifecycle.TakenOver, session.TurnQuarantined: lifecycle.Quarantined,
		session.TurnCommandSent: lifecycle.CommandSent, session.TurnCommandAnswered: lifecycle.CommandAnswered,
		session.TurnCommandExpired: lifecycle.CommandExpired,
	}[t]
}

// of hears of the turns of a listener's devices, for session.Profile.
func (e *events) of(listener, codec string) func(session.Turn) {
	return func(t session.Turn) {
		kind := kindOf(t.Kind)
		if !e.output.Tells(kind) {
			return
		}
		peer := t.Link.Peer()
		event := lifecycle.Event{
			Kind: kind, Device: t.Device, Listener: listener, Codec: codec, Transport: peer.Transport,
			Remote: peer.Remote.String(), Session: t.Session, Reason: t.Reason, Elsewhere: t.Elsewhere,
			Command: t.Command, CommandID: t.CommandID,
		}
		if t.Before != nil {
			event.PreviousRemote = t.Before.Peer().Remote.String()
		}
		e.output.Tell(event)
	}
}

// expired tells of a queued command that no device took in time, for command.Options.
func (e *events) expired(r command.Request, id string) {
	e.output.Tell(lifecycle.Event{
		Kind: lifecycle.CommandExpired, Device: r.DeviceID, Reason: "not-sent", Command: r.Command, CommandID: id,
	})
}

// identity tells what became of an identity of a device's own: attached, detached or
// refused, one of the lifecycle.Identity kinds. The reason is a few words of the hub's or
// of the gateway's, without anything secret.
func (e *events) identity(kind lifecycle.Kind, listener, device, reason string) {
	e.output.Tell(lifecycle.Event{Kind: kind, Device: device, Listener: listener, Reason: reason})
}
