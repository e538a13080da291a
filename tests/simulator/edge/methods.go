package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The limits of direct methods.
const (
	MaxMethodName       = 100
	MaxMethodPayload    = 131072
	MinResponseTimeout  = 5 * time.Second
	MaxResponseTimeout  = 300 * time.Second
	MaxConnectTimeout   = 300 * time.Second
	DefaultResponseTime = 30 * time.Second
	// maxCalls bounds the calls that are under way at once.
	maxCalls = 1000
	// StatusUnreadable is the status of an answer that had none to be read.
	StatusUnreadable = 400000
)

// The errors of Invoke.
var (
	// ErrInvalidMethod is a request that breaks a limit (400).
	ErrInvalidMethod = errors.New("invalid method request")
	// ErrNotConnected is a target that did not connect and subscribe in time (404).
	ErrNotConnected = errors.New("timed out waiting for device to connect")
	// ErrMethodTimeout is a target that did not answer in time (504).
	ErrMethodTimeout = errors.New("timed out waiting for the response from device")
	// ErrTooManyCalls is a hub with too many calls under way (429).
	ErrTooManyCalls = errors.New("too many method calls are under way")
)

// MethodRequest is a direct method as callers ask for it.
type MethodRequest struct {
	Name string
	// Payload is any JSON value; nil is null.
	Payload json.RawMessage
	// ResponseTimeout is 5 s to 300 s, zero for 30 s; ConnectTimeout is 0 to 300 s.
	ResponseTimeout, ConnectTimeout time.Duration
}

// MethodResult is the target's answer. A payload that is not JSON becomes null.
type MethodResult struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

type call struct {
	target Identity
	answer chan MethodResult
}

func (r *MethodRequest) check() error {
	if r.ResponseTimeout == 0 {
		r.ResponseTimeout = DefaultResponseTime
	}
	switch {
	case strings.TrimSpace(r.Name) == "" || len(r.Name) > MaxMethodName:
		return fmt.Errorf("%w: methodName must have 1 to %d characters", ErrInvalidMethod, MaxMethodName)
	case r.ResponseTimeout < MinResponseTimeout || r.ResponseTimeout > MaxResponseTimeout:
		return fmt.Errorf("%w: responseTimeoutInSeconds is %g, it must be 5 to 300",
			ErrInvalidMethod, r.ResponseTimeout.Seconds())
	case r.ConnectTimeout < 0 || r.ConnectTimeout > MaxConnectTimeout:
		return fmt.Errorf("%w: connectTimeoutInSeconds is %g, it must be 0 to 300",
			ErrInvalidMethod, r.ConnectTimeout.Seconds())
	case len(r.Payload) > MaxMethodPayload:
		return fmt.Errorf("%w: payload has %d bytes, at most %d are allowed",
			ErrInvalidMethod, len(r.Payload), MaxMethodPayload)
	case len(r.Payload) > 0 && !json.Valid(r.Payload):
		return fmt.Errorf("%w: payload must be JSON", ErrInvalidMethod)
	}
	return nil
}

// Invoke calls a direct method and waits for its answer. Errors wrap ErrInvalidMethod,
// ErrUnknownIdentity, ErrNotConnected, ErrMethodTimeout or ErrTooManyCalls.
func (h *Hub) Invoke(ctx context.Context, id Identity, r MethodRequest) (MethodResult, error) {
	if err := r.check(); err != nil {
		return MethodResult{}, err
	}
	if err := h.knows(id); err != nil {
		return MethodResult{}, err
	}
	h.counters.methods.Add(1)
	correlation := guid()
	c := &call{target: id, answer: make(chan MethodResult, 1)}
	h.mu.Lock()
	if len(h.calls) >= maxCalls {
		h.mu.Unlock()
		return MethodResult{}, ErrTooManyCalls
	}
	h.calls[correlation] = c
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.calls, correlation)
		h.mu.Unlock()
	}()
	if err := h.deliverMethod(ctx, id, r.ConnectTimeout, MethodCall{
		Correlation: correlation, Name: r.Name, Payload: r.Payload,
	}); err != nil {
		return MethodResult{}, err
	}
	h.seen.of(id).methods.Add(1)
	timer := time.NewTimer(r.ResponseTimeout)
	defer timer.Stop()
	select {
	case result := <-c.answer:
		return result, nil
	case <-timer.C:
		return MethodResult{}, fmt.Errorf("method %s of %s: %w", r.Name, id, ErrMethodTimeout)
	case <-ctx.Done():
		return MethodResult{}, fmt.Errorf("method %s of %s: %w", r.Name, id, ctx.Err())
	case <-h.done:
		return MethodResult{}, fmt.Errorf("method %s of %s: the hub closed: %w", r.Name, id, ErrMethodTimeout)
	}
}

