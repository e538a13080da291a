package observe

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// Latency is what is told of a histogram in short: the upper bounds, in seconds, of
// the buckets in which the median and the 99th percentile are. Both are 0 without
// observations, and the last bucket's bound beyond it.
type Latency struct {
	P50 float64 `json:"p50Seconds"`
	P99 float64 `json:"p99Seconds"`
}

// AckLatency is that of the acknowledgements of all listeners since the start.
func (m *Metrics) AckLatency() Latency {
	bounds := latencies()
	counts := make([]uint64, len(bounds)+1)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.listeners {
		l.addLatencies(counts)
	}
	return Latency{P50: quantile(bounds, counts, 0.5), P99: quantile(bounds, counts, 0.99)}
}

// addLatencies adds what was observed in each bucket; the last is for all beyond.
func (l *Listener) addLatencies(counts []uint64) {
	var metric dto.Metric
	if l.latency.Write(&metric) != nil {
		return // a histogram of our own can be written
	}
	h, below := metric.GetHistogram(), uint64(0)
	for i, bucket := range h.GetBucket() {
		counts[i] += bucket.GetCumulativeCount() - below
		below = bucket.GetCumulativeCount()
	}
	counts[len(counts)-1] += h.GetSampleCount() - below
}

// quantile returns the bound of the bucket that a share of all observations reaches.
func quantile(bounds []float64, counts []uint64, share float64) float64 {
	total := uint64(0)
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank, seen := uint64(math.Ceil(share*float64(total))), uint64(0)
	for i, bound := range bounds {
		if seen += counts[i]; seen >= rank {
			return bound
		}
	}
	return bounds[len(bounds)-1]
}
