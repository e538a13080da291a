package observe

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

func testMetrics() *Metrics {
	return NewMetrics(Labels{
		IoTHub: "h.azure-devices.net", EdgeDevice: "edge", Module: "causeway", Version: "1.2.3", Commit: "abc",
	})
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// useEverything makes at least one series of every metric.
func useEverything(t *testing.T, m *Metrics) {
	t.Helper()
	l := m.Listener("trackers")
	l.Opened()
	l.Opened()
	l.Closed("idle")
	l.Refused("tls")
	l.Received(1, 100)
	l.Sent(3)
	l.Acknowledged(time.Millisecond, true)
	l.Acknowledged(time.Second, false)
	l.Commands.Inc("answered")
	l.DeadLetters.Inc("malformed")
	m.Hub.Connection(nil)
	m.Hub.Batch(10, time.Millisecond, "")
	m.Hub.Batch(1, time.Millisecond, "amqp:not-allowed")
	m.Hub.Method("ping", []string{"ping"}, 200)
	for _, name := range []string{BatchesInFlight, QueueBytes, OldestUnsentSeconds} {
		if err := m.Gauge(name, "Help.", func() float64 { return 7 }); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Counter("causeway_route_errors_total", "Help.", func() float64 { return 3 }); err != nil {
		t.Fatal(err)
	}
}

func TestEverySeriesCarriesTheLabelsOfTheEdge(t *testing.T) {
	m := testMetrics()
	useEverything(t, m)
	guid := regexp.MustCompile(`instance_number="[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)
	for line := range strings.Lines(scrape(t, m)) {
		if line[0] == '#' {
			continue
		}
		for _, label := range []string{`iothub="h.azure-devices.net"`, `edge_device="edge"`, `module_name="causeway"`} {
			if !strings.Contains(line, label) {
				t.Errorf("%s has no %s", line, label)
			}
		}
		if !guid.MatchString(line) {
			t.Errorf("%s has no instance_number", line)
		}
	}
	if guid.FindString(scrape(t, m)) == guid.FindString(scrape(t, testMetrics())) {
		t.Error("two starts have one instance number")
	}
}

func TestMetricsCountWhatTheyAreTold(t *testing.T) {
	m := testMetrics()
	useEverything(t, m)
	constant := regexp.MustCompile(`(edge_device|instance_number|iothub|module_name)="[^"]*",?`)
	text := constant.ReplaceAllString(scrape(t, m), "")
	text = strings.NewReplacer(",}", "}", "{}", "").Replace(text)
	for _, want := range []string{
		`causeway_links{listener="trackers"} 1`,
		`causeway_links_opened_total{listener="trackers"} 2`,
		`causeway_links_closed_total{listener="trackers",reason="idle"} 1`,
		`causeway_links_refused_total{listener="trackers",reason="tls"} 1`,
		`causeway_received_bytes_total{listener="trackers"} 100`,
		`causeway_messages_total{listener="trackers"} 3`,
		`causeway_acks_total{listener="trackers"} 1`,
		`causeway_naks_total{listener="trackers"} 1`,
		`causeway_ack_latency_seconds_count{listener="trackers"} 2`,
		`causeway_commands_total{listener="trackers",outcome="answered"} 1`,
		`causeway_dead_letters_total{kind="malformed",listener="trackers"} 1`,
		`causeway_hub_connected 1`,
		`causeway_hub_batches_total 2`,
		`causeway_hub_messages_accepted_total 10`,
		`causeway_hub_messages_refused_total{condition="amqp:not-allowed"} 1`,
		`causeway_hub_method_calls_total{method="ping",status="200"} 1`,
		`causeway_hub_queue_bytes 7`,
		`causeway_route_errors_total 3`,
		`causeway_build_info{commit="abc",go="`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestNamesFollowTheLaw: counters end in _total and nothing else does, names and
// labels are lower-case words, units are seconds and bytes.
func TestNamesFollowTheLaw(t *testing.T) {
	m := testMetrics()
	useEverything(t, m)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "causeway_") {
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
				t.Errorf("%s begins with neither causeway_, go_ nor process_", name)
			}
			continue
		}
		own++
		if !regexp.MustCompile(`^causeway_[a-z]+(_[a-z]+)*$`).MatchString(name) {
			t.Errorf("%s is not lower-case words", name)
		}
		if (f.GetType() == dto.MetricType_COUNTER) != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, f.GetType())
		}
		if f.GetType() == dto.MetricType_HISTOGRAM && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s has no unit", name)
		}
		if regexp.MustCompile(`_(ms|millis|milliseconds|minutes|kb|mb)(_|$)`).MatchString(name) {
			t.Errorf("%s has a unit that is not a base unit", name)
		}
		if help := f.GetHelp(); !strings.HasSuffix(help, ".") {
			t.Errorf("%s has help %q", name, help)
		}
	}
	if own < 30 {
		t.Errorf("only %d metrics are ours", own)
	}
}

