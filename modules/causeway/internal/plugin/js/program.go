package js

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"

	"github.com/dop251/goja"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// New makes the codec with a listener's options; it is a codec.Factory. The options
// of a payload formatter are fPort, id, time, device, encoding and variables; those
// of the fuller shape are the script's own, handed to begin, and to check, if there
// is one, which refuses them by throwing.
func (p *Program) New(options json.RawMessage) (codec.Codec, error) {
	if p.formatter {
		return newFormatter(p, options)
	}
	var o map[string]json.RawMessage
	if err := codec.DecodeOptions(options, &o); err != nil {
		return nil, err
	}
	i, err := p.enter()
	if err != nil {
		return nil, err
	}
	if i.functions["check"] != nil {
		err := i.run("check", func() ([]goja.Value, error) {
			v, err := i.realm.parse(options)
			return []goja.Value{v}, err
		}, func(goja.Value) error { return nil })
		if err != nil {
			return nil, codec.Optionf("", "%v", err)
		}
	}
	return &scripted{program: p, options: slices.Clone(options)}, nil
}

// enter makes an instance for a link, on the engine that has the fewest of them. It
// leaves when nothing refers to it any more.
func (p *Program) enter() (*instance, error) {
	r, err := p.realm()
	if err != nil {
		return nil, err
	}
	i, err := r.instance()
	if err != nil {
		r.links.Add(-1)
		return nil, err
	}
	runtime.AddCleanup(i, func(r *realm) { r.links.Add(-1) }, r)
	return i, nil
}

// realm takes a place on an engine. There are as many engines as processors before
// links share one, and as many as the links need after that; engines without links
// go.
func (p *Program) realm() (*realm, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("%s: the program is closed: %w", p.name, codec.ErrBroken)
	}
	processors := runtime.GOMAXPROCS(0)
	var best *realm
	kept := p.realms[:0]
	for _, r := range p.realms {
		n := r.links.Load()
		if r.dead.Load() || n == 0 && len(kept) >= processors {
			continue
		}
		kept = append(kept, r)
		if n < linksOfARealm && (best == nil || n < best.links.Load()) {
			best = r
		}
	}
	clear(p.realms[len(kept):])
	p.realms = kept
	if best == nil || best.links.Load() > 0 && len(kept) < processors {
		r, err := newRealm(p)
		if err != nil {
			return nil, err
		}
		p.realms = append(p.realms, r)
		best = r
	}
	best.links.Add(1)
	return best, nil
}
