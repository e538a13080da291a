package device

import (
	"math/rand/v2"
	"time"
)

// schedule says when each message of a device is made.
type schedule struct {
	start      time.Time
	first, end uint64 // end is the first number that is never made
	interval   time.Duration
	steps      time.Duration // bound of the clock's jumps, 0 for a steady clock
}

// stepEvery is how many messages lie between two jumps of a clock.
const stepEvery = 16

// due returns the first message that is not made yet.
func (s *schedule) due(now time.Time) uint64 {
	if s.interval <= 0 {
		return s.end
	}
	elapsed := now.Sub(s.start)
	if elapsed < 0 {
		return s.first
	}
	return min(s.end, s.first+uint64(elapsed/s.interval)+1)
}

// at returns when a message is made. Without an interval the messages are made
// at the start and dated a millisecond apart.
func (s *schedule) at(seq uint64) time.Time {
	if s.interval <= 0 {
		return s.start
	}
	return s.start.Add(time.Duration(seq-s.first) * s.interval)
}

// date is the time that the message itself carries, by a clock that may have been set
// forward or back. It is the same each time that the message is sent.
func (s *schedule) date(seq uint64) time.Time {
	t := s.start.Add(time.Duration(seq-s.first) * max(s.interval, time.Millisecond)).UTC()
	if s.steps <= 0 {
		return t
	}
	dice := rand.New(rand.NewPCG(seq/stepEvery, 0)) //nolint:gosec // reproducible
	return t.Add(time.Duration(dice.Int64N(2*int64(s.steps)+1)) - s.steps)
}
