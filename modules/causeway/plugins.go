package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/internal/cli"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/kind"
)

// loader reads plugins for the prompt.
type loader struct{}

// Load implements cli.Loader: a file, kind:file, or rpc:address.
func (loader) Load(ctx context.Context, spec string) (*cli.Plugin, error) {
	which, path := kind.Cut(spec)
	engines := kind.NewEngines("")
	made, err := open(ctx, engines, which, path)
	if err != nil {
		return nil, errors.Join(err, engines.Close(ctx))
	}
	p := &cli.Plugin{New: made.New, Close: func() error {
		return errors.Join(made.Close(), engines.Close(context.WithoutCancel(ctx)))
	}}
	for _, e := range made.Examples {
		p.Examples = append(p.Examples, cli.Example(e))
	}
	return p, nil
}

func open(ctx context.Context, engines *kind.Engines, which, path string) (*kind.Plugin, error) {
	switch {
	case which == "rpc":
		settings, err := json.Marshal(map[string]any{"endpoints": strings.Split(path, ",")})
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", path, err)
		}
		return engines.Connect(ctx, which, "prompt", settings)
	case which == "exproto":
		return nil, errors.New("a handler of ExProto can be tried in a gateway only: it connects back")
	case !slices.Contains(kind.Programs(), which):
		return nil, fmt.Errorf("%q is neither a built-in codec nor a file that ends in .yaml, .json, .js or .wasm", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	if info.Size() > plugin.MaxBytes {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d are allowed",
			plugin.ErrTooLarge, path, info.Size(), plugin.MaxBytes)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w", err)
	}
	return engines.Compile(ctx, which, filepath.Base(path), program)
}
