package observe

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// maxFloods bounds the keys that are kept apart: a listener has some ten kinds
	// of fault, and what exceeds the bound shares one key.
	maxFloods = 512
	// otherFloods is the key that they share.
	otherFloods = "other faults"
)

// Flood writes the warnings that devices can cause, at most one line for each key
// and interval, so that a million bad frames are not a million lines. The first
// of a key is written at once; those within the interval are counted, and written
// as one line with their number and the last error.
type Flood struct {
	log  zerolog.Logger
	mu   sync.Mutex
	keys map[string]*flooded
	stop chan struct{}
	done chan struct{}
}

type flooded struct {
	count  uint64
	err    error
	fields []string
}

// NewFlood starts the control; Close must be called. An interval of a second is
// what people can read.
func NewFlood(log zerolog.Logger, interval time.Duration) *Flood {
	f := &Flood{
		log:  log,
		keys: make(map[string]*flooded),
		stop: make(chan struct{}),
		done: make(chan struct{}),
	}
	go f.run(max(interval, time.Millisecond))
	return f
}

// Warn writes or counts one warning. The key says what it is about and is the
// line's text ("frame malformed listener=trackers"); make it once, not for each
// call. Fields are pairs of a name and a value, of the first and of the last
// occurrence. Warn is safe for concurrent use and never blocks on more than a
// write of the log.
func (f *Flood) Warn(key string, err error, fields ...string) {
	f.mu.Lock()
	entry := f.keys[key]
	if entry == nil && len(f.keys) >= maxFloods {
		key = otherFloods
		entry = f.keys[key]
	}
	if entry == nil {
		f.keys[key] = new(flooded)
		f.mu.Unlock()
		f.write(key, 1, err, fields)
		return
	}
	entry.count++
	entry.err = err
	entry.fields = append(entry.fields[:0], fields...)
	f.mu.Unlock()
}

// Close writes what was counted and ends the control. It is idempotent. Warnings
// after it are written once for each key, and never counted out.
func (f *Flood) Close() {
	f.mu.Lock()
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.mu.Unlock()
	<-f.done
}

func (f *Flood) run(interval time.Duration) {
	defer close(f.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.sweep()
		case <-f.stop:
			f.sweep()
			return
		}
	}
}

// sweep writes the counted ones, and forgets those that were silent since the
// last sweep.
func (f *Flood) sweep() {
	type line struct {
		key string
		flooded
	}
	var lines []line
	f.mu.Lock()
	for key, entry := range f.keys {
		if entry.count == 0 {
			delete(f.keys, key)
			continue
		}
		lines = append(lines, line{key, *entry})
		*entry = flooded{}
	}
	f.mu.Unlock()
	for _, l := range lines {
		f.write(l.key, l.count, l.err, l.fields)
	}
}

func (f *Flood) write(key string, count uint64, err error, fields []string) {
	e := f.log.Warn() //nolint:zerologlint // sent below, after the fields
	if count > 1 {
		e = e.Uint64("times", count)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		e = e.Str(fields[i], fields[i+1])
	}
	e.Err(err).Msg(key)
}
