package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter"
)

// Engine compiles modules. It is safe for concurrent use.
type Engine struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache
}

// NewEngine makes an engine. The machine code of modules is kept in the folder
// cacheDir, which is made where it is missing and must not be writable for others;
// empty means in memory. On processors without a compiler modules are interpreted.
func NewEngine(ctx context.Context, cacheDir string) (*Engine, error) {
	return newEngine(ctx, cacheDir, wazero.NewRuntimeConfig())
}

func newEngine(ctx context.Context, cacheDir string, config wazero.RuntimeConfig) (*Engine, error) {
	cache := wazero.NewCompilationCache()
	if cacheDir != "" {
		var err error
		if cache, err = wazero.NewCompilationCacheWithDir(cacheDir); err != nil {
			return nil, fmt.Errorf("open the cache of compiled modules %s: %w", cacheDir, err)
		}
	}
	config = config.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithCompilationCache(cache).
		WithDebugInfoEnabled(false)
	e := &Engine{runtime: wazero.NewRuntimeWithConfig(ctx, config), cache: cache}
	if err := e.addWASI(ctx); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

// Close ends all instances of all programs. No call of a dialogue may be running.
func (e *Engine) Close(ctx context.Context) error {
	return errors.Join(e.runtime.Close(ctx), e.cache.Close(ctx))
}

// Compile checks a module, compiles it and starts it once to ask for its interface
// and its examples. The name is for errors only. Errors wrap ErrModule when the module is at fault.
func (e *Engine) Compile(ctx context.Context, name string, module []byte, limits Limits) (*Program, error) {
	p, err := e.compile(ctx, name, module, limits.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("wasm module %s: %w", name, err)
	}
	return p, nil
}

func (e *Engine) compile(ctx context.Context, name string, code []byte, limits Limits) (*Program, error) {
	metered, err := meter.Rewrite(code, meter.Limits{
		Fuel: limits.StartFuel, Stack: limits.StackBytes, MemoryBytes: limits.MemoryBytes, Import: offered,
	}, sectionExamples)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	compiled, err := e.runtime.CompileModule(ctx, metered.Code)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	p := &Program{name: name, limits: limits, engine: e, compiled: compiled, codecs: map[*links]bool{}}
	for _, s := range metered.Sections {
		p.examples = append(p.examples, Example{Name: s.Name, Text: string(s.Data)})
	}
	if err := p.ask(ctx); err != nil {
		return nil, errors.Join(err, compiled.Close(ctx))
	}
	return p, nil
}
