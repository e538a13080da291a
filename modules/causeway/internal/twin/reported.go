package twin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
)

const (
	// reportSoon is the pause after a change before it is reported, so that changes
	// that come together are one patch. IoT Hub S1 takes 50 twin updates a second
	// for the whole fleet of gateways.
	reportSoon = 250 * time.Millisecond
	// reportEvery is how often counts are brought up to date.
	reportEvery = 30 * time.Second
	// reportedLimit is the hub's bound for a patch, 32 KiB.
	reportedLimit = 32768
)

// ErrTooLarge is wrapped when what is to be reported does not fit the twin.
var ErrTooLarge = errors.New("reported properties too large")

// Reported sends what has changed of the gateway's description. Changed and
// Fetched may be called from any goroutine and return at once; Run does the work.
type Reported struct {
	hub    Hub
	source func() map[string]any
	failed func(error)
	wake   chan struct{}

	mu      sync.Mutex
	known   map[string]any // what the hub has; nil while that is not known
	fetches int            // how often the hub was asked
}

// NewReported makes a reporter. The source returns the whole description as
// JSON-encodable values; keys follow the rules of twins.
func NewReported(hub Hub, source func() map[string]any, failed func(error)) *Reported {
	return &Reported{hub: hub, source: source, failed: failed, wake: make(chan struct{}, 1)}
}

// Changed asks for a report soon.
func (r *Reported) Changed() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Fetched tells what the hub has, so that stale keys of an earlier life go away.
func (r *Reported) Fetched(reported json.RawMessage) {
	var known map[string]any
	if err := json.Unmarshal(reported, &known); err != nil || known == nil {
		known = map[string]any{} // nothing, or nothing that could be kept: everything is reported
	}
	delete(known, "$version")
	delete(known, "$metadata")
	r.mu.Lock()
	r.known = known
	r.fetches++
	r.mu.Unlock()
	r.Changed()
}

// Run reports until ctx ends.
func (r *Reported) Run(ctx context.Context) {
	every := time.NewTicker(reportEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-r.wake:
			soon := time.NewTimer(reportSoon)
			select {
			case <-ctx.Done():
				soon.Stop()
				return
			case <-soon.C:
			}
		}
		if err := r.Flush(ctx); err != nil && ctx.Err() == nil {
			r.failed(err)
		}
	}
}

// Flush reports what has changed, now. It does nothing while the hub has not been
// asked what it has.
func (r *Reported) Flush(ctx context.Context) error {
	r.mu.Lock()
	known, fetches := r.known, r.fetches
	r.mu.Unlock()
	if known == nil {
		return nil
	}
	now, err := plain(r.source())
	if err != nil {
		return fmt.Errorf("describe gateway: %w", err)
	}
	patch := difference(known, now)
	if len(patch) == 0 {
		return nil
	}
	b, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if len(b) > reportedLimit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), reportedLimit)
	}
	if err := r.hub.Report(ctx, b); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetches == fetches { // otherwise the hub was asked meanwhile, and the next report starts from its answer
		r.known = now
	}
	return nil
}

// plain turns the description into maps, as JSON has them. Members that are null
// go: in a twin they do not exist.
func plain(description map[string]any) (map[string]any, error) {
	b, err := json.Marshal(description)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	dropNulls(out)
	return out, nil
}

func dropNulls(object map[string]any) {
	for key, value := range object {
		switch v := value.(type) {
		case nil:
			delete(object, key)
		case map[string]any:
			dropNulls(v)
		}
	}
}

// difference is the merge patch (RFC 7396) that makes the old into the new.
func difference(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for key := range from {
		if _, stays := to[key]; !stays {
			patch[key] = nil
		}
	}
	for key, value := range to {
		before, had := from[key]
		if had && reflect.DeepEqual(before, value) {
			continue
		}
		a, aIs := before.(map[string]any)
		b, bIs := value.(map[string]any)
		if aIs && bIs {
			value = difference(a, b)
		}
		patch[key] = value
	}
	return patch
}
