package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// errClosed ends the dialogues of a client that is closed.
var errClosed = errors.New("the plugin is closed")

// Client is a plugin: the endpoints of one codec. It is safe for concurrent use.
type Client struct {
	name      string
	config    Config
	endpoints []*endpoint
	next      atomic.Uint32 // whose turn it is
	slots     chan struct{} // one for each step in flight
	bytes     *semaphore.Weighted

	ctx      context.Context //nolint:containedctx // the life of the client, and of all its dialogues
	cancel   context.CancelCauseFunc
	watchers sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// Dial makes a plugin ready. It waits for no endpoint: one that is away is tried
// again and again. An error tells of the configuration. Values of ctx are kept, its
// end is not looked at; the client lives until Close.
func Dial(ctx context.Context, name string, config Config) (*Client, error) {
	fail := func(err error) (*Client, error) { return nil, fmt.Errorf("rpc plugin %s: %w", name, err) }
	config.Endpoints = append([]string(nil), config.Endpoints...)
	if err := config.complete(); err != nil {
		return fail(err)
	}
	c := &Client{
		name: name, config: config,
		slots: make(chan struct{}, config.Window), bytes: semaphore.NewWeighted(int64(config.WindowBytes)),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, address := range config.Endpoints {
		e, err := newEndpoint(address, config.TLS, config.AnswerBytes)
		if err != nil {
			return fail(errors.Join(err, c.Close()))
		}
		c.endpoints = append(c.endpoints, e)
	}
	for _, e := range c.endpoints {
		c.watchers.Go(func() { e.watch(c.ctx, config.Health, config.Deadline) })
	}
	return c, nil
}

// Close ends all dialogues and connections, and returns when nothing of the client
// runs any more. It is idempotent.
func (c *Client) Close() error {
	c.cancel(errClosed)
	c.watchers.Wait()
	c.closeOnce.Do(func() {
		for _, e := range c.endpoints {
			c.closeErr = errors.Join(c.closeErr, e.conn.Close())
		}
	})
	return c.closeErr
}

// New is a codec.Factory. It asks the plugin whether the options are good, so that a
// plugin that is away, or does not know them, refuses the configuration.
func (c *Client) New(options json.RawMessage) (codec.Codec, error) {
	r := &remote{client: c, options: append([]byte(nil), options...)}
	d, err := r.open(codec.Peer{Transport: "tcp"}, true)
	if err != nil {
		return nil, err
	}
	defer codec.Close(d)
	if spec := d.manifest.GetFraming(); spec != "" {
		if _, err := r.settle(spec); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// candidates are the endpoints that a new link may try, in the order of its turn.
// Where none is known to be well it waits for those that were not asked yet.
func (c *Client) candidates(ctx context.Context) ([]*endpoint, error) {
	n := len(c.endpoints)
	turn := int(c.next.Add(1) % uint32(n))
	order := append(append(make([]*endpoint, 0, n), c.endpoints[turn:]...), c.endpoints[:turn]...)
	healthy := func() (list []*endpoint) {
		for _, e := range order {
			if e.state() == nil {
				list = append(list, e)
			}
		}
		return list
	}
	if list := healthy(); len(list) > 0 {
		return list, nil
	}
	for _, e := range order {
		select {
		case <-e.checked:
		case <-ctx.Done():
		}
		if e.state() == nil {
			return []*endpoint{e}, nil
		}
	}
	if list := healthy(); len(list) > 0 {
		return list, nil
	}
	why := make([]string, 0, n)
	for _, e := range order {
		why = append(why, fmt.Sprintf("%s: %v", e.address, e.state()))
	}
	return nil, fmt.Errorf("%w: no endpoint of %s is healthy: %s", codec.ErrBroken, c.name, strings.Join(why, "; "))
}
