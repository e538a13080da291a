package device

import "time"

// schedule says when each message of a device is made.
type schedule struct {
	start      time.Time
	first, end uint64 // end is the first number that is never made
	interval   time.Duration
}

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

// date is the time that the message itself carries.
func (s *schedule) date(seq uint64) time.Time {
	return s.start.Add(time.Duration(seq-s.first) * max(s.interval, time.Millisecond)).UTC()
}
