// Package kind makes codecs of plugins: of a program that one of the engines runs
// (layout, js, wasm), or of a process at the other end of a connection (rpc,
// exproto). It is the one place that knows them all.
package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/js"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/layout"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm"
)

var (
	// ErrUnknown: there is no such kind.
	ErrUnknown = errors.New("unknown kind")
	// ErrExample: an example that the plugin carries does not come true.
	ErrExample = errors.New("example does not come true")
)

// Programs are the kinds that have a program, Processes those that have settings.
func Programs() []string { return []string{"layout", "js", "wasm"} }

// Processes are the kinds that have settings.
func Processes() []string { return []string{"rpc", "exproto"} }

// Example is a case that a plugin carries, in the form of package codectest.
type Example struct{ Name, Text string }

// Plugin is a codec that is not built in.
type Plugin struct {
	// New is its factory.
	New codec.Factory
	// Examples are the cases that it carries.
	Examples []Example
	close    func() error
}

// Close takes the plugin out of service: no link begins with it any more. Dialogues
// that have begun are closed by their links, before it or after.
func (p *Plugin) Close() error { return p.close() }

// Check plays the examples. The error wraps ErrExample and tells the first step that
// does not come true, or says why an example cannot be played.
func (p *Plugin) Check() error {
	for _, e := range p.Examples {
		failures, err := dialogue.Play(p.New, e.Name, []byte(e.Text))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrExample, err)
		}
		if len(failures) > 0 {
			return fmt.Errorf("%w: %s: %s", ErrExample, e.Name, failures[0])
		}
	}
	return nil
}

// Engines run programs. It is safe for concurrent use.
type Engines struct {
	cacheDir string

	mu   sync.Mutex
	wasm *wasm.Engine // nil until there is a module
}

// NewEngines returns engines that keep what they compile in a directory of their own,
// which must not be writable for others; empty means in memory.
func NewEngines(cacheDir string) *Engines { return &Engines{cacheDir: cacheDir} }

// Close ends the engines, once no dialogue is in use.
func (e *Engines) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.wasm == nil {
		return nil
	}
	err := e.wasm.Close(ctx)
	e.wasm = nil
	return err
}

// Compile makes a plugin of a program. The name is for errors. The error says what is
// wrong with the program, with a place where the engine knows one, or wraps ErrUnknown.
func (e *Engines) Compile(ctx context.Context, kind, name string, program []byte) (*Plugin, error) {
	switch kind {
	case "layout":
		p, err := layout.Compile(name, program)
		if err != nil {
			return nil, err
		}
		return plugin(p.New, p.Close, p.Examples()), nil
	case "js":
		p, err := js.Compile(name, program, js.Limits{})
		if err != nil {
			return nil, err
		}
		return plugin(p.New, p.Close, p.Examples()), nil
	case "wasm":
		engine, err := e.engine(ctx)
		if err != nil {
			return nil, err
		}
		p, err := engine.Compile(ctx, name, program, wasm.Limits{})
		if err != nil {
			return nil, err
		}
		return plugin(p.New, p.Close, p.Examples()), nil
	default:
		return nil, fmt.Errorf("%w %q, those with a program are %v", ErrUnknown, kind, Programs())
	}
}

// plugin is one of an engine, whose examples have a type of the engine's own.
func plugin[E ~struct{ Name, Text string }](factory codec.Factory, end func() error, examples []E) *Plugin {
	p := &Plugin{New: factory, close: end}
	for _, e := range examples {
		p.Examples = append(p.Examples, Example(e))
	}
	return p
}

// engine is that of WebAssembly, which is started with the first module. Where nothing
// can be kept on disk, modules are compiled anew at each start.
func (e *Engines) engine(ctx context.Context) (*wasm.Engine, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.wasm != nil {
		return e.wasm, nil
	}
	engine, err := wasm.NewEngine(context.WithoutCancel(ctx), e.cacheDir)
	if err != nil {
		if engine, err = wasm.NewEngine(context.WithoutCancel(ctx), ""); err != nil {
			return nil, err
		}
	}
	e.wasm = engine
	return engine, nil
}

// Connect makes a plugin of a process. A process that is away is no error: its codec
// cannot begin then. Errors are *codec.OptionError for settings, wrap ErrUnknown, or say
// why nothing can be reached or listened at.
func (e *Engines) Connect(ctx context.Context, kind, name string, settings json.RawMessage) (*Plugin, error) {
	switch kind {
	case "rpc":
		config, err := rpc.ParseConfig(settings)
		if err != nil {
			return nil, err
		}
		config.Framing = func(spec json.RawMessage) (rpc.Cutter, error) { return frame.Parse(spec, frame.MaxLimit) }
		c, err := rpc.Dial(ctx, name, config)
		if err != nil {
			return nil, err
		}
		return &Plugin{New: c.New, close: c.Close}, nil
	case "exproto":
		config, err := exproto.ParseConfig(settings)
		if err != nil {
			return nil, err
		}
		a, err := exproto.Listen(ctx, name, config)
		if err != nil {
			return nil, err
		}
		return &Plugin{New: a.New, close: a.Close}, nil
	default:
		return nil, fmt.Errorf("%w %q, those with settings are %v", ErrUnknown, kind, Processes())
	}
}

// Guess is the kind of a program by the ending of its file's name; empty for none.
func Guess(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return "layout"
	case ".js":
		return "js"
	case ".wasm":
		return "wasm"
	default:
		return ""
	}
}

// Cut parts "kind:rest", where the kind is one that is known; otherwise the kind is
// guessed by the ending.
func Cut(spec string) (kind, rest string) {
	before, after, found := strings.Cut(spec, ":")
	if found && slices.Contains(slices.Concat(Programs(), Processes()), before) {
		return before, after
	}
	return Guess(spec), spec
}