// deliverMethod gives a call to its target when that listens. One that has ceased to at that
// moment, as it does before it connects anew, is waited for again.
func (h *Hub) deliverMethod(ctx context.Context, id Identity, limit time.Duration, call MethodCall) error {
	until := time.Now().Add(limit)
	for {
		s, err := h.awaitMethods(ctx, id, max(time.Until(until), 0))
		if err != nil {
			return err
		}
		switch {
		case s.Method(call):
			return nil
		case !time.Now().Before(until):
			return fmt.Errorf("method target %s: %w", id, ErrNotConnected)
		case !wait(ctx, listenAgain):
			return fmt.Errorf("method target %s: %w", id, ctx.Err())
		}
	}
}

// listenAgain is the pause before a target that did not take a call is looked at again.
const listenAgain = 10 * time.Millisecond

// wait is false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// InvokeFromCloud is Invoke for a caller in the cloud: the connect timeout also covers the
// time that the link is cut.
func (h *Hub) InvokeFromCloud(ctx context.Context, id Identity, r MethodRequest) (MethodResult, error) {
	if err := r.check(); err != nil {
		return MethodResult{}, err
	}
	if err := h.knows(id); err != nil {
		return MethodResult{}, err
	}
	begun := h.opts.Now()
	if !h.awaitCloud(ctx, r.ConnectTimeout) {
		return MethodResult{}, fmt.Errorf("method target %s: %w", id, ErrNotConnected)
	}
	r.ConnectTimeout = max(r.ConnectTimeout-h.opts.Now().Sub(begun), 0)
	return h.Invoke(ctx, id, r)
}

// awaitMethods parks a call until the target listens to methods. A target that subscribes
// while the call waits is given SubscribeGrace to settle; the connect timeout runs on.
func (h *Hub) awaitMethods(ctx context.Context, id Identity, limit time.Duration) (Session, error) {
	s, changed := h.subscriber(id, TopicMethods)
	if s != nil {
		return s, nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var grace <-chan time.Time
	for {
		select {
		case <-changed:
			if s, changed = h.subscriber(id, TopicMethods); s == nil {
				grace = nil
				continue
			}
			settle := time.NewTimer(max(h.opts.SubscribeGrace, 0))
			defer settle.Stop()
			grace = settle.C
		case <-grace:
			return s, nil
		case <-timer.C:
			return nil, fmt.Errorf("method target %s: %w", id, ErrNotConnected)
		case <-ctx.Done():
			return nil, fmt.Errorf("method target %s: %w", id, ctx.Err())
		case <-h.done:
			return nil, fmt.Errorf("method target %s: the hub closed: %w", id, ErrNotConnected)
		}
	}
}

// AnswerMethod implements Head.
func (h *Hub) AnswerMethod(id Identity, correlation string, status int, payload json.RawMessage) {
	h.mu.Lock()
	c, ok := h.calls[strings.ToLower(correlation)]
	h.mu.Unlock()
	if !ok || c.target != id {
		return
	}
	h.seen.of(id).answers.Add(1)
	if len(payload) == 0 || !json.Valid(payload) || status == StatusUnreadable {
		payload = json.RawMessage("null")
	}
	select {
	case c.answer <- MethodResult{Status: status, Payload: append(json.RawMessage{}, payload...)}:
	default: // the first answer counts
	}
}
