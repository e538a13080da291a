package observe

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is read while the flood's goroutine may write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

func TestTheFirstIsWrittenAtOnceAndTheRestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		log, _ := testLogger(t, &out, "info")
		flood := NewFlood(log, time.Second)
		lines := func(want ...string) {
			t.Helper()
			synctest.Wait()
			got := strings.ReplaceAll(out.take(), "<4> 2026-11-22 04:24:23.123 +00:00 [WRN] - ", "")
			if text := strings.Join(append(want, ""), "\n"); got != text {
				t.Errorf("log is\n%swant\n%s", got, text)
			}
		}
		const key = "frame malformed listener=trackers"
		flood.Warn(key, errors.New("first"), "device", "d1")
		lines(key + " device=d1 err=first")
		for i := range 1000 {
			flood.Warn(key, fmt.Errorf("e%d", i), "device", fmt.Sprint(i))
		}
		flood.Warn("other key", nil)
		lines("other key")
		time.Sleep(1001 * time.Millisecond) // the bubble's clock
		lines(key + " times=1000 device=999 err=e999")
		flood.Warn(key, errors.New("still"))
		lines()
		time.Sleep(time.Second)
		lines(key + " err=still")
		time.Sleep(2 * time.Second)
		flood.Warn(key, errors.New("after silence"))
		lines(key + ` err="after silence"`)
		flood.Warn(key, errors.New("last"))
		flood.Warn(key, errors.New("very last"))
		flood.Close()
		flood.Close()
		lines(key + ` times=2 err="very last"`)
	})
}

func TestTheKeysOfAFloodAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, _ := testLogger(t, &out, "info")
		flood := NewFlood(log, time.Second)
		for i := range 10 * maxFloods {
			flood.Warn(fmt.Sprint("key ", i), nil)
		}
		if n := len(flood.keys); n > maxFloods+1 {
			t.Errorf("%d keys", n)
		}
		flood.Close()
		if want := fmt.Sprintf("%s times=%d\n", otherFloods, 9*maxFloods-1); !strings.HasSuffix(out.String(), want) {
			t.Errorf("log ends in %q, want %q", out.String()[out.Len()-60:], want)
		}
	})
}

func TestAFloodIsSharedByManyGoroutines(t *testing.T) {
	var out bytes.Buffer
	log, _ := testLogger(t, &out, "info")
	flood := NewFlood(log, time.Millisecond)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				flood.Warn("key", errors.New("x"), "a", "b")
			}
		})
	}
	wg.Wait()
	flood.Close()
	total := 0
	for line := range strings.Lines(out.String()) {
		n := 1
		if _, after, ok := strings.Cut(line, "times="); ok {
			if _, err := fmt.Sscan(after, &n); err != nil {
				t.Fatal(err)
			}
		}
		total += n
	}
	if total != 4000 {
		t.Errorf("%d occurrences are told, want 4000", total)
	}
}

func BenchmarkFloodWarn(b *testing.B) {
	var out bytes.Buffer
	log, _ := testLogger(b, &out, "info")
	flood := NewFlood(log, time.Hour)
	defer flood.Close()
	err := errors.New("x")
	b.ReportAllocs()
	for b.Loop() {
		flood.Warn("frame malformed listener=trackers", err, "device", "d")
	}
}

func TestACountedWarningAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	var out bytes.Buffer
	log, _ := testLogger(t, &out, "info")
	flood := NewFlood(log, time.Hour)
	defer flood.Close()
	err := errors.New("x")
	if got := testing.AllocsPerRun(200, func() { flood.Warn("key", err, "device", "d") }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
