package hub

import (
	"context"
	"fmt"
	"sync"
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
