package observe

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxCounts bounds the values of one label of one listener, so that what a
	// codec or a peer says cannot grow the metrics.
	maxCounts = 32
	// maxCount bounds one value in bytes.
	maxCount = 48
	other    = "other"
)

// Counts counts by one label, such as a reason. It is safe for concurrent use,
// and counting a known value allocates nothing.
type Counts struct {
	vec    *prometheus.CounterVec
	labels []string // values of the labels before the last

	mu    sync.RWMutex
	known map[string]prometheus.Counter
}

func newCounts(vec *prometheus.CounterVec, labels ...string) *Counts {
	return &Counts{vec: vec, labels: labels, known: make(map[string]prometheus.Counter)}
}

// Inc counts one. The first 32 values are kept apart; the rest, and values longer
// than 48 bytes, count as "other".
func (c *Counts) Inc(value string) { c.Add(value, 1) }

// Add counts n at once.
func (c *Counts) Add(value string, n int) {
	if len(value) > maxCount || value == "" {
		value = other
	}
	c.mu.RLock()
	counter := c.known[value]
	c.mu.RUnlock()
	if counter == nil {
		counter = c.admit(value)
	}
	counter.Add(float64(n))
}

func (c *Counts) admit(value string) prometheus.Counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxCounts {
		value = other
	}
	counter := c.known[value]
	if counter == nil {
		counter = c.vec.WithLabelValues(append(c.labels[:len(c.labels):len(c.labels)], value)...)
		c.known[value] = counter
	}
	return counter
}
