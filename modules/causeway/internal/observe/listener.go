package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencies are the buckets of acknowledgement and settlement, in seconds: from a
// hub on the same machine (0.2 ms) to one that is about to be given up.
func latencies() []float64 {
	return []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}
}

// listenerVectors are the metrics by listener.
type listenerVectors struct {
	links                                        *prometheus.GaugeVec
	opened, bytesIn, bytesOut, frames, malformed *prometheus.CounterVec
	messages, datagrams, acks, naks, panics      *prometheus.CounterVec
	closed, refused, commands, letters           *prometheus.CounterVec
	logins, takenOver                            *prometheus.CounterVec
	ack                                          *prometheus.HistogramVec
}

func newListenerVectors(register prometheus.Registerer) *listenerVectors {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		register.MustRegister(v)
		return v
	}
	v := &listenerVectors{
		links: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "causeway_links", Help: "Connections and UDP sessions that are open.",
		}, []string{"listener"}),
		opened: counter("causeway_links_opened_total", "Connections and UDP sessions that were let in.", "listener"),
		closed: counter("causeway_links_closed_total", "Links closed, by reason.", "listener", "reason"),
		refused: counter("causeway_links_refused_total",
			"Links and datagrams not let in, by reason.", "listener", "reason"),
		bytesIn:   counter("causeway_received_bytes_total", "Bytes of frames received from devices.", "listener"),
		bytesOut:  counter("causeway_sent_bytes_total", "Bytes sent to devices.", "listener"),
		frames:    counter("causeway_frames_total", "Frames received from devices.", "listener"),
		malformed: counter("causeway_frames_malformed_total", "Frames that the codec could not decode.", "listener"),
		messages:  counter("causeway_messages_total", "Messages made of frames and handed to the hub's queue.", "listener"),
		datagrams: counter("causeway_datagrams_dropped_total",
			"Datagrams, and other messages that cannot wait, dropped because there was no room.", "listener", "reason"),
		acks: counter("causeway_acks_total", "Acknowledgements sent to devices.", "listener"),
		naks: counter("causeway_naks_total", "Negative acknowledgements of messages that the hub refused.", "listener"),
		panics: counter("causeway_codec_failures_total",
			"Failures of a codec itself (panic, budget), each of which closed a link.", "listener"),
		commands: counter("causeway_commands_total",
			"Commands to connected devices: answered, refused-by-device, unconfirmed, no-answer, and so on.",
			"listener", "outcome"),
		logins: counter("causeway_logins_total",
			"Devices that authentication has judged, by outcome.", "listener", "outcome"),
		takenOver: counter("causeway_duplicate_logins_total",
			"Logins of devices of which another link was open, which they took over.", "listener"),
		letters: counter("causeway_dead_letters_total",
			"Frames and messages that became dead letters, by kind.", "listener", "kind"),
		ack: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "causeway_ack_latency_seconds", Buckets: latencies(),
			Help: "Time from a frame's arrival to its acknowledgement.",
		}, []string{"listener"}),
	}
	register.MustRegister(v.links, v.ack)
	return v
}

// forget removes every series of a listener.
func (v *listenerVectors) forget(name string) {
	label := prometheus.Labels{"listener": name}
	for _, vec := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		v.links, v.opened, v.bytesIn, v.bytesOut, v.frames, v.malformed, v.messages, v.datagrams, v.acks,
		v.naks, v.panics, v.closed, v.refused, v.commands, v.letters, v.ack, v.logins, v.takenOver,
	} {
		vec.DeletePartialMatch(label)
	}
}

// Listener is the metrics of one listener. Fields may be used directly; the
// methods are what the rooms call. Nothing of it allocates, except for the first
// of each reason.
type Listener struct {
	Links                                                   prometheus.Gauge
	LinksOpened, BytesIn, BytesOut, Frames, FramesMalformed prometheus.Counter
	Messages, Acks, Naks, CodecFailures                     prometheus.Counter
	LinksClosed, LinksRefused, Commands, DeadLetters        *Counts
	// DatagramsDropped are by reason, Logins by what became of them.
	DatagramsDropped, Logins *Counts
	DuplicateLogins          prometheus.Counter
	// AckLatency is in seconds.
	AckLatency prometheus.Observer

	latency prometheus.Metric // AckLatency
}

// Listener returns the metrics of a listener, the same ones for the same name
// until it is forgotten.
func (m *Metrics) Listener(name string) *Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.listeners[name]
	if l == nil {
		v := m.vectors
		l = &Listener{
			Links:       v.links.WithLabelValues(name),
			LinksOpened: v.opened.WithLabelValues(name),
			BytesIn:     v.bytesIn.WithLabelValues(name), BytesOut: v.bytesOut.WithLabelValues(name),
			Frames: v.frames.WithLabelValues(name), FramesMalformed: v.malformed.WithLabelValues(name),
			Messages: v.messages.WithLabelValues(name), DatagramsDropped: newCounts(v.datagrams, name),
			Acks: v.acks.WithLabelValues(name), Naks: v.naks.WithLabelValues(name),
			CodecFailures: v.panics.WithLabelValues(name),
			LinksClosed:   newCounts(v.closed, name), LinksRefused: newCounts(v.refused, name),
			Commands: newCounts(v.commands, name), DeadLetters: newCounts(v.letters, name),
			Logins: newCounts(v.logins, name), DuplicateLogins: v.takenOver.WithLabelValues(name),
			AckLatency: v.ack.WithLabelValues(name),
		}
		l.latency, _ = l.AckLatency.(prometheus.Metric) // every histogram is one
		m.listeners[name] = l
	}
	return l
}

// Forget removes the series of a listener that the configuration no longer has.
// Whoever still holds its metrics counts without being seen.
func (m *Metrics) Forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, name)
	m.vectors.forget(name)
}

// Opened counts a link that was let in.
func (l *Listener) Opened() {
	l.LinksOpened.Inc()
	l.Links.Inc()
}

// Closed counts the end of a link that was opened.
func (l *Listener) Closed(reason string) {
	l.Links.Dec()
	l.LinksClosed.Inc(reason)
}

// Refused counts what was not let in.
func (l *Listener) Refused(reason string) { l.LinksRefused.Inc(reason) }

// Received counts frames that were received, and their bytes together.
func (l *Listener) Received(frames, bytes int) {
	l.Frames.Add(float64(frames))
	l.BytesIn.Add(float64(bytes))
}

// Sent counts messages handed to the hub's queue.
func (l *Listener) Sent(messages int) { l.Messages.Add(float64(messages)) }

// Acknowledged counts an answer to a device and how long it waited for it.
func (l *Listener) Acknowledged(waited time.Duration, positive bool) {
	if positive {
		l.Acks.Inc()
	} else {
		l.Naks.Inc()
	}
	l.AckLatency.Observe(waited.Seconds())
}
