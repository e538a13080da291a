package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/kind"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

const (
	// pluginsFolder is the place of programs in the data directory, engineFolder that of
	// what an engine made of them.
	pluginsFolder = "codecs"
	engineFolder  = "codecs-compiled"
	// pluginsLook is how often it is looked whether a process is there by now, and
	// whether an exchanged codec still has links.
	pluginsLook = 5 * time.Second
	// maxRetired bounds the codecs that were exchanged and still have links: with more,
	// the oldest is closed, and its links with it.
	maxRetired = 16
)

// loaded is a codec that is not built in.
type loaded struct {
	name   string
	config config.Codec
	plugin *kind.Plugin
	// program is nil for a process; stale tells that its source could not be read at the
	// start.
	program *plugin.Program
	stale   bool

	// editions are what listeners used of it before they were given another; guarded by
	// plugins.mu.
	editions []*session.Edition
}

// version names what is running, for dead letters and reports.
func (l *loaded) version() string {
	const digits = 12
	if l == nil || l.program == nil {
		return ""
	}
	return l.program.SHA256[:digits]
}

// insists tells whether links that cannot go over to it are closed.
func (l *loaded) insists() bool { return l != nil && l.config.Exchange == "close" }

// plugins are the codecs that are not built in: those in force, and those that were
// exchanged and still have links.
type plugins struct {
	g       *Gateway
	library *plugin.Library
	engines *kind.Engines

	mu      sync.Mutex
	inForce map[string]*loaded
	retired []*loaded
}

func newPlugins(g *Gateway) *plugins {
	dir := g.opts.Environment.DataDir
	return &plugins{
		g: g, library: plugin.NewLibrary(filepath.Join(dir, pluginsFolder)),
		engines: kind.NewEngines(filepath.Join(dir, engineFolder)), inForce: make(map[string]*loaded),
	}
}

// occasion is why a document is compiled.
type occasion int

const (
	// changed: an operator wants it so, and hears of everything that is wrong.
	changed occasion = iota
	// starting: a source that cannot be read gives what it gave last.
	starting
	// retrying: some listeners wait for their codec; the others are what they are.
	retrying
)

// load gets every codec of a document. Those that are the same as before are the same
// loaded.
func (p *plugins) load(
	ctx context.Context, codecs map[string]config.Codec, why occasion,
) (map[string]*loaded, []config.Fault) {
	p.mu.Lock()
	before := maps.Clone(p.inForce)
	p.mu.Unlock()
	set := make(map[string]*loaded, len(codecs))
	var faults []config.Fault
	for _, name := range slices.Sorted(maps.Keys(codecs)) {
		c, key := codecs[name], "source"
		var l *loaded
		var err error
		switch {
		case slices.Contains(p.g.opts.Registry.Names(), name):
			key, err = "kind", fmt.Errorf("codec %s is built in, give this one another name", name)
		case c.Remote():
			key = "settings"
			l, err = p.connect(ctx, name, c, before[name])
		default:
			l, err = p.read(ctx, name, c, before[name], why)
		}
		if err != nil {
			f := config.Fault{Pointer: config.Pointer("codecs", name, key), Message: err.Error()}
			if inner, ok := errors.AsType[*codec.OptionError](err); ok {
				f.Pointer, f.Message = f.Pointer+inner.Pointer, inner.Reason
			}
			faults = append(faults, f)
			continue
		}
		set[name] = l
	}
	if faults != nil {
		p.discard(set)
		return nil, faults
	}
	return set, nil
}

// connect makes the codec of a process.
func (p *plugins) connect(ctx context.Context, name string, c config.Codec, before *loaded) (*loaded, error) {
	if before != nil && before.config.Kind == c.Kind && bytes.Equal(before.config.Settings, c.Settings) {
		return before, nil
	}
	made, err := p.engines.Connect(ctx, c.Kind, name, c.Settings)
	if before != nil && errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: the codec as it is listens there, give the new settings another address", err)
	}
	if err != nil {
		return nil, err
	}
	return &loaded{name: name, config: c, plugin: made}, nil
}

