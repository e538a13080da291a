package deadletter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const (
	bucket   = "deadletters"
	keyBytes = 8
	// linger is how long the writer waits for more letters, which then share one
	// sync of the disk. Nobody waits for it.
	linger = 20 * time.Millisecond
	// queueLetters and queueBytes bound what waits for the writer: the disk may be
	// slow for a second or so while a device sends nothing but garbage.
	queueLetters = 4096
	queueBytes   = 4 << 20
)

// ErrNone says that there is no letter of that id.
var ErrNone = errors.New("no such dead letter")

// Options are what a Ring is made of.
type Options struct {
	// File is where the letters are kept. The Ring does not close it.
	File *state.File
	// Count and Bytes bound the ring; see Bound.
	Count, Bytes int
	// Stored hears of each letter once it is written, or could not be, from one
	// goroutine at a time; the letter is borrowed. Optional.
	Stored func(*Letter)
	// Failed hears of a disk that cannot be written. Optional.
	Failed func(error)
}

// Stats is a look at the ring.
type Stats struct {
	// Count and Bytes are what is kept.
	Count, Bytes int
	// Dropped were the oldest when the bounds were reached. Lost were never written:
	// more came than the disk could take, or it took nothing, or the letter was
	// larger than the ring.
	Dropped, Lost uint64
}

// Ring keeps letters on disk. It is safe for concurrent use.
type Ring struct {
	opts Options

	mu     sync.Mutex
	queue  []*Letter
	queued int    // bytes
	last   uint64 // the highest id given
	limit  Stats  // the bounds: Count and Bytes
	stats  Stats
	closed bool
	runs   bool

	writing sync.Mutex // one writer of the file and of Count and Bytes
	wake    chan struct{}
	done    chan struct{}
}

