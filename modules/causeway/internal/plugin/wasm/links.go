package wasm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// links is what the links of a codec share: a program with options, and no more
// instances than most.
type links struct {
	program *Program
	options []byte
	most    int

	mu      sync.Mutex
	live    int       // instances
	spare   *instance // started and configured, for the first link
	pool    []*pooled // of a program whose instances are shared
	retired atomic.Bool
}

// plain is the codec of a program that does not cut the stream. Nothing that its links
// hold refers to it, so that one that is forgotten is found.
type plain struct{ *links }

// splitter is the codec of a program that cuts the stream.
type splitter struct{ *links }

// codecOf makes the codec of links.
func codecOf(c *links, splits bool) codec.Codec {
	if splits {
		s := &splitter{c}
		runtime.AddCleanup(s, (*links).retire, c)
		return s
	}
	p := &plain{c}
	runtime.AddCleanup(p, (*links).retire, c)
	return p
}

// retire frees what no link holds; what one holds is freed with it.
func (c *links) retire() {
	c.retired.Store(true)
	c.program.forget(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spare != nil {
		c.spare.end()
		c.spare = nil
	}
	for _, p := range c.pool {
		if p.dialogues.Load() == 0 {
			p.end()
		}
	}
}

// pooled is an instance that holds many dialogues.
type pooled struct {
	*instance
	dialogues atomic.Int64
	next      uint32 // number of a dialogue, guarded by the instance's mu

	endedMu sync.Mutex
	ended   []uint32 // dialogues that the guest has not been told of; at most those that were begun
}

// start makes an instance with the options.
func (c *links) start() (*instance, error) {
	i, err := c.program.start(context.Background())
	if err != nil {
		return nil, err
	}
	if c.options != nil {
		if err := i.configure(c.options); err != nil {
			i.close()
			return nil, err
		}
	}
	return i, nil
}

// Begin implements codec.Codec.
func (c *splitter) Begin(peer codec.Peer) (codec.Dialogue, error) {
	d, err := c.begin(peer)
	if err != nil {
		return nil, err
	}
	return splitting{d}, nil
}

// Begin implements codec.Codec.
func (c *plain) Begin(peer codec.Peer) (codec.Dialogue, error) {
	d, err := c.begin(peer)
	if err != nil {
		return nil, err // not a nil *dialogue in an interface
	}
	return d, nil
}

func (c *links) begin(peer codec.Peer) (*dialogue, error) {
	h, err := c.hold()
	if err != nil {
		return nil, err
	}
	if h.pooled != nil {
		h.number = h.pooled.number()
	}
	d := &dialogue{hold: h, instance: h.instance, number: h.number}
	d.cleanup = runtime.AddCleanup(d, (*hold).release, h)
	if err := d.begin(peer); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// hold finds an instance for a link.
func (c *links) hold() (*hold, error) {
	if c.program.closed.Load() {
		return nil, fmt.Errorf("wasm module %s: %w", c.program.name, ErrClosed)
	}
	if c.program.shared {
		return c.share()
	}
	c.mu.Lock()
	i := c.spare
	c.spare = nil
	full := i == nil && c.live >= c.most
	if !full {
		c.live++
	}
	c.mu.Unlock()
	if full {
		return nil, fmt.Errorf("wasm module %s: all of %d instances are in use: %w",
			c.program.name, c.most, codec.ErrBroken)
	}
	if i == nil {
		var err error
		if i, err = c.start(); err != nil {
			c.gone()
			return nil, err
		}
	}
	return &hold{links: c, instance: i}, nil
}

func (c *links) gone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live--
}

// share takes the instance with the fewest dialogues, or a new one while there may be
// more. Instances that failed make room.
func (c *links) share() (*hold, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spare != nil {
		c.pool, c.spare = append(c.pool, &pooled{instance: c.spare}), nil
	}
	var best *pooled
	kept := c.pool[:0]
	for _, p := range c.pool {
		if p.dead.Load() {
			continue
		}
		kept = append(kept, p)
		if best == nil || p.dialogues.Load() < best.dialogues.Load() {
			best = p
		}
	}
	clear(c.pool[len(kept):])
	if c.pool = kept; best == nil || best.dialogues.Load() > 0 && len(c.pool) < c.most {
		i, err := c.start()
		if err != nil {
			return nil, err
		}
		best = &pooled{instance: i}
		c.pool = append(c.pool, best)
	}
	best.dialogues.Add(1)
	return &hold{links: c, instance: best.instance, pooled: best}, nil
}

// number numbers a dialogue, and tells the guest of those that have ended.
func (p *pooled) number() uint32 {
	p.endedMu.Lock()
	ended := p.ended
	p.ended = nil
	p.endedMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.program.has[fnEnd] {
		for _, n := range ended {
			_, err := p.callFunction(p.keep(fnEnd), p.program.limits.Fuel, uint64(n))
			if err != nil {
				break // the dialogue that begins will find it broken
			}
		}
	}
	p.next++
	return p.next
}

// hold is what a dialogue holds of an instance. It must not refer to the dialogue, so
// that one that is forgotten can be found.
type hold struct {
	links    *links
	instance *instance
	pooled   *pooled // nil where the instance is the link's own
	number   uint32
	released atomic.Bool
}

func (h *hold) release() {
	if h.released.Swap(true) {
		return
	}
	if h.pooled != nil {
		h.pooled.endedMu.Lock()
		h.pooled.ended = append(h.pooled.ended, h.number)
		h.pooled.endedMu.Unlock()
		if h.pooled.dialogues.Add(-1) == 0 && h.links.retired.Load() {
			h.instance.end()
		}
		return
	}
	h.instance.end()
	h.links.gone()
}
