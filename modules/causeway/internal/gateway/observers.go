package gateway

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/listen"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/spool"
)

// floodInterval is how often warnings of one kind may be logged.
const floodInterval = time.Second

// observers is where what the rooms tell becomes metrics and log lines.
type observers struct {
	metrics *observe.Metrics
	flood   *observe.Flood
	log     zerolog.Logger
	letters *deadLetters
	codecs  *codec.Registry // for hints

	mu        sync.Mutex
	connected bool
	hubError  string
	known     []string // names of the direct methods
}

func newObservers(labels observe.Labels, log zerolog.Logger) *observers {
	return &observers{
		metrics: observe.NewMetrics(labels), flood: observe.NewFlood(log, floodInterval), log: log,
	}
}

// gauges adds what the uplink knows to the metrics.
func (o *observers) gauges(g *Gateway) error {
	for _, gauge := range []struct {
		name, help string
		value      func() float64
	}{
		{observe.BatchesInFlight, "Batches that wait for the hub's answer.", func() float64 {
			return float64(g.uplink.Stats().Batches)
		}},
		{observe.QueueBytes, "Bytes taken from devices and not yet answered by the hub.", func() float64 {
			return float64(g.uplink.Stats().Bytes)
		}},
		{observe.OldestUnsentSeconds, "Age of the oldest message that the hub has not answered.", func() float64 {
			return g.oldestUnsent().Seconds()
		}},
		{"causeway_route_errors", "Conditions of routes that failed on a message since the routes last changed.",
			func() float64 { return float64(g.router.table.Load().Errors()) }},
	} {
		if err := o.metrics.Gauge(gauge.name, gauge.help, gauge.value); err != nil {
			return err
		}
	}
	return o.metrics.Counter("causeway_hub_messages_retried_total", "Messages that had to be sent to the hub again.",
		func() float64 { return float64(g.uplink.Stats().Retried) })
}

// spoolGauges adds what the spool knows to the metrics.
func (o *observers) spoolGauges(s *spooling) error {
	for _, gauge := range []struct {
		name, help string
		value      func(spoolState) float64
	}{
		{"causeway_spool_messages", "Messages on disk that wait for the hub.", func(s spoolState) float64 {
			return float64(s.Messages)
		}},
		{"causeway_spool_bytes", "Bytes of the messages on disk.", func(s spoolState) float64 { return float64(s.Bytes) }},
		{"causeway_spool_active", "1 while messages go by way of the disk, otherwise 0.", func(s spoolState) float64 {
			if s.State == "spooling" || s.State == "full" {
				return 1
			}
			return 0
		}},
		{"causeway_spool_full", "1 while the spool is full and devices wait, otherwise 0.", func(s spoolState) float64 {
			if s.State == "full" {
				return 1
			}
			return 0
		}},
		{"causeway_spool_failed", "1 while the disk cannot be written, otherwise 0.", func(s spoolState) float64 {
			if s.State == "failed" {
				return 1
			}
			return 0
		}},
	} {
		if err := o.metrics.Gauge(gauge.name, gauge.help, func() float64 { return gauge.value(s.state()) }); err != nil {
			return err
		}
	}
	for _, counter := range []struct {
		name, help string
		value      func(spoolState) uint64
	}{
		{"causeway_spool_dropped_total", "Messages given up because the spool was full.",
			func(s spoolState) uint64 { return s.Dropped }},
		{"causeway_spool_damaged_total", "Messages on disk that could not be read.",
			func(s spoolState) uint64 { return s.Damaged }},
	} {
		value := func() float64 { return float64(counter.value(s.state())) }
		if err := o.metrics.Counter(counter.name, counter.help, value); err != nil {
			return err
		}
	}
	return nil
}

// Dropped implements spool.Observer.
func (o *observers) Dropped(records int) {
	o.flood.Warn("spool full, oldest messages given up", nil, "messages", strconv.Itoa(records))
}

// Damaged implements spool.Observer.
func (o *observers) Damaged(what string, records int, err error) {
	o.log.Error().Err(err).Str("what", what).Int("messages", records).Msg("spool damaged, skipped")
}

// Failed implements spool.Observer, and hears of the uplink's writes.
func (o *observers) Failed(err error) {
	if err == nil {
		o.log.Info().Msg("spool can be written again")
		return
	}
	if errors.Is(err, spool.ErrFull) {
		o.flood.Warn("spool full, devices wait", err)
		return
	}
	o.flood.Warn("spool cannot be written", err)
}

func (o *observers) close() { o.flood.Close() }

