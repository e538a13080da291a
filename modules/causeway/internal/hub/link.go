package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection to the hub, for as long as it lives.
type link interface {
	// run serves until any part of the connection ends, and returns when all of it is
	// closed. It returns errRenewal when the connection ended for a new token.
	run(ctx context.Context) error
	// request makes a twin request, GET or a PATCH of the reported properties, and
	// returns the body of its answer.
	request(ctx context.Context, operation string, body []byte) ([]byte, error)
}

// connect opens a link in the protocol that was chosen. On failure nothing is left open.
func (h *Hub) connect(ctx context.Context) (link, error) {
	switch h.opts.Protocol {
	case MQTT, MQTTWebSocket:
		return h.connectMQTT(ctx)
	default:
		return h.connectAMQP(ctx)
	}
}

// twinTimeout bounds a twin request: the hub itself may wait 50 s for a cloud
// that hangs before it answers from its store.
const twinTimeout = 60 * time.Second

// TwinError is a twin request that the hub refused: 400 for a patch that breaks
// the rules, 500 for anything else.
type TwinError struct{ Status int }

// Error implements error.
func (e *TwinError) Error() string { return fmt.Sprintf("edge hub answered status %d", e.Status) }

type twinAnswer struct {
	status int
	body   []byte
	lost   bool // there will be none
}

// twinRequests are the twin requests of a link that wait for their answers.
type twinRequests struct {
	mu      sync.Mutex
	waiting map[string]chan twinAnswer
}

// ask sends a request under an id of its own and waits for its answer.
func (t *twinRequests) ask(
	ctx context.Context, operation string, send func(ctx context.Context, id string) error,
) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, twinTimeout)
	defer cancel()
	id := operation + newGUID()
	answer := make(chan twinAnswer, 1)
	t.mu.Lock()
	if t.waiting == nil {
		t.waiting = make(map[string]chan twinAnswer)
	}
	t.waiting[id] = answer
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.waiting, id)
		t.mu.Unlock()
	}()
	if err := send(ctx, id); err != nil {
		return nil, err
	}
	select {
	case a := <-answer:
		if a.lost {
			return nil, ErrNotConnected
		}
		if a.status/100 != 2 {
			return nil, &TwinError{Status: a.status}
		}
		return a.body, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answered hands an answer to who waits for it, if anybody does.
func (t *twinRequests) answered(id string, a twinAnswer) {
	t.mu.Lock()
	answer := t.waiting[id]
	delete(t.waiting, id)
	t.mu.Unlock()
	if answer != nil {
		answer <- a
	}
}

// lost tells those that wait that their link has ended.
func (t *twinRequests) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, answer := range t.waiting {
		delete(t.waiting, id)
		answer <- twinAnswer{lost: true}
	}
}

// busy tells whether somebody waits.
func (t *twinRequests) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting) > 0
}

const (
	// methodsAtOnce bounds the direct methods that run at the same time. Each may
	// wait minutes for a device; the hub itself does not serialise them.
	methodsAtOnce = 32
	// answersAtOnce bounds them together with those whose answers are being sent.
	answersAtOnce = 2 * methodsAtOnce
	// statusBusy answers what is over the bound.
	statusBusy = 429
)

// methodDesk has the direct methods of a link answered, each in its own goroutine.
type methodDesk struct {
	method  method
	free    chan struct{} // a place for each that may run; desks can share it
	most    int64         // of those that this desk has taken
	taken   atomic.Int64  // those whose answer has not been sent
	running sync.WaitGroup
}

// method answers a direct method, as Handler.Method.
type method func(ctx context.Context, name string, payload json.RawMessage) (status int, answer json.RawMessage)

// newMethodDesk makes a desk for so many methods at a time, those whose answer is being sent
// included.
func newMethodDesk(m method, free chan struct{}, most int64) *methodDesk {
	return &methodDesk{method: m, free: free, most: most}
}

// take has one method answered. Reply is called once, with a JSON value; an answer that
// it cannot send is lost with the link, and the hub tells the caller of the timeout.
func (d *methodDesk) take(
	ctx context.Context, name string, payload json.RawMessage, reply func(status int, answer json.RawMessage),
) {
	if d.taken.Load() >= d.most || !d.occupy() {
		reply(statusBusy, json.RawMessage(`{"error":"too many methods at once"}`))
		return
	}
	d.taken.Add(1)
	d.running.Go(func() {
		defer d.taken.Add(-1)
		status, answer := d.call(ctx, name, payload)
		if len(answer) == 0 {
			answer = json.RawMessage("null")
		}
		reply(status, answer)
	})
}

func (d *methodDesk) occupy() bool {
	select {
	case d.free <- struct{}{}:
		return true
	default:
		return false
	}
}

// call gives the place back before the answer is sent: who has it may call again.
func (d *methodDesk) call(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
	defer func() { <-d.free }()
	return d.method(ctx, name, payload)
}

// busy tells whether a method is running, or its answer on its way.
func (d *methodDesk) busy() bool { return d.taken.Load() > 0 }

// wait waits for the methods that run; their context has ended.
func (d *methodDesk) wait() { d.running.Wait() }
