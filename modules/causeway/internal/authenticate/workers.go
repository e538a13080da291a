package authenticate

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	// queuePerWorker is how many wait for one worker: at 30 ms for a hash, the last of
	// them waits some two seconds, and devices give up after about ten.
	queuePerWorker = 64
	// workersWait is how long one waits in the queue before it is told that there is
	// no room: what is left of the ten seconds is for the work itself.
	workersWait = 5 * time.Second
)

// WorkersOptions bound Workers; the zero value is right for hashing.
type WorkersOptions struct {
	// Parallel is how much runs at once. Zero is one for each core, which is what
	// hashing can use.
	Parallel int
	// Queue is how much waits. Zero is 64 for each that runs.
	Queue int
	// Wait bounds the time in the queue. Zero is 5 seconds.
	Wait time.Duration
}

// Workers bound how much of a work runs at once, how much waits for it, and how long.
// What comes when the queue is full gets ErrBusy at once. It is safe for concurrent use.
type Workers struct {
	with WorkersOptions

	mu      sync.Mutex
	running int
	waiting list.List // of *turn, oldest first
	closed  bool

	ends context.Context // of what Start began; Close ends it
	end  context.CancelFunc
	runs sync.WaitGroup // what Start began
}

// turn is one that waits. Its channel is closed when a worker is its own; then it is
// no longer in the queue.
type turn struct {
	granted chan struct{}
	start   func() // of Start; nil for one who waits in Do
}

// NewWorkers makes workers. Who uses Start calls Close at the end.
func NewWorkers(o WorkersOptions) *Workers {
	if o.Parallel <= 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	o.Queue = cmp.Or(max(o.Queue, 0), queuePerWorker*o.Parallel)
	if o.Wait <= 0 {
		o.Wait = workersWait
	}
	w := &Workers{with: o}
	w.ends, w.end = context.WithCancel(context.Background())
	return w
}

// Do runs fn in the caller's goroutine once there is room. The error is ErrBusy, or
// that of a context which ended before.
func (w *Workers) Do(ctx context.Context, fn func()) error {
	t := &turn{granted: make(chan struct{})}
	e, err := w.enter(t)
	if err != nil {
		return err
	}
	if e != nil {
		if err := w.wait(ctx, t, e); err != nil {
			return err
		}
	}
	defer w.leave()
	fn()
	return nil
}

// wait blocks until the turn comes, or there is no sense in waiting.
func (w *Workers) wait(ctx context.Context, t *turn, e *list.Element) error {
	timer := time.NewTimer(w.with.Wait)
	defer timer.Stop()
	err := ErrBusy
	select {
	case <-t.granted:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		err = fmt.Errorf("wait for a worker: %w", ctx.Err())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-t.granted: // between the two; it is used, being there
		return nil
	default:
		w.waiting.Remove(e)
		return err
	}
}

// Start runs fn in a goroutine of the workers once there is room; fn's context ends
// after the given time, of which the wait is part, and on Close. A turn that comes when
// the context has ended is not left out: fn is called in any case, so that whoever
// waits for it hears. The error is ErrBusy when the queue is full or the workers are
// closed; then fn is not called.
//
// It is for those that must not wait, such as the read loop of a UDP socket: fn calls
// [Chain.Authenticate], and hands the verdict on.
func (w *Workers) Start(within time.Duration, fn func(ctx context.Context)) error {
	ctx, cancel := context.WithTimeout(w.ends, within)
	t := &turn{granted: make(chan struct{})}
	t.start = func() {
		defer w.runs.Done()
		defer w.leave()
		defer cancel()
		fn(ctx)
	}
	if _, err := w.enter(t); err != nil {
		cancel()
		return err
	}
	return nil
}

// enter takes a worker (then the element is nil), or a place in the queue.
func (w *Workers) enter(t *turn) (*list.Element, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.running == w.with.Parallel && w.waiting.Len() >= w.with.Queue {
		return nil, ErrBusy
	}
	if t.start != nil {
		w.runs.Add(1) // here, so that Close waits for what is in the queue too
	}
	if w.running == w.with.Parallel {
		return w.waiting.PushBack(t), nil
	}
	w.running++
	if t.start != nil {
		go t.start()
	}
	return nil, nil
}

// leave hands the worker to who waits longest.
func (w *Workers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.waiting.Front()
	if e == nil {
		w.running--
		return
	}
	t, _ := w.waiting.Remove(e).(*turn)
	close(t.granted)
	if t.start != nil {
		go t.start()
	}
}

// Close refuses what comes, ends the contexts of what Start began or has in the queue,
// and waits for all of it.
func (w *Workers) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.end()
	w.runs.Wait()
}
