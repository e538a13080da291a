package check

import (
	"math/bits"
	"time"
)

// A power of two is divided into steps, so that a quantile is off by 1/steps at most.
const (
	stepBits = 5
	steps    = 1 << stepBits
	powers   = 64 - stepBits
)

// Histogram counts durations with an error of about three in a hundred. The zero value is
// empty.
type Histogram struct {
	counts [powers * steps]uint64
	total  uint64
	most   time.Duration
}

// Add counts a duration; one below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++ //nolint:gosec // not negative
	h.total++
	h.most = max(h.most, d)
}

// Quantile returns a duration that the share q of all does not exceed; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var sum uint64
	for i, n := range h.counts {
		if sum += n; n > 0 && sum >= rank {
			return min(upper(i), h.most)
		}
	}
	return 0
}

// Total is how many durations were counted.
func (h *Histogram) Total() uint64 { return h.total }

// bucket counts one by one up to steps, and from there in steps for each power of two.
func bucket(v uint64) int {
	if v < steps {
		return int(v) //nolint:gosec // below steps
	}
	power := bits.Len64(v) - stepBits - 1
	return (power+1)*steps + int(v>>power) - steps //nolint:gosec // below 2*steps
}

// upper is the highest value of a bucket.
func upper(i int) time.Duration {
	if i < steps {
		return time.Duration(i)
	}
	power := i/steps - 1
	return time.Duration((uint64(i%steps)+steps+1)<<power - 1) //nolint:gosec // the inverse of bucket
}
