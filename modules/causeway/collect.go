package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// By default the heap is collected when it has doubled. While much is allocated, nearly all
// of it copies of frames that go-amqp makes, a heap as small as the gateway's would be
// collected some twenty times a second. Then it may grow by growth instead, to three times
// its size at most. A large heap costs no more memory than by default, and neither does a
// gateway with little to do.
const (
	growth   = 24 << 20
	byItself = 100 // percent
	atMost   = 200
	// muchAllocated is in a second: a sixth of what full load does.
	muchAllocated = 64 << 20
	// collectorLook is how often that is looked at: at full load the heap grows by some
	// 15 MiB meanwhile.
	collectorLook = 50 * time.Millisecond
	// paceStep keeps small changes away, since each stops the program for a moment.
	paceStep = 20
)

// pacing sets the collector's pace until it is stopped, unless the environment does.
func pacing() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		pace(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func pace(ctx context.Context) {
	defer debug.SetGCPercent(debug.SetGCPercent(byItself))
	look := time.NewTicker(collectorLook)
	defer look.Stop()
	before, _ := heap()
	for set, at := byItself, time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		allocated, live := heap()
		now := time.Now()
		percent := paceOf(float64(allocated-before)/now.Sub(at).Seconds(), live)
		before, at = allocated, now
		if percent-set >= paceStep || set-percent >= paceStep {
			set = percent
			debug.SetGCPercent(percent)
		}
	}
}

// heap is how many bytes were ever allocated, and how many the last collection left.
func heap() (allocated, live uint64) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64(), sample[1].Value.Uint64()
}

// paceOf is by how many percent a heap may grow: rate is what is allocated in a second, live
// what was left by the last collection.
func paceOf(rate float64, live uint64) (percent int) {
	if rate < muchAllocated {
		return byItself
	}
	return int(min(max(growth*100/max(live, 1), byItself), atMost)) //nolint:gosec // between the two
}