func TestAForgottenListenerLeavesNoSeriesAndMayComeBack(t *testing.T) {
	m := testMetrics()
	useEverything(t, m)
	first := m.Listener("trackers")
	if m.Listener("trackers") != first {
		t.Error("the same name gives other metrics")
	}
	m.Listener("meters").Opened()
	m.Forget("trackers")
	m.Forget("never there")
	if text := scrape(t, m); strings.Contains(text, "trackers") || !strings.Contains(text, `listener="meters"`) {
		t.Error("series are left, or too many are gone")
	}
	first.Opened() // a link that is still closing
	m.Listener("trackers").Opened()
	if text := scrape(t, m); !regexp.MustCompile(`causeway_links\{[^}]*listener="trackers"[^}]*\} 1\n`).MatchString(text) {
		t.Error("the new listener does not count from zero")
	}
}

func TestReasonsAreBounded(t *testing.T) {
	m := testMetrics()
	l := m.Listener("a")
	for i := range 1000 {
		l.LinksClosed.Inc(fmt.Sprint("reason ", i))
	}
	l.LinksClosed.Inc(strings.Repeat("x", 1000))
	l.LinksClosed.Inc("")
	text := scrape(t, m)
	if n := strings.Count(text, "\ncauseway_links_closed_total{"); n != maxCounts+1 {
		t.Errorf("%d series", n)
	}
	if !regexp.MustCompile(`reason="other"} 970\n`).MatchString(text) {
		t.Error("the rest is not counted as other")
	}
}

func TestTheHubsConnectionIsCountedByItsChanges(t *testing.T) {
	m := testMetrics()
	down := errors.New("down")
	for _, err := range []error{down, down, nil, down, down} {
		m.Hub.Connection(err)
	}
	m.Hub.Method("who knows", nil, 12345)
	text := scrape(t, m)
	for _, want := range []string{
		`causeway_hub_connects_total{[^}]*} 1\n`, `causeway_hub_disconnects_total{[^}]*} 1\n`,
		`causeway_hub_connect_failures_total{[^}]*} 3\n`, `causeway_hub_connected{[^}]*} 0\n`,
		`causeway_hub_method_calls_total{[^}]*method="other"[^}]*status="0"} 1\n`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s", want)
		}
	}
}

func TestAGaugeOfANameThatIsTakenIsAnError(t *testing.T) {
	if err := testMetrics().Gauge("causeway_hub_connected", "x", func() float64 { return 0 }); err == nil {
		t.Error("no error")
	}
}

func TestListenersAreMadeCountedAndForgottenAtOnce(t *testing.T) {
	m := testMetrics()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				name := fmt.Sprint("l", (i+j)%3)
				m.Listener(name).Opened()
				m.Listener(name).Closed(fmt.Sprint(j))
				m.Forget(name)
			}
		})
	}
	wg.Wait()
	scrape(t, m)
}

func TestCountingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	m := testMetrics()
	l := m.Listener("a")
	if got := testing.AllocsPerRun(200, func() {
		l.Opened()
		l.Closed("idle")
		l.Refused("tls")
		l.Received(1, 10)
		l.Sent(2)
		l.Acknowledged(time.Millisecond, true)
		m.Hub.Batch(5, time.Millisecond, "")
		m.Hub.Batch(5, time.Millisecond, "x")
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkAFrameAndItsAcknowledgement(b *testing.B) {
	l := testMetrics().Listener("a")
	b.ReportAllocs()
	for b.Loop() {
		l.Received(1, 120)
		l.Sent(1)
		l.Acknowledged(time.Millisecond, true)
	}
}
