package authenticate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sony/gobreaker/v2"
)

// maxAnswer bounds the body of an answer: a verdict with a reason.
const maxAnswer = 64 << 10

// service is the authenticator of the kind http.
type service struct {
	requests *requester
	client   *http.Client
	workers  *Workers
	breaker  *gobreaker.CircuitBreaker[Verdict]
	now      func() time.Time

	sealer            *sealer
	allowFor, denyFor time.Duration
	// Admissions stand apart, so that guesses cannot push them out.
	allowed, others *lru.Cache[digest, kept]
}

// kept is a verdict in the cache.
type kept struct {
	verdict Verdict
	until   time.Time
}

func newHTTP(settings json.RawMessage, deps Deps) (Authenticator, error) {
	spec, err := parseHTTP(settings)
	if err != nil {
		return nil, err
	}
	s := &service{
		now: deps.Now, sealer: newSealer(),
		allowFor: time.Duration(spec.Cache.AllowSeconds) * time.Second,
		denyFor:  time.Duration(spec.Cache.DenySeconds) * time.Second,
	}
	if s.requests, err = newRequester(spec, deps); err != nil {
		return nil, err
	}
	timeout := time.Duration(spec.TimeoutSeconds) * time.Second
	if s.client, err = client(spec.CA, timeout, spec.Concurrency, deps); err != nil {
		return nil, err
	}
	s.workers = NewWorkers(WorkersOptions{Parallel: spec.Concurrency, Wait: timeout})
	s.allowed, _ = lru.New[digest, kept](spec.Cache.Entries) // fails for sizes below 1 only
	s.others, _ = lru.New[digest, kept](spec.Cache.Entries)
	s.breaker = gobreaker.NewCircuitBreaker[Verdict](gobreaker.Settings{
		Timeout:      time.Duration(spec.Breaker.OpenSeconds) * time.Second,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(spec.Breaker.Failures) },
		IsSuccessful: func(err error) bool { return err == nil || itself(err) },
		// A device that hung up says nothing about the service.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
	})
	return s, nil
}

// Close implements io.Closer.
func (s *service) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Authenticate implements Authenticator.
func (s *service) Authenticate(ctx context.Context, r Request) (Verdict, error) {
	if len(r.Device) > maxDevice || len(r.Secret) > maxSecret {
		return deny("the id or the secret is too long")
	}
	key := s.key(r)
	if v, ok := s.cached(key); ok {
		return v, nil
	}
	var v Verdict
	var err error
	if busy := s.workers.Do(ctx, func() {
		v, err = s.breaker.Execute(func() (Verdict, error) { return s.ask(ctx, r) })
	}); busy != nil {
		return Verdict{}, busy
	}
	if err != nil {
		if shows(err.Error(), r.Secret) { // a service may have sent it back
			err = errors.New(withheld)
		}
		return Verdict{}, fmt.Errorf("ask service: %w", err)
	}
	s.keep(key, v)
	return v, nil
}

// key is what a verdict depends on: of the claim, what is sent.
func (s *service) key(r Request) digest {
	parts := make([]string, 0, 2*len(holes))
	for _, hole := range []string{"{device}", "{listener}", "{remote}", "{secret}"} {
		if s.requests.uses[hole] {
			parts = append(parts, hole, holes[hole](r))
		}
	}
	return s.sealer.seal(parts...)
}

func (s *service) cached(key digest) (Verdict, bool) {
	for _, cache := range [...]*lru.Cache[digest, kept]{s.allowed, s.others} {
		if k, ok := cache.Get(key); ok {
			if s.now().Before(k.until) {
				return k.verdict, true
			}
			cache.Remove(key)
		}
	}
	return Verdict{}, false
}

func (s *service) keep(key digest, v Verdict) {
	cache, period := s.others, s.denyFor
	if v.Decision == Allow {
		cache, period = s.allowed, s.allowFor
	}
	until := s.now().Add(period)
	if !v.Expires.IsZero() && v.Expires.Before(until) {
		until = v.Expires
	}
	if until.After(s.now()) {
		cache.Add(key, kept{v, until})
	}
}

// ask sends one request. The error means that the service did not say.
func (s *service) ask(ctx context.Context, r Request) (Verdict, error) {
	request, err := s.requests.request(r)
	if err != nil {
		return deny(err.Error())
	}
	response, err := s.client.Do(request.WithContext(ctx))
	if err != nil {
		if hidden, ok := errors.AsType[*url.Error](err); ok {
			err = hidden.Err // without the URL, which may have the secret in it
		}
		return Verdict{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Verdict{}, fmt.Errorf("read answer: %w", err)
	case len(body) > maxAnswer:
		return Verdict{}, fmt.Errorf("answer has more than %d bytes", maxAnswer)
	}
	return judge(response.StatusCode, body, r.Secret)
}

// statusError is the status of an answer that is no verdict.
type statusError int

// Error implements error.
func (s statusError) Error() string { return fmt.Sprintf("answer has status %d", int(s)) }

// itself tells of an error that is about this request, and says nothing against the
// service: whoever finds an id that it cannot take would keep all others out.
func itself(err error) bool {
	s, ok := errors.AsType[statusError](err)
	return ok && s >= 400 && s < 500 && s != http.StatusRequestTimeout && s != http.StatusTooManyRequests
}

// answer is the optional body of a service's answer; it may have other members.
type answer struct {
	Result    string    `json:"result"`
	Reason    string    `json:"reason"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// judge makes a verdict of an answer: 2xx allows unless its body says otherwise, 401 and
// 403 deny, 404 is next, and all else is no answer. What a body says does not depend on
// how it is labelled: one of a 2xx that cannot be read is no answer, since it may be a no,
// or the page of a proxy.
func judge(status int, body []byte, secret string) (Verdict, error) {
	var v Verdict
	switch {
	case status >= 200 && status < 300:
		v.Decision = Allow
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		v.Decision = Deny
	case status == http.StatusNotFound:
	default:
		return Verdict{}, statusError(status)
	}
	v.Reason = fmt.Sprintf("status %d", status)
	if body = bytes.TrimSpace(body); len(body) == 0 {
		v.Proven = v.Decision == Allow
		return v, nil
	}
	a, err := parseAnswer(body)
	if v.Decision == Allow {
		if err != nil {
			return Verdict{}, fmt.Errorf("status %d, but %w", status, err)
		}
		v.Decision, v.Expires = a.decision, a.ExpiresAt
		v.Proven = v.Decision == Allow
	}
	if a.Reason != "" {
		v.Reason = shown(a.Reason, secret)
	}
	return v, nil
}

type parsedAnswer struct {
	answer
	decision Decision
}

// parseAnswer reads a body; its error shows nothing of it.
func parseAnswer(body []byte) (parsedAnswer, error) {
	var a parsedAnswer
	if err := json.Unmarshal(body, &a.answer); err != nil || body[0] != '{' {
		return a, errors.New("the body is not the JSON object of a verdict")
	}
	switch a.Result {
	case "", "allow":
		a.decision = Allow
	case "deny":
		a.decision = Deny
	case "next":
		a.decision = Next
	default:
		return a, errors.New("the body's result is none of allow, deny, next")
	}
	return a, nil
}
