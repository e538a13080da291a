package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// perDevice bounds the commands that wait for one device.
	perDevice = 32
	// atOnce bounds the devices whose waiting commands are delivered at the same
	// time; each may take its whole timeout.
	atOnce = 16
)

// Device is a connected device.
type Device interface {
	Command(ctx context.Context, name string, payload json.RawMessage) (codec.Result, error)
	Raw(ctx context.Context, b []byte, await bool) ([]byte, error)
	Disconnect(reason string)
}

// Options are what a Service is made of.
type Options struct {
	// Find returns a connected device; false when it is not.
	Find func(device string) (Device, bool)
	// Limit bounds the queued commands in all. It is asked each time, since the
	// configuration may change it.
	Limit func() int
	// Ended hears of commands that nobody waits for synchronously.
	Ended func(Request, string, Answer)
	// Counted hears of the status of every command; optional.
	Counted func(status int)
}

// Request is an order to a device.
type Request struct {
	DeviceID string          `json:"deviceId"`
	Command  string          `json:"command"`
	Payload  json.RawMessage `json:"payload"`
	// TimeoutSeconds is how long the device has to answer. Default 20.
	TimeoutSeconds int `json:"timeoutSeconds"`
	// QueueSeconds is how long the command waits for a device that is not
	// connected. Default 0: not at all.
	QueueSeconds int `json:"queueSeconds"`
}

// Service delivers commands. It is safe for concurrent use.
type Service struct {
	opts Options

	mu     sync.Mutex
	queues map[string]*queue
	count  int
	next   uint64
	closed bool

	ctx     context.Context //nolint:containedctx // the life of the workers
	cancel  context.CancelFunc
	workers sync.WaitGroup
	free    chan struct{}
}

// queue holds what waits for one device.
type queue struct {
	waiting []*waiting
	busy    bool // a worker delivers it
	again   bool // the device came while the worker was about to give up
}

// waiting is one queued command.
type waiting struct {
	request Request
	id      string
	expiry  time.Time
	timer   *time.Timer
	done    chan Answer // cap 1
	sync    bool        // somebody waits for done
}

// errStopped says that the service was closed.
var errStopped = errors.New("the gateway is going down")

// New makes a service. Close ends it.
func New(opts Options) *Service {
	if opts.Counted == nil {
		opts.Counted = func(int) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{
		opts: opts, queues: make(map[string]*queue),
		ctx: ctx, cancel: cancel, free: make(chan struct{}, atOnce),
	}
}

// Close drops what waits and returns when the workers have ended. Who waits for an
// answer gets StatusUnavailable; Ended does not hear of the others, since nothing
// can be sent any more.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	for _, q := range s.queues {
		for _, w := range q.waiting {
			w.timer.Stop()
			w.done <- refuse(StatusUnavailable, errStopped.Error())
		}
		s.count -= len(q.waiting)
		q.waiting = nil
	}
	s.mu.Unlock()
	s.cancel()
	s.workers.Wait()
}

// Do delivers the request and waits for its end: the device's answer, or the
// reason why there is none. A request that may wait longer than the caller can
// is queued, and answered with StatusQueued; its end goes to Options.Ended.
func (s *Service) Do(ctx context.Context, r Request) Answer {
	a := s.do(ctx, r)
	s.opts.Counted(a.Status)
	return a
}

func (s *Service) do(ctx context.Context, r Request) Answer {
	d, connected := s.opts.Find(r.DeviceID)
	switch queued := s.behindOthers(r.DeviceID); {
	case connected && !queued:
		return deliver(ctx, d, r)
	case connected && r.QueueSeconds == 0:
		return refuse(StatusBusy, fmt.Sprintf("earlier commands wait for device %q", r.DeviceID))
	case r.QueueSeconds == 0:
		return absent(r.DeviceID)
	}
	// A direct method ends after 300 s at most (TwinsController.cs); what may take
	// longer is answered at once.
	const longest = 280
	wait := r.QueueSeconds+r.TimeoutSeconds <= longest
	w, err := s.enqueue(r, "", wait)
	switch {
	case errors.Is(err, errStopped):
		return refuse(StatusUnavailable, err.Error())
	case err != nil:
		return refuse(StatusTooMany, err.Error())
	}
	s.Wake(r.DeviceID) // it may have come in the meantime
	if !wait {
		return success(StatusQueued, map[string]any{"commandId": w.id, "expires": w.expiry.UTC()})
	}
	select {
	case a := <-w.done:
		return a
	case <-ctx.Done():
		s.withdraw(w)
		return refuse(StatusNoReply, "the caller's connection ended")
	}
}

// submit takes a request that nobody waits for. Its end goes to Options.Ended
// under the id, from a worker. An error says that it was not taken.
func (s *Service) submit(r Request, id string) error {
	if _, err := s.enqueue(r, id, false); err != nil {
		return err
	}
	s.Wake(r.DeviceID)
	return nil
}

