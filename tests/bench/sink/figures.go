package sink

import (
	"encoding/json"
	"net/http"
	"syscall"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/check"
)

// Figures are what the sink has seen.
type Figures struct {
	check.Counts
	// Latency is from sending to arrival, since the last mark.
	Latency Latency `json:"latency"`
	// CPU is what the sink itself has used, user and system.
	CPU time.Duration `json:"cpu"`
}

// Latency are quantiles of a time.
type Latency struct {
	Count uint64        `json:"count"`
	P50   time.Duration `json:"p50"`
	P99   time.Duration `json:"p99"`
	P999  time.Duration `json:"p999"`
	Max   time.Duration `json:"max"`
}

// Figures returns what was counted so far.
func (c *counter) figures(quantiles bool) (f Figures) {
	c.mu.Lock()
	f.Counts = c.tally.Counts()
	if h := c.tally.Latency(); quantiles {
		f.Latency = Latency{h.Total(), h.Quantile(0.5), h.Quantile(0.99), h.Quantile(0.999), h.Quantile(1)}
	}
	c.mu.Unlock()
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		f.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return f
}

// control serves GET /counts, which costs little, GET /figures, and POST /mark, which
// forgets the latencies of a warm-up.
func (c *counter) control() http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // who asked has gone
	}
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.figures(false)) })
	mux.HandleFunc("GET /figures", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.figures(true)) })
	mux.HandleFunc("POST /mark", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		c.tally.ResetLatency()
		c.mu.Unlock()
		answer(w, struct{}{})
	})
	return mux
}
