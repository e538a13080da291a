package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// Loader reads codecs that are not built in.
type Loader interface {
	// Load reads the plugin that the spec names: a path, whose ending tells the kind, or
	// kind:path. The error says what is wrong with it, and wraps codec.ErrUnknownCodec
	// where the spec names none.
	Load(ctx context.Context, spec string) (*Plugin, error)
}

// Plugin is a codec that was loaded.
type Plugin struct {
	// New is its factory.
	New codec.Factory
	// Examples are the cases that it carries.
	Examples []Example
	// Close frees what it holds; nil for nothing. No codec of New is used after it.
	Close func() error
}

// Example is a case that a plugin carries, in the form of package codectest.
type Example struct {
	// Name is for people.
	Name string
	// Text is that of a txtar file.
	Text string
}

// source is the part of a command line that names a codec and how it gets frames.
type source struct {
	spec, options, frame, transport, device, stages string

	given map[string]bool // flags that were set
}

// sourceFlags declares the flags; the set's values count after parse.
func sourceFlags(f *flag.FlagSet) *source {
	s := &source{}
	f.StringVar(&s.spec, "codec", "", "`name` of a built-in codec, a plugin's file, or kind:file")
	f.StringVar(&s.options, "options", "", "the codec's options, a `JSON` object")
	f.StringVar(&s.frame, "frame", "", "the framing, a `JSON` object as in the configuration")
	f.StringVar(&s.stages, "transform", "", "the transformations, a `JSON` object as in the configuration")
	f.StringVar(&s.transport, "transport", "tcp", "`tcp`, tls or udp: with udp each input is a datagram")
	f.StringVar(&s.device, "device", "", "`id` of the device, for frames behind a login that is not given")
	return s
}

// noted remembers which flags were set, for a case file must not override them.
func (s *source) noted(f *flag.FlagSet) {
	s.given = map[string]bool{}
	f.Visit(func(one *flag.Flag) { s.given[one.Name] = true })
}

// plugin finds the codec's factory and examples.
func (c *call) plugin(spec string) (*Plugin, error) {
	switch {
	case spec == "":
		return nil, usagef("-codec is missing, built in are %v", c.opts.Registry.Names())
	case slices.Contains(c.opts.Registry.Names(), spec):
		return &Plugin{New: func(options json.RawMessage) (codec.Codec, error) {
			return c.opts.Registry.New(spec, options)
		}}, nil
	case c.opts.Loader == nil:
		return nil, usagef("unknown codec %q, built in are %v", spec, c.opts.Registry.Names())
	}
	p, err := c.opts.Loader.Load(c.ctx, spec)
	if errors.Is(err, codec.ErrUnknownCodec) {
		return nil, usagef("%v, built in are %v", err, c.opts.Registry.Names())
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", spec, err)
	}
	return p, nil
}

// close frees a plugin and keeps the first error.
func (p *Plugin) close(err *error) {
	if p.Close != nil {
		*err = errors.Join(*err, p.Close())
	}
}

// made makes the codec with the options of the command line, and its stages around it.
func (c *call) made(p *Plugin, s *source) (codec.Codec, error) {
	made, err := p.New(json.RawMessage(s.options))
	if _, ok := errors.AsType[*codec.OptionError](err); ok {
		return nil, usagef("-options: %v", err)
	}
	if err != nil || s.stages == "" {
		return made, err
	}
	if c.opts.Transform == nil {
		return nil, usagef("-transform is not supported here")
	}
	around, err := c.opts.Transform(json.RawMessage(s.stages), made)
	if _, ok := errors.AsType[*codec.OptionError](err); ok {
		return nil, usagef("-transform: %v", err)
	}
	return around, err
}

// setting is how the codec gets its frames.
func (s *source) setting() dialogue.Setting {
	setting := dialogue.Setting{Transport: s.transport, Device: s.device}
	if s.frame != "" {
		setting.Frame = json.RawMessage(s.frame)
	}
	return setting
}

// usageOf makes a usage error of a fault of an option.
func usageOf(err error) error {
	if fault, ok := errors.AsType[*codec.OptionError](err); ok {
		return usagef("%v", fault)
	}
	return err
}