func absent(device string) Answer {
	return refuse(StatusNotFound, fmt.Sprintf("device %q is not connected", device))
}

// behindOthers tells whether commands of the device are still waiting: a later one
// must not overtake them.
func (s *Service) behindOthers(device string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[device]
	return q != nil && (q.busy || len(q.waiting) > 0)
}

// deliver sends to a connected device.
func deliver(ctx context.Context, d Device, r Request) Answer {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.TimeoutSeconds)*time.Second)
	defer cancel()
	result, err := d.Command(ctx, r.Command, r.Payload)
	switch {
	case err != nil && statusOf(err) == StatusNoReply:
		return refuse(StatusNoReply, fmt.Sprintf("device %q gave no answer: %v", r.DeviceID, err))
	case err != nil:
		return refuse(statusOf(err), err.Error())
	case result.Err != nil:
		return refuse(StatusRefused, result.Err.Error())
	case len(result.Payload) > 0 && !json.Valid(result.Payload):
		return refuse(StatusRefused, "the codec's answer is not JSON")
	default:
		return Answer{Status: StatusOK, Payload: result.Payload}
	}
}

// enqueue queues a request, under its own id where none is given.
func (s *Service) enqueue(r Request, id string, wait bool) (*waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[r.DeviceID]
	if q == nil {
		q = new(queue)
	}
	switch limit := s.opts.Limit(); {
	case s.closed:
		return nil, errStopped
	case s.count >= limit:
		return nil, fmt.Errorf("%d commands are queued, at most %d", s.count, limit)
	case len(q.waiting) >= perDevice:
		return nil, fmt.Errorf("%d commands are queued for device %q, the most", len(q.waiting), r.DeviceID)
	}
	if s.next++; id == "" {
		id = strconv.FormatUint(s.next, 10)
	}
	life := time.Duration(r.QueueSeconds) * time.Second
	if life == 0 { // it waits for a worker only
		life = time.Duration(r.TimeoutSeconds) * time.Second
	}
	w := &waiting{
		request: r, id: id, expiry: time.Now().Add(life), done: make(chan Answer, 1), sync: wait,
	}
	w.timer = time.AfterFunc(life, func() { s.expire(w) })
	q.waiting = append(q.waiting, w)
	s.queues[r.DeviceID] = q
	s.count++
	return w, nil
}

// withdraw takes a command out of its queue; false when it is being delivered.
func (s *Service) withdraw(w *waiting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[w.request.DeviceID]
	if q == nil {
		return false
	}
	i := slices.Index(q.waiting, w)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	s.count--
	w.timer.Stop()
	if len(q.waiting) == 0 && !q.busy {
		delete(s.queues, w.request.DeviceID)
	}
	return true
}

// expire ends a command whose time ran out; Close waits for it.
func (s *Service) expire(w *waiting) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.workers.Add(1)
	s.mu.Unlock()
	defer s.workers.Done()
	if s.withdraw(w) {
		s.end(w, refuse(StatusExpired, fmt.Sprintf(
			"device %q did not take the command in time", w.request.DeviceID)))
	}
}

func (s *Service) end(w *waiting, a Answer) {
	if w.sync {
		w.done <- a
		return
	}
	s.opts.Counted(a.Status)
	s.opts.Ended(w.request, w.id, a)
}

// Wake delivers what waits for a device that is connected now. It returns at once.
func (s *Service) Wake(device string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[device]
	if q == nil || len(q.waiting) == 0 || s.closed {
		return
	}
	if q.busy {
		q.again = true
		return
	}
	q.busy, q.again = true, false
	s.workers.Go(func() { s.drain(device, q) })
}

// drain delivers a device's commands in order while it is connected.
func (s *Service) drain(device string, q *queue) {
	select {
	case s.free <- struct{}{}:
		defer func() { <-s.free }()
	case <-s.ctx.Done():
		return
	}
	for {
		d, connected := s.opts.Find(device)
		w, more := s.pop(device, q, connected)
		switch {
		case !more:
			return
		case w == nil:
		case connected:
			s.end(w, deliver(s.ctx, d, w.request))
		default:
			s.end(w, absent(device))
		}
	}
}

// pop takes the next command; of a device that is not connected, the next that
// does not wait for it. More is false when the draining has ended; no command and
// more means that the device has to be looked for again.
func (s *Service) pop(device string, q *queue, connected bool) (w *waiting, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	if !connected {
		i = slices.IndexFunc(q.waiting, func(w *waiting) bool { return w.request.QueueSeconds == 0 })
	}
	switch {
	case len(q.waiting) == 0 || s.closed:
		q.busy = false
		delete(s.queues, device)
		return nil, false
	case i < 0 && q.again:
		q.again = false
		return nil, true
	case i < 0:
		q.busy = false
		return nil, false
	}
	w = q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	s.count--
	w.timer.Stop()
	return w, true
}
