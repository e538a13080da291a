package observe

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Labels are on every series: those that the edge's metrics collector expects,
// and what is built.
type Labels struct {
	// IoTHub is the host name of the hub, EdgeDevice the id of the device, Module
	// that of this module, or empty where the gateway is no module.
	IoTHub, EdgeDevice, Module string
	// Instance is a GUID of this start of the process; empty makes one.
	Instance string
	// Version and Commit are labels of causeway_build_info only.
	Version, Commit string
}

// Metrics is the registry of one gateway and the metrics of its rooms. It is safe
// for concurrent use.
type Metrics struct {
	// Hub is of the connection to the edge hub.
	Hub *Hub

	registry *prometheus.Registry
	vectors  *listenerVectors

	mu        sync.Mutex
	listeners map[string]*Listener
	register  prometheus.Registerer
}

// NewMetrics makes the registry with the metrics of the Go runtime, of the build
// and of the hub.
func NewMetrics(labels Labels) *Metrics {
	if labels.Instance == "" {
		labels.Instance = guid()
	}
	registry := prometheus.NewRegistry()
	register := prometheus.WrapRegistererWith(prometheus.Labels{
		"iothub":          labels.IoTHub,
		"edge_device":     labels.EdgeDevice,
		"module_name":     labels.Module,
		"instance_number": labels.Instance,
	}, registry)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "causeway_build_info", Help: "Always 1; the labels say what is running.",
	}, []string{"version", "commit", "go"})
	build.WithLabelValues(labels.Version, labels.Commit, runtime.Version()).Set(1)
	register.MustRegister(
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return &Metrics{
		Hub:       newHub(register),
		registry:  registry,
		vectors:   newListenerVectors(register),
		listeners: make(map[string]*Listener),
		register:  register,
	}
}

// Gauge adds a metric whose value is asked at each scrape. It must be called once
// for each name, while the gateway is built; value must be safe for concurrent
// use and quick.
func (m *Metrics) Gauge(name, help string, value func() float64) error {
	return m.register.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Counter adds a counter that another room keeps, as [Metrics.Gauge] does. Its
// name ends in _total and its value never falls.
func (m *Metrics) Counter(name, help string, value func() float64) error {
	return m.register.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// Handler serves the metrics in Prometheus' text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// The collector scrapes alone; more at once than this is a fault.
		MaxRequestsInFlight: 4,
	})
}

// guid is a random (version 4) GUID.
func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