// Connection implements hub.Observer.
func (o *observers) Connection(err error) {
	o.metrics.Hub.Connection(err)
	o.mu.Lock()
	was := o.connected
	o.connected, o.hubError = err == nil, ""
	if err != nil {
		o.hubError = err.Error()
	}
	o.mu.Unlock()
	switch {
	case err == nil:
		o.log.Info().Msg("edge hub connected")
	case was:
		o.log.Warn().Err(err).Msg("edge hub lost")
	default:
		o.flood.Warn("edge hub not reached", err)
	}
}

func (o *observers) connectionError() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hubError
}

// Renewed implements hub.Observer.
func (o *observers) Renewed() {
	o.metrics.Hub.Renewed()
	o.log.Debug().Msg("token renewed")
}

// Batch implements hub.Observer.
func (o *observers) Batch(messages int, inFlight time.Duration, condition string) {
	o.metrics.Hub.Batch(messages, inFlight, condition)
	if condition != "" {
		o.flood.Warn("edge hub refused a batch condition="+condition, nil)
	}
}

func (o *observers) method(name string, status int) {
	o.metrics.Hub.Method(name, o.known, status)
	o.log.Info().Str("method", name).Int("status", status).Msg("direct method answered")
}

func (o *observers) twinVersion(version int64) { o.metrics.Hub.TwinVersion.Set(float64(version)) }

func (o *observers) forget(listener string) { o.metrics.Forget(listener) }

// listenerObserver counts and logs for one listener.
type listenerObserver struct {
	*observe.Listener
	name, codec string
	version     atomic.Pointer[string] // of the codec
	flood       *observe.Flood
	letters     *deadLetters
	hint        hint
	admission   *admission // set before the first link
}

// turned counts what turns in the life of a device.
func (o *listenerObserver) turned(t session.Turn) {
	switch t.Kind {
	case session.TurnTakenOver:
		o.DuplicateLogins.Inc()
	case session.TurnRefused:
		if t.Reason == session.ReasonElsewhere {
			o.Logins.Inc("elsewhere")
		}
	case session.TurnCommandAnswered, session.TurnCommandExpired:
		outcome := t.Reason
		if outcome == "" {
			outcome = "answered"
		}
		o.Commands.Inc(outcome)
	}
}

func (o *observers) listener(name, codec string) *listenerObserver {
	return &listenerObserver{
		Listener: o.metrics.Listener(name), name: name, codec: codec, flood: o.flood, letters: o.letters,
		hint: hint{registry: o.codecs, codec: codec},
	}
}

// Refused counts and logs what was not let in.
func (o *listenerObserver) Refused(reason string) {
	o.Listener.Refused(reason)
	o.flood.Warn("link refused listener="+o.name+" reason="+reason, nil)
}

// Fault implements session.Observer.
func (o *listenerObserver) Fault(f session.Fault) {
	switch f.Kind {
	case session.FaultMalformed:
		o.FramesMalformed.Inc()
	case session.FaultBroken:
		o.CodecFailures.Inc()
	case session.FaultDropped:
		o.DatagramsDropped.Inc(dropReason(f.Err))
	}
	o.letters.fault(o, f)
	o.tell(f)
	o.flood.Warn("device fault listener="+o.name+" kind="+string(f.Kind), f.Err,
		"device", f.Device, "remote", f.Link.Peer().Remote.String())
}

// dropReason sorts what was dropped.
func dropReason(err error) string {
	switch {
	case errors.Is(err, errShareFull):
		return "listener-full"
	case errors.Is(err, session.ErrOwed):
		return "acknowledgements-owed"
	case errors.Is(err, message.ErrFull):
		return "queue-full"
	case errors.Is(err, session.ErrJudging), errors.Is(err, session.ErrUndecided):
		return "not-judged-yet"
	case errors.Is(err, session.ErrHeld):
		return "quarantine"
	default:
		return "gateway-stopped"
	}
}

// countedLink counts what is sent to a device.
type countedLink struct {
	*listen.Link
	sent prometheus.Counter
}

// Send implements session.Link.
func (k *countedLink) Send(b []byte) error {
	err := k.Link.Send(b)
	if err == nil {
		k.sent.Add(float64(len(b)))
	}
	return err
}

// peerReceiver is the session of a UDP peer, counted.
type peerReceiver struct {
	*session.Session
	observer *listenerObserver
	draining context.Context //nolint:containedctx // that of the listener
}

// Datagram implements listen.Receiver. A gateway that goes down takes nothing new,
// so that what it has can come to an end; the device sends again.
func (r peerReceiver) Datagram(b []byte, at time.Time) {
	if r.draining.Err() == nil {
		r.Session.Datagram(b, at)
	}
}

// Gone implements listen.Receiver.
func (r peerReceiver) Gone(reason string) {
	r.End()
	r.observer.Closed(reason)
}
