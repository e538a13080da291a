package observe

import (
	"testing"
	"time"
)

func TestLatencyInShortIsThatOfAllListeners(t *testing.T) {
	m := NewMetrics(Labels{})
	if got := m.AckLatency(); got != (Latency{}) {
		t.Errorf("without acknowledgements: %+v", got)
	}
	a, b := m.Listener("a"), m.Listener("b")
	for range 60 {
		a.Acknowledged(1500*time.Microsecond, true)
	}
	for range 39 {
		b.Acknowledged(40*time.Millisecond, true)
	}
	if got, want := m.AckLatency(), (Latency{P50: .002, P99: .05}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for range 3 {
		b.Acknowledged(time.Hour, false)
	}
	if got, want := m.AckLatency(), (Latency{P50: .002, P99: 30}); got != want {
		t.Errorf("with some that took too long: %+v, want %+v", got, want)
	}
	m.Forget("a")
	if got := m.AckLatency().P50; got != .05 {
		t.Errorf("without the first listener the median is %v", got)
	}
}
