package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// ErrClosed is returned for links that begin after Program.Close.
var ErrClosed = errors.New("the plugin was taken out of service")

// Program is a module that was compiled. It is safe for concurrent use.
type Program struct {
	name     string
	limits   Limits
	engine   *Engine
	compiled wazero.CompiledModule
	shared   bool
	has      map[string]bool // exported functions
	examples []Example
	closed   atomic.Bool

	mu     sync.Mutex
	codecs map[*links]bool // that were made and are not forgotten
}

// Example is a dialogue that the module brings along: a case file of codectest.
type Example struct{ Name, Text string }

// maxExamples bounds what a module brings along.
const maxExamples = 256

// ask starts an instance and asks what it is.
func (p *Program) ask(ctx context.Context) error {
	var err error
	if p.has, err = checkExports(p.compiled); err != nil {
		return err
	}
	i, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	defer i.close()
	flags, err := i.flags()
	if err != nil {
		return err
	}
	p.shared = flags&flagShared != 0
	if !p.has[fnExamples] {
		return nil
	}
	if p.examples, err = i.examples(p.examples); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrModule, fnExamples, err)
	}
	return nil
}

// Examples are the dialogues that the module brings along, possibly none.
func (p *Program) Examples() []Example { return p.examples }

// Close takes the program out of service: no link begins any more, with ErrClosed.
// Links that have begun go on, and their instances are freed when they end.
func (p *Program) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	p.mu.Lock()
	codecs := slices.Collect(maps.Keys(p.codecs))
	p.mu.Unlock()
	for _, c := range codecs {
		c.retire()
	}
	return p.compiled.Close(context.Background())
}

// New makes a codec; it is a codec.Factory. The module judges the options in
// codec_configure; one that does not export it takes none.
func (p *Program) New(options json.RawMessage) (codec.Codec, error) {
	if options = bytes.TrimSpace(options); string(options) == "null" {
		options = nil
	}
	if !p.has[fnConfigure] {
		if err := codec.DecodeOptions(options, &struct{}{}); err != nil {
			return nil, codec.Optionf("", "the plugin %s takes no options: %v", p.name, err)
		}
		options = nil
	} else if len(options) == 0 {
		options = json.RawMessage(`{}`)
	}
	c := &links{program: p, options: options, most: p.limits.instances(p.shared)}
	i, err := c.start()
	if err != nil {
		return nil, err
	}
	flags, err := i.flags() // with options, a codec may cut the stream or not
	if err != nil {
		i.close()
		return nil, err
	}
	c.spare = i
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codecs[c] = true
	return codecOf(c, p.has[fnSplit] && flags&flagNoSplit == 0), nil
}

func (p *Program) forget(c *links) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.codecs, c)
}

// optionError gives what codec_configure said to the place that it named with a
// JSON pointer in front ("/limit: got 0, want 1 or more").
func optionError(text string) error {
	if pointer, reason, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(pointer, "/") {
		return codec.Optionf(pointer, "%s", reason)
	}
	return codec.Optionf("", "%s", text)
}