// read makes the codec of a program, and holds it to the examples that it carries.
func (p *plugins) read(
	ctx context.Context, name string, c config.Codec, before *loaded, why occasion,
) (*loaded, error) {
	if why == retrying && before != nil && reflect.DeepEqual(before.config, c) {
		return before, nil
	}
	program, err := p.library.Get(ctx, plugin.Source{URL: c.Source, SHA256: c.SHA256})
	stale := false
	if err != nil && why == starting {
		last, none := p.library.Last(name)
		if none == nil && (c.SHA256 == "" || c.SHA256 == last.SHA256) {
			p.g.log.Warn().Str("codec", name).Err(err).Str("sha256", last.SHA256).
				Msg("codec's source not read, what it gave last is used")
			program, stale, err = last, true, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if before != nil && before.config.Kind == c.Kind && before.program.SHA256 == program.SHA256 {
		p.mu.Lock()
		before.stale = stale
		p.mu.Unlock()
		return before, nil
	}
	made, err := p.engines.Compile(ctx, c.Kind, name, program.Bytes)
	if err != nil {
		return nil, err
	}
	if err := made.Check(); err != nil {
		return nil, errors.Join(err, made.Close())
	}
	return &loaded{name: name, config: c, plugin: made, program: program, stale: stale}, nil
}

// discard closes what was loaded for a document that is not applied.
func (p *plugins) discard(set map[string]*loaded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, l := range set {
		if l != p.inForce[name] {
			p.close(l)
		}
	}
}

// adopt puts a set in force. What it does not hold any more is closed once no link uses
// it.
func (p *plugins) adopt(set map[string]*loaded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, l := range set {
		if l.program != nil && l != p.inForce[name] {
			if err := p.library.Keep(name, l.program); err != nil {
				p.g.log.Warn().Err(err).Msg("codec not kept for a start without its source")
			}
		}
	}
	for name, l := range p.inForce {
		if set[name] != l {
			p.retired = append(p.retired, l)
		}
	}
	p.inForce = set
	p.prune()
	p.closeUnused()
}

// prune bounds what is kept on disk.
func (p *plugins) prune() {
	var digests []string
	for _, l := range p.inForce {
		if l.program != nil {
			digests = append(digests, l.program.SHA256)
		}
	}
	if err := p.library.Prune(digests); err != nil {
		p.g.log.Warn().Err(err).Msg("old codecs not deleted")
	}
}

// exchanged notes that a listener's links go over from an edition of a codec.
func (p *plugins) exchanged(from *loaded, e *session.Edition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from.editions = append(from.editions, e)
}

// closeUnused closes what has no links any more.
func (p *plugins) closeUnused() {
	listeners := p.g.running()
	p.retired = slices.DeleteFunc(p.retired, func(l *loaded) bool {
		used := slices.ContainsFunc(l.editions, func(e *session.Edition) bool { return e.Users() > 0 })
		for _, listener := range listeners { // one whose new codec is away goes on with the old
			used = used || listener.codec() == l
		}
		if !used {
			p.close(l)
		}
		return !used
	})
	for len(p.retired) > maxRetired {
		p.g.log.Warn().Str("codec", p.retired[0].name).Str("version", p.retired[0].version()).
			Msg("codec closed with links that still use it")
		p.close(p.retired[0])
		p.retired = p.retired[1:]
	}
}

func (p *plugins) close(l *loaded) {
	if err := l.plugin.Close(); err != nil {
		p.g.log.Warn().Str("codec", l.name).Err(err).Msg("codec not closed cleanly")
	}
}

// run looks after codecs until ctx ends.
func (p *plugins) run(ctx context.Context) {
	look := time.NewTicker(pluginsLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		p.mu.Lock()
		p.closeUnused()
		p.mu.Unlock()
		p.g.applyAgain(ctx, false)
	}
}

// end closes everything, once no link is left.
func (p *plugins) end(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range slices.Concat(p.retired, slices.Collect(maps.Values(p.inForce))) {
		p.close(l)
	}
	p.retired, p.inForce = nil, nil
	if err := p.engines.Close(ctx); err != nil {
		p.g.log.Warn().Err(err).Msg("engines not closed cleanly")
	}
}

// factory is that of a codec of the configuration; an error wraps codec.ErrUnknownCodec.
func (p *plugins) factory(set map[string]*loaded, name string) (codec.Factory, *loaded, error) {
	if l := set[name]; l != nil {
		return l.plugin.New, l, nil
	}
	registry := p.g.opts.Registry
	if !slices.Contains(registry.Names(), name) {
		known := slices.Concat(registry.Names(), slices.Sorted(maps.Keys(set)))
		return nil, nil, fmt.Errorf("%w %q, known are %v", codec.ErrUnknownCodec, name, known)
	}
	return func(options json.RawMessage) (codec.Codec, error) { return registry.New(name, options) }, nil, nil
}

// current is the set in force.
func (p *plugins) current() map[string]*loaded {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.inForce)
}

// codecState is what operators are told of a codec that is not built in.
type codecState struct {
	Kind   string `json:"kind"`
	SHA256 string `json:"sha256,omitempty"`
	Stale  bool   `json:"stale,omitempty"`
}

func (p *plugins) state() map[string]codecState {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make(map[string]codecState)
	for name, l := range p.inForce {
		s := codecState{Kind: l.config.Kind}
		if l.program != nil {
			s.SHA256, s.Stale = l.program.SHA256, l.stale
		}
		list[name] = s
	}
	return list
}

// PutCodec implements command.Codecs.
func (g *Gateway) PutCodec(ctx context.Context, part command.Part) (missing int, err error) {
	missing, err = g.plugins.library.Put(plugin.Part(part), time.Now())
	if err == nil && missing == 0 {
		g.plugins.mu.Lock()
		g.plugins.prune()
		g.plugins.mu.Unlock()
		g.applyAgain(ctx, true) // a document may have been refused for want of it
	}
	return missing, err
}

// ReloadCodecs implements command.Codecs.
func (g *Gateway) ReloadCodecs(ctx context.Context) (any, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	if g.applied == nil {
		return nil, errors.New("no configuration is applied")
	}
	if faults := g.change(ctx, g.applied, g.appliedVersion, changed); faults != nil {
		return nil, errors.New(describeFaults(faults))
	}
	return g.plugins.state(), nil
}
