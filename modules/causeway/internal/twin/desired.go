package twin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// patchesWaiting bounds the patches not yet applied; with more than that the
	// whole twin is fetched instead.
	patchesWaiting = 64
	// fetchAgain is the wait after a failed fetch while the hub is connected.
	fetchAgain = 5 * time.Second
)

// Hub is the twin's side of the hub.
type Hub interface {
	Twin(ctx context.Context) (desired, reported json.RawMessage, err error)
	Report(ctx context.Context, patch json.RawMessage) error
}

// Merge applies a merge patch (RFC 7396) to a document.
type Merge func(document, patch []byte) ([]byte, error)

// Options are what a Desired is made of.
type Options struct {
	Hub   Hub
	Merge Merge
	// Apply takes a whole desired document and its version. What is wrong with it
	// the callee reports itself.
	Apply func(desired json.RawMessage, version int64)
	// Fetched hears what the hub has as reported, after every fetch.
	Fetched func(reported json.RawMessage)
	// Failed hears of fetches and patches that failed; optional.
	Failed func(error)
}

// Desired follows the desired properties. Connected and Patch may be called from
// any goroutine and return at once; Run does the work.
type Desired struct {
	opts    Options
	fetch   chan struct{}
	patches chan json.RawMessage

	document json.RawMessage // owned by Run
	version  int64
	known    bool
}

// New makes a Desired that knows nothing yet.
func New(opts Options) *Desired {
	if opts.Failed == nil {
		opts.Failed = func(error) {}
	}
	return &Desired{opts: opts, fetch: make(chan struct{}, 1), patches: make(chan json.RawMessage, patchesWaiting)}
}

// Connected asks for a fetch: the hub is there again.
func (d *Desired) Connected() {
	select {
	case d.fetch <- struct{}{}:
	default:
	}
}

// Patch takes a desired patch in the order in which the hub sent it.
func (d *Desired) Patch(patch json.RawMessage) {
	select {
	case d.patches <- patch:
	default:
		d.Connected()
	}
}

// Run applies what comes until ctx ends.
func (d *Desired) Run(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	defer retry.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-d.fetch:
			err = d.get(ctx)
		case <-retry.C:
			err = d.get(ctx)
		case p := <-d.patches:
			err = d.patch(ctx, p)
		}
		if err != nil && ctx.Err() == nil {
			d.opts.Failed(err)
			retry.Reset(fetchAgain)
		}
	}
}

// get fetches and applies the whole twin. An empty one without a version means
// that the hub does not know it yet: what is in force stays.
func (d *Desired) get(ctx context.Context) error {
	desired, reported, err := d.opts.Hub.Twin(ctx)
	if err != nil {
		return fmt.Errorf("fetch twin: %w", err)
	}
	d.opts.Fetched(reported)
	version, ok := versionOf(desired)
	if !ok {
		return nil
	}
	if d.known && version == d.version {
		return nil // a reconnect without a change
	}
	d.take(desired, version)
	return nil
}

func (d *Desired) patch(ctx context.Context, patch json.RawMessage) error {
	version, ok := versionOf(patch)
	switch {
	case ok && d.known && version <= d.version:
		return nil
	case !ok || !d.known || version != d.version+1:
		return d.get(ctx)
	}
	document, err := d.opts.Merge(d.document, patch)
	if err != nil {
		d.opts.Failed(fmt.Errorf("apply desired patch of version %d: %w", version, err))
		return d.get(ctx)
	}
	d.take(document, version)
	return nil
}

func (d *Desired) take(document json.RawMessage, version int64) {
	d.document, d.version, d.known = document, version, true
	d.opts.Apply(document, version)
}

func versionOf(document json.RawMessage) (int64, bool) {
	var v struct {
		Version *int64 `json:"$version"`
	}
	if err := json.Unmarshal(document, &v); err != nil || v.Version == nil {
		return 0, false
	}
	return *v.Version, true
}