// New makes a ring that takes letters, up to the bounds of its queue; Start lets
// them be written.
func New(opts Options) *Ring {
	if opts.Stored == nil {
		opts.Stored = func(*Letter) {}
	}
	if opts.Failed == nil {
		opts.Failed = func(error) {}
	}
	return &Ring{
		opts: opts, limit: Stats{Count: opts.Count, Bytes: opts.Bytes},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// Start reads what earlier lives have left and starts the writer; it is called once,
// when the file is open, and Close ends it. An error reports that the letters
// cannot be read; the ring works all the same.
func (r *Ring) Start() error {
	var kept Stats
	var last uint64
	err := r.opts.File.View(bucket, func(b *state.Bucket) error {
		b.Ascend(nil, func(key, value []byte) bool {
			kept.Count++
			kept.Bytes += len(key) + len(value)
			return true
		})
		if key := b.Last(); len(key) == keyBytes {
			last = binary.BigEndian.Uint64(key)
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Count, r.stats.Bytes = kept.Count, kept.Bytes
	r.last = max(r.last, last)
	r.runs = true
	go r.run()
	if err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	return nil
}

// Add keeps a letter, copied. It never waits: when more come than the disk can
// take, the newest are counted as lost.
func (r *Ring) Add(l Letter) {
	l.Body = slices.Clone(l.Body)
	if l.Message != nil {
		e := *l.Message
		e.Properties = slices.Clone(e.Properties)
		l.Message = &e
	}
	l.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.queue) >= queueLetters || r.queued+len(l.Body) > queueBytes {
		r.stats.Lost++
		return
	}
	r.last = max(r.last+1, uint64(max(l.Time.UnixMicro(), 0))) //nolint:gosec // not negative
	l.ID = r.last
	r.queue = append(r.queue, &l)
	r.queued += len(l.Body)
	r.signal()
}

// Bound changes the bounds: letters and bytes, both positive.
func (r *Ring) Bound(count, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = Stats{Count: count, Bytes: bytes}
	r.signal()
}

func (r *Ring) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Stats returns a snapshot.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Close writes what waits and ends the writer. Later letters are lost.
func (r *Ring) Close() {
	r.mu.Lock()
	r.closed = true
	runs := r.runs
	r.signal()
	r.mu.Unlock()
	if runs {
		<-r.done
	}
}

// run is the writer.
func (r *Ring) run() {
	defer close(r.done)
	pause := time.NewTimer(linger)
	defer pause.Stop()
	for {
		<-r.wake
		r.mu.Lock()
		closed := r.closed
		r.mu.Unlock()
		if !closed {
			pause.Reset(linger)
			<-pause.C
		}
		r.mu.Lock()
		list := r.queue
		r.queue, r.queued = nil, 0
		closed = r.closed
		r.mu.Unlock()
		r.write(list)
		for _, l := range list {
			r.opts.Stored(l)
		}
		if closed {
			return
		}
	}
}

// write adds letters and drops the oldest over the bounds, in one transaction.
func (r *Ring) write(list []*Letter) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	now, limit := r.stats, r.limit
	r.mu.Unlock()
	if len(list) == 0 && now.Count <= limit.Count && now.Bytes <= limit.Bytes {
		return
	}
	var lost, dropped uint64
	err := r.opts.File.Update(bucket, func(b *state.Bucket) error {
		lost, dropped = 0, 0
		for _, l := range list {
			value, err := l.encode()
			if err != nil || keyBytes+len(value) > limit.Bytes {
				lost++
				continue
			}
			if err := b.Put(key(l.ID), value); err != nil {
				return err
			}
			now.Count++
			now.Bytes += keyBytes + len(value)
		}
		before := now.Count
		err := r.trim(b, &now, limit)
		dropped = uint64(before - now.Count) //nolint:gosec // trimming takes away
		return err
	})
	r.mu.Lock()
	if err != nil {
		r.stats.Lost += uint64(len(list))
	} else {
		r.stats.Count, r.stats.Bytes = now.Count, now.Bytes
		r.stats.Lost += lost
		r.stats.Dropped += dropped
	}
	r.mu.Unlock()
	if err != nil {
		r.opts.Failed(fmt.Errorf("write %d dead letters: %w", len(list), err))
	}
}

// trim drops the oldest until the ring is within its bounds.
func (r *Ring) trim(b *state.Bucket, now *Stats, limit Stats) error {
	var oldest [][]byte
	b.Ascend(nil, func(key, value []byte) bool {
		if now.Count <= limit.Count && now.Bytes <= limit.Bytes {
			return false
		}
		oldest = append(oldest, slices.Clone(key))
		now.Count--
		now.Bytes -= len(key) + len(value)
		return true
	})
	for _, k := range oldest {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Walk calls fn with each letter after an id, in ascending order, until it returns
// false. The letters are borrowed; fn must not call the Ring.
func (r *Ring) Walk(after uint64, fn func(*Letter) bool) error {
	return r.opts.File.View(bucket, func(b *state.Bucket) error {
		b.Ascend(key(after), func(k, value []byte) bool {
			if len(k) != keyBytes || value == nil {
				return true // damaged
			}
			l, err := decode(binary.BigEndian.Uint64(k), value)
			return err != nil || fn(l)
		})
		return nil
	})
}

// List returns at most limit letters after an id, in ascending order.
func (r *Ring) List(after uint64, limit int) (list []*Letter, err error) {
	err = r.Walk(after, func(l *Letter) bool {
		if len(list) >= limit {
			return false
		}
		list = append(list, l.clone())
		return true
	})
	return list, err
}

// Get returns one letter; the error is ErrNone when it is not there.
func (r *Ring) Get(id uint64) (*Letter, error) {
	var found *Letter
	err := r.opts.File.View(bucket, func(b *state.Bucket) error {
		value, err := b.Get(key(id))
		if err != nil {
			return err
		}
		l, err := decode(id, value)
		if err == nil {
			found = l.clone()
		}
		return err
	})
	if errors.Is(err, state.ErrNone) {
		return nil, fmt.Errorf("%w: %d", ErrNone, id)
	}
	return found, err
}

// Delete removes letters; those that are not there do not matter.
func (r *Ring) Delete(ids ...uint64) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	var count, bytes int
	err := r.opts.File.Update(bucket, func(b *state.Bucket) error {
		count, bytes = 0, 0
		for _, id := range ids {
			value, err := b.Get(key(id))
			if errors.Is(err, state.ErrNone) {
				continue
			}
			if err := b.Delete(key(id)); err != nil {
				return err
			}
			count++
			bytes += keyBytes + len(value)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete %d dead letters: %w", len(ids), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Count -= count
	r.stats.Bytes -= bytes
	return nil
}

// clone takes the body out of the memory of the disk's page.
func (l *Letter) clone() *Letter {
	c := *l
	c.Body = slices.Clone(l.Body)
	return &c
}

func key(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }
