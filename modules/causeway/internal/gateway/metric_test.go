package gateway

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// metric is the value of the first series of that name with all of the labels, as
// label="value"; 0 where there is none.
func metric(t *testing.T, g *Gateway, name string, labels ...string) float64 {
	t.Helper()
	w := httptest.NewRecorder()
	g.observers.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
series:
	for line := range strings.Lines(w.Body.String()) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue series
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return v
	}
	return 0
}
