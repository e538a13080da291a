package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// Command sends the request's command; the id is empty where callers know none.
	Command(ctx context.Context, r Request, id string) (codec.Result, error)
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
	// Ended hears of commands that nobody waits for synchronously, under their ids. It
	// returns nil once the end is safe; otherwise it is told again at the next start.
	// The context ends with the service.
	Ended func(context.Context, Request, string, Answer) error
	// Store keeps queued commands over a restart; optional.
	Store Store
	// Failed hears of a store that cannot be written and of ends that cannot be told;
	// optional.
	Failed func(error)
	// Expired hears of queued commands that no device took in time, and of their ids. It
	// must not block; optional.
	Expired func(Request, string)
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
	// Retry allows that the device gets a queued command more than once: it is
	// delivered again, until its time has run out, when the device gave no answer or
	// the gateway ended meanwhile. Default false: at most once.
	Retry bool `json:"retry,omitempty"`
}

// Service delivers commands. It is safe for concurrent use.
type Service struct {
	opts Options

	mu     sync.Mutex
	queues map[string]*queue
	count  int // queued commands, and those that are being kept
	bytes  int // of their payloads
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
	pause   *time.Timer
}

// waiting is one queued command.
type waiting struct {
	request Request
	id      string
	number  uint64
	kept    bool // it is in the store
	queued  time.Time
	expiry  time.Time
	timer   *time.Timer
	done    chan Answer // cap 1
	sync    bool        // somebody waits for done
}

// errStopped says that the service was closed.
var errStopped = errors.New("the gateway is going down")

// New makes a service. Close ends it.
func New(opts Options) *Service {
	if opts.Failed == nil {
		opts.Failed = func(error) {}
	}
	if opts.Expired == nil {
		opts.Expired = func(Request, string) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{
		opts: opts, queues: make(map[string]*queue),
		ctx: ctx, cancel: cancel, free: make(chan struct{}, atOnce),
	}
}

// Close leaves what waits in the store and returns when the workers have ended. Who
// waits for an answer gets StatusUnavailable, and the command is forgotten; Ended
// does not hear of the others, since nothing can be sent any more.
func (s *Service) Close() {
	var dropped []*waiting
	s.mu.Lock()
	s.closed = true
	for _, q := range s.queues {
		if q.pause != nil {
			q.pause.Stop()
		}
		for _, w := range q.waiting {
			w.timer.Stop()
			s.account(w, -1)
			if w.sync {
				dropped = append(dropped, w)
			}
		}
		q.waiting = nil
	}
	s.mu.Unlock()
	for _, w := range dropped {
		s.end(w, refuse(StatusUnavailable, errStopped.Error()))
	}
	s.cancel()
	s.workers.Wait()
}

// Do delivers the request and waits for its end: the device's answer, or the
// reason why there is none, or StatusSent where the codec expects none. A request
// that may wait longer than the caller can is queued, and answered with
// StatusQueued; its end goes to Options.Ended.
func (s *Service) Do(ctx context.Context, r Request) Answer {
	d, connected := s.opts.Find(r.DeviceID)
	switch queued := s.behindOthers(r.DeviceID); {
	case connected && !queued && !r.Retry:
		return deliver(ctx, d, r, "")
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
	case errors.Is(err, errStopped), errors.Is(err, errNotKept):
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
		if s.withdraw(w) {
			s.forget(w)
		}
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
func deliver(ctx context.Context, d Device, r Request, id string) Answer {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.TimeoutSeconds)*time.Second)
	defer cancel()
	result, err := d.Command(ctx, r, id)
	switch {
	case err != nil && statusOf(err) == StatusNoReply:
		return refuse(StatusNoReply, fmt.Sprintf("device %q gave no answer: %v", r.DeviceID, err))
	case err != nil:
		return refuse(statusOf(err), err.Error())
	case errors.Is(result.Err, codec.ErrNoAnswer):
		return refuse(StatusNoReply, result.Err.Error())
	case result.Err != nil:
		return refuse(StatusRefused, result.Err.Error())
	case len(result.Payload) > 0 && !json.Valid(result.Payload):
		return refuse(StatusRefused, "the codec's answer is not JSON")
	case result.Unconfirmed:
		return success(StatusSent, sent{Sent: true, Codec: result.Payload})
	default:
		return Answer{Status: StatusOK, Payload: result.Payload}
	}
}

// sent is the body of an answer that the device has no part in.
type sent struct {
	Sent bool `json:"sent"`
	// Codec is what the codec says of it, if anything.
	Codec json.RawMessage `json:"codec,omitempty"`
}

// enqueue queues a request, under its own id where none is given. It is on disk, if
// there is a store, before it can be delivered.
func (s *Service) enqueue(r Request, id string, wait bool) (*waiting, error) {
	life := time.Duration(r.QueueSeconds) * time.Second
	if life == 0 { // it waits for a worker only
		life = time.Duration(r.TimeoutSeconds) * time.Second
	}
	now := time.Now()
	w := &waiting{
		request: r, id: id, queued: now, expiry: now.Add(life), done: make(chan Answer, 1), sync: wait,
	}
	s.mu.Lock()
	err := s.admit(w)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = s.keep(w)
	s.mu.Lock()
	s.account(w, -1) // admit's
	closed := s.closed
	if err == nil && !closed {
		s.insert(w, life)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case closed && (w.sync || !w.kept):
		s.forget(w)
		return nil, errStopped
	default:
		return w, nil
	}
}

// admit counts a command in and numbers it, unless a bound is reached. Called under mu.
func (s *Service) admit(w *waiting) error {
	device, waiting := w.request.DeviceID, 0
	if q := s.queues[device]; q != nil {
		waiting = len(q.waiting)
	}
	switch limit := s.opts.Limit(); {
	case s.closed:
		return errStopped
	case s.count >= limit:
		return fmt.Errorf("%d commands are queued, at most %d", s.count, limit)
	case s.bytes+len(w.request.Payload) > queueBytes:
		return fmt.Errorf("the queued commands have %d bytes, at most %d", s.bytes, queueBytes)
	case waiting >= perDevice:
		return fmt.Errorf("%d commands are queued for device %q, the most", waiting, device)
	}
	s.number(w)
	s.account(w, 1)
	return nil
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
	s.account(w, -1)
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
		s.end(w, expired(w))
	}
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
			if !s.carry(d, q, w) {
				return
			}
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
	s.account(w, -1)
	w.timer.Stop()
	return w, true
}
