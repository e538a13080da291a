package observe

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Hub is the metrics of the connection to the edge hub. What the hub's room keeps
// itself (batches in flight, bytes queued, age of the oldest message) is added
// with [Metrics.Gauge] under the names below.
type Hub struct {
	Connected                                        prometheus.Gauge
	Connects, Disconnects, Batches, MessagesAccepted prometheus.Counter
	TokenRenewals                                    prometheus.Counter
	// ConnectFailures counts attempts that failed while there was no connection.
	ConnectFailures prometheus.Counter
	// TwinVersion is the $version of the desired properties that are applied.
	TwinVersion prometheus.Gauge
	// MessagesRefused counts by error condition.
	MessagesRefused *Counts
	// SettleLatency is in seconds, from sending a batch to the hub's answer.
	SettleLatency prometheus.Observer

	methods *prometheus.CounterVec
	up      atomic.Bool
}

// Names of the gauges that the gateway adds with [Metrics.Gauge].
const (
	// BatchesInFlight: batches that wait for the hub's answer.
	BatchesInFlight = "causeway_hub_batches_in_flight"
	// QueueBytes: bytes taken from devices and not yet answered by the hub.
	QueueBytes = "causeway_hub_queue_bytes"
	// OldestUnsentSeconds: age of the oldest message that the hub has not answered.
	OldestUnsentSeconds = "causeway_hub_oldest_unsent_seconds"
)

func newHub(register prometheus.Registerer) *Hub {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		register.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		register.MustRegister(g)
		return g
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "causeway_hub_messages_refused_total",
		Help: "Messages in batches that the hub refused, by condition; what is sent again counts each time.",
	}, []string{"condition"})
	settle := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "causeway_hub_settle_latency_seconds", Buckets: latencies(),
		Help: "Time from sending a batch to the hub's answer.",
	})
	methods := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "causeway_hub_method_calls_total", Help: "Direct methods answered, by name and status.",
	}, []string{"method", "status"})
	register.MustRegister(refused, settle, methods)
	return &Hub{
		Connected:        gauge("causeway_hub_connected", "1 while the connection to the hub stands, otherwise 0."),
		Connects:         counter("causeway_hub_connects_total", "Connections to the hub that came to stand."),
		Disconnects:      counter("causeway_hub_disconnects_total", "Connections to the hub that ended."),
		ConnectFailures:  counter("causeway_hub_connect_failures_total", "Attempts to connect to the hub that failed."),
		Batches:          counter("causeway_hub_batches_total", "Batches that the hub answered."),
		MessagesAccepted: counter("causeway_hub_messages_accepted_total", "Messages that the hub accepted."),
		MessagesRefused:  newCounts(refused),
		TokenRenewals:    counter("causeway_hub_token_renewals_total", "Tokens renewed; over MQTT that is a new connection."),
		TwinVersion:      gauge("causeway_twin_desired_version", "Version of the desired properties that are applied."),
		SettleLatency:    settle,
		methods:          methods,
	}
}

// Connection tells that the connection stands (nil), or that it ended or could
// not be made.
func (h *Hub) Connection(err error) {
	was := h.up.Swap(err == nil)
	switch {
	case err == nil:
		h.Connects.Inc()
		h.Connected.Set(1)
	case was:
		h.Disconnects.Inc()
		h.Connected.Set(0)
	default:
		h.ConnectFailures.Inc()
	}
}

// Renewed counts a token that took the place of one that was about to expire.
func (h *Hub) Renewed() { h.TokenRenewals.Inc() }

// Batch counts a settled batch; the condition is empty when it was accepted.
func (h *Hub) Batch(messages int, inFlight time.Duration, condition string) {
	h.Batches.Inc()
	h.SettleLatency.Observe(inFlight.Seconds())
	if condition == "" {
		h.MessagesAccepted.Add(float64(messages))
	} else {
		h.MessagesRefused.Add(condition, messages)
	}
}

// Method counts a direct method that was answered. Callers choose the name, so one
// that is not among the known counts as "other"; statuses outside 100 to 599 as 0.
func (h *Hub) Method(name string, known []string, status int) {
	if !slices.Contains(known, name) {
		name = other
	}
	if status < 100 || status > 599 {
		status = 0
	}
	h.methods.WithLabelValues(name, strconv.Itoa(status)).Inc()
}
