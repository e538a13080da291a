package proxy

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Weather is how bad the network is. The zero value is a good one.
type Weather struct {
	// Delay holds each piece of a stream, or each datagram, in both directions, for
	// as long, and for a random time up to Jitter more. The next piece of a stream
	// waits behind it; datagrams overtake each other.
	Delay, Jitter time.Duration
	// Stall lets nothing through and tells nobody: connections stay open, and are
	// half-open when one side ends meanwhile. Datagrams are lost.
	Stall bool
	// Loss and Reorder are the shares of datagrams, 0 to 1, that never arrive and
	// that arrive after later ones. Streams do not have them.
	Loss, Reorder float64
}

// Lateness is how much later a reordered datagram arrives at most: later ones of the same
// device come within it, since it sends again after a few seconds.
const Lateness = 3 * time.Second

// forecast is the weather that changes, with the dice.
type forecast struct {
	mu      sync.Mutex
	now     Weather
	changed chan struct{} // closed at the next change
	dice    *rand.Rand
}

func newForecast(seed uint64) *forecast {
	return &forecast{changed: make(chan struct{}), dice: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // reproducible
}

// set changes the weather for what comes from now on, and for what is stalled.
func (f *forecast) set(w Weather) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = w
	close(f.changed)
	f.changed = make(chan struct{})
}

// get returns the weather and a channel that is closed when it changes.
func (f *forecast) get() (Weather, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.changed
}

// delay draws how long a piece is held.
func (f *forecast) delay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draw()
}

// draw is delay with mu held.
func (f *forecast) draw() time.Duration {
	d := f.now.Delay
	if f.now.Jitter > 0 {
		d += time.Duration(f.dice.Int64N(int64(f.now.Jitter)))
	}
	return d
}

// datagram draws what happens to a datagram.
func (f *forecast) datagram() (delay time.Duration, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.Stall || f.dice.Float64() < f.now.Loss {
		return 0, true
	}
	delay = f.draw()
	if f.dice.Float64() < f.now.Reorder {
		delay += time.Duration(f.dice.Int64N(int64(Lateness)))
	}
	return delay, false
}

// below draws a number from 0 to n-1.
func (f *forecast) below(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dice.IntN(n)
}
