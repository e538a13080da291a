package check

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	for name, c := range map[string]struct {
		numbers []uint32
		want    Counts
	}{
		"in order":               {[]uint32{0, 1, 2}, Counts{Distinct: 3}},
		"one lost":               {[]uint32{0, 2}, Counts{Distinct: 2}},
		"one twice":              {[]uint32{0, 1, 1}, Counts{Distinct: 2, Duplicates: 1}},
		"one twice, much later":  {[]uint32{0, 1, 2, 3, 0}, Counts{Distinct: 4, Duplicates: 1}},
		"two swapped":            {[]uint32{0, 2, 1}, Counts{Distinct: 3, Reordered: 1}},
		"swapped across a word":  {[]uint32{64, 63, 65}, Counts{Distinct: 3, Reordered: 1}},
		"begun in the middle":    {[]uint32{100, 101}, Counts{Distinct: 2}},
		"beyond what is allowed": {[]uint32{1 << 31}, Counts{Foreign: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			tally := NewTally()
			for _, n := range c.numbers {
				tally.Add([]byte("d"), n, 0)
			}
			if got := tally.Counts(); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDevicesHaveTheirOwnNumbers(t *testing.T) {
	tally := NewTally()
	for _, id := range []string{"a", "b", "a", "b"} {
		tally.Add([]byte(id), uint32(tally.Counts().Distinct/2), time.Millisecond)
	}
	tally.Foreign()
	if got := tally.Counts(); got != (Counts{Distinct: 4, Foreign: 1}) {
		t.Errorf("%+v", got)
	}
	if n := tally.Latency().Total(); n != 4 {
		t.Errorf("%d times", n)
	}
	tally.ResetLatency()
	if n := tally.Latency().Total(); n != 0 {
		t.Errorf("%d times after a reset", n)
	}
}

func TestQuantilesAreNearTheTruth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		got := h.Quantile(q)
		if diff := float64(got-want) / float64(want); diff < -0.04 || diff > 0.04 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

func TestBucketsHaveNoGaps(t *testing.T) {
	for v := uint64(0); v < 1<<20; v++ {
		i := bucket(v)
		if upper(i) < time.Duration(v) || i > 0 && upper(i-1) >= time.Duration(v) {
			t.Fatalf("%d is in bucket %d, from over %d to %d", v, i, upper(max(i-1, 0)), upper(i))
		}
	}
	var h Histogram
	h.Add(-time.Second)
	h.Add(1<<63 - 1)
	if h.Quantile(0.5) != 0 || h.Quantile(1) != 1<<63-1 {
		t.Errorf("%v %v", h.Quantile(0.5), h.Quantile(1))
	}
	if empty := (&Histogram{}).Quantile(0.99); empty != 0 {
		t.Errorf("empty: %v", empty)
	}
}
