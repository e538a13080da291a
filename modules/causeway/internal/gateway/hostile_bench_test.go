package gateway

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// slice is long beside the time that a message takes on a machine without a free core,
	// as what is in flight at its end counts for the next one.
	slice = 3 * time.Second
	// leastRatio is what is promised: the others' throughput stays within 10 %.
	leastRatio = 0.9
	// healthyLinks send healthyRate messages a second each: well below what a core takes.
	healthyLinks, healthyRate = 10, 200
)

// latencies are the waits for acknowledgements, without harm and beside it.
type latencies struct {
	mu   sync.Mutex
	list [2][]time.Duration
}

func (l *latencies) note(harm bool, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := 0
	if harm {
		i = 1
	}
	l.list[i] = append(l.list[i], d)
}

// p99 is the wait that 1 of 100 exceeds, in milliseconds.
func (l *latencies) p99(i int) float64 {
	slices.Sort(l.list[i])
	return float64(l.list[i][len(l.list[i])*99/100].Microseconds()) / 1000
}

// healthyDevice sends at its rate until quit, and counts what is acknowledged.
func healthyDevice(
	b *testing.B, conn net.Conn, number int, quit <-chan struct{}, harm *atomic.Bool, acked *atomic.Int64, waits *latencies,
) {
	b.Helper()
	tick := time.NewTicker(time.Second / healthyRate)
	defer tick.Stop()
	answers := bufio.NewScanner(conn)
	began, sent := time.Now(), 0
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		// A tick may be lost where the machine is busy: what is due is sent, and read.
		due := int(time.Since(began) * healthyRate / time.Second)
		_ = conn.SetDeadline(time.Now().Add(patience))
		n, asked, beside := due-sent, time.Now(), harm.Load()
		for range n {
			if _, err := fmt.Fprintf(conn, "device-%d\n", number); err != nil {
				b.Error(err)
				return
			}
		}
		for range n {
			if !answers.Scan() {
				b.Error(answers.Err())
				return
			}
			acked.Add(1)
			waits.note(beside, time.Since(asked))
		}
		sent = due
	}
}

// hostileDevice does one harm again and again while it may: the codec costs it each link.
func hostileDevice(
	b *testing.B, addr net.Addr, word string, quit <-chan struct{}, may *atomic.Bool, attacks *atomic.Int64,
) {
	b.Helper()
	idle := time.NewTicker(10 * time.Millisecond)
	defer idle.Stop()
	for {
		select {
		case <-quit:
			return
		case <-idle.C:
		}
		if !may.Load() {
			continue
		}
		conn, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			b.Error(err)
			return
		}
		// While the process of rpc is gone, links of its listener end at once, unanswered.
		if err := attack(conn, word); os.IsTimeout(err) {
			b.Error(err)
			return
		}
		attacks.Add(1)
	}
}

// BenchmarkHostileCodecs gives the throughput of a healthy listener beside eight devices
// that do nothing but harm through codecs of other listeners, as a share of its throughput
// without them: slices with and without the harm take turns in one run, one of each an
// iteration.
func BenchmarkHostileCodecs(b *testing.B) {
	g := hostileGateway(b)
	quit := make(chan struct{})
	var devices sync.WaitGroup
	var acked, attacks atomic.Int64
	var may atomic.Bool
	waits := new(latencies)
	for i := range healthyLinks {
		conn := dial(b, g, "healthy")
		devices.Go(func() { healthyDevice(b, conn, i, quit, &may, &acked, waits) })
	}
	for _, h := range harms() {
		probe := dial(b, g, h.listener)
		devices.Go(func() { hostileDevice(b, probe.RemoteAddr(), h.word, quit, &may, &attacks) })
	}
	var quiet, beside []float64
	measure := func(harm bool) float64 {
		may.Store(harm)
		began, before := time.Now(), acked.Load()
		wait := time.NewTimer(slice)
		<-wait.C
		return float64(acked.Load()-before) / time.Since(began).Seconds()
	}
	for b.Loop() {
		quiet = append(quiet, measure(false))
		beside = append(beside, measure(true))
	}
	close(quit)
	devices.Wait()
	median := func(list []float64) float64 {
		slices.Sort(list)
		return list[len(list)/2]
	}
	ratio := median(beside) / median(quiet)
	if ratio < leastRatio {
		b.Errorf("beside hostile codecs the throughput is %.2f of what it is without, at least %v is promised", ratio, leastRatio)
	}
	b.ReportMetric(0, "ns/op") // the length of the slices
	b.ReportMetric(median(quiet), "msg/s-alone")
	b.ReportMetric(median(beside), "msg/s-beside")
	b.ReportMetric(waits.p99(0), "ms-p99-alone")
	b.ReportMetric(waits.p99(1), "ms-p99-beside")
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(float64(attacks.Load())/float64(b.N), "attacks/op")
}
