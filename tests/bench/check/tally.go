package check

import "time"

// maxNumber bounds the memory for one device: eight times as many messages as the fastest
// gateway passes in an hour would need.
const maxNumber = 1 << 30

// Tally counts the messages of all devices. It is not safe for concurrent use.
type Tally struct {
	devices map[string]*device
	counts  Counts
	latency Histogram
}

// Counts are what a tally has seen.
type Counts struct {
	// Distinct messages are those that arrived, each counted once.
	Distinct uint64 `json:"distinct"`
	// Duplicates arrived before; Reordered came after a later one of their device for
	// the first time; Foreign cannot be read.
	Duplicates uint64 `json:"duplicates"`
	Reordered  uint64 `json:"reordered"`
	Foreign    uint64 `json:"foreign"`
}

// device is a bit for every message, and the number after the highest.
type device struct {
	next uint32
	seen []uint64
}

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{devices: map[string]*device{}} }

// Foreign counts a message that cannot be read.
func (t *Tally) Foreign() { t.counts.Foreign++ }

// Add counts a message.
func (t *Tally) Add(id []byte, number uint32, took time.Duration) {
	if number >= maxNumber {
		t.counts.Foreign++
		return
	}
	d := t.devices[string(id)]
	if d == nil {
		d = &device{}
		t.devices[string(id)] = d
	}
	word, bit := int(number/64), uint64(1)<<(number%64)
	for word >= len(d.seen) {
		d.seen = append(d.seen, 0)
	}
	switch {
	case d.seen[word]&bit != 0:
		t.counts.Duplicates++
		return
	case number < d.next:
		t.counts.Reordered++
	default:
		d.next = number + 1
	}
	d.seen[word] |= bit
	t.counts.Distinct++
	t.latency.Add(took)
}

// Counts returns what was counted so far.
func (t *Tally) Counts() Counts { return t.counts }

// Latency returns the times since the last ResetLatency.
func (t *Tally) Latency() *Histogram { return &t.latency }

// ResetLatency forgets the times, as at the end of a warm-up.
func (t *Tally) ResetLatency() { t.latency = Histogram{} }
