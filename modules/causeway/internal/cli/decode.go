package cli

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// prepared is a codec and what is to be done to it.
type prepared struct {
	*source
	plugin  *Plugin
	codec   codec.Codec
	setting dialogue.Setting
	input   *input
}

// prepare parses the flags that source has declared, loads the codec and reads the
// inputs; without needing any where optional. The plugin has to be closed.
func (c *call) prepare(s *source, format *string, optional bool) (*prepared, error) {
	if err := c.parse(); err != nil {
		return nil, err
	}
	s.noted(c.flags)
	p := &prepared{source: s, input: &input{}}
	var err error
	if !optional || len(c.args) > 0 {
		if p.input, err = c.inputs(*format); err != nil {
			return nil, err
		}
	}
	s.merge(p.input)
	if p.plugin, err = c.plugin(s.spec); err != nil {
		return nil, err
	}
	if p.codec, err = c.made(p.plugin, s); err != nil {
		p.plugin.close(&err)
		return nil, err
	}
	p.setting = s.setting()
	p.input.lines(p.codec, p.setting)
	return p, nil
}

func decode(c *call) (err error) {
	s := sourceFlags(c.flags)
	format := c.flags.String("format", "auto", formatUsage)
	asCase := c.flags.Bool("dialogue", false, "write a dialogue, as in case files, instead of JSON")
	p, err := c.prepare(s, format, false)
	if err != nil {
		return err
	}
	defer p.plugin.close(&err)
	if *asCase {
		return c.dialogue(p)
	}
	report, err := dialogue.Decode(p.codec, p.setting, p.input.steps,
		func(n int, _ []byte, out *codec.Outcome, failure error) {
			for _, e := range dialogue.Entries(n, out, failure) {
				err = errors.Join(err, c.put(e))
			}
		})
	if err == nil && !report.Good() {
		return errFailed
	}
	return usageOf(err)
}

// dialogue writes the steps, and what came of each.
func (c *call) dialogue(p *prepared) (err error) {
	defer dialogue.Recovered(&err)
	l, err := p.setting.Begin(p.codec)
	if err != nil {
		return usageOf(err)
	}
	defer l.Close()
	failed := false
	for i := range p.input.steps {
		step := &p.input.steps[i]
		line := step.Line
		if line == "" {
			line = "> " + dialogue.Show(step.Input)
		}
		for _, text := range append([]string{line}, l.Do(step)...) {
			failed = failed || text[0] == '!'
			fmt.Fprintln(c.opts.Stdout, text)
		}
	}
	if failed || l.Rest() > 0 {
		return errFailed
	}
	return nil
}

func encode(c *call) (err error) {
	s := sourceFlags(c.flags)
	format := c.flags.String("format", "auto", formatUsage)
	name := c.flags.String("command", "", "`name` of the command, in the codec's own vocabulary")
	payload := c.flags.String("payload", "", "its payload, any `JSON` value")
	raw := c.flags.Bool("raw", false, "write the bytes themselves")
	p, err := c.prepare(s, format, true)
	if err != nil {
		return err
	}
	defer p.plugin.close(&err)
	if *name == "" {
		return usagef("-command is missing")
	}
	if *payload != "" && !json.Valid([]byte(*payload)) {
		return usagef("-payload is not JSON: %.60s", *payload)
	}
	defer dialogue.Recovered(&err)
	l, err := p.setting.Begin(p.codec)
	if err != nil {
		return usageOf(err)
	}
	defer l.Close()
	for i := range p.input.steps { // a login, for codecs that want one
		l.Do(&p.input.steps[i])
	}
	if l.Dead() {
		return errors.New("the link has ended before the command")
	}
	commander, ok := l.Dialogue.(codec.Commander)
	if !ok {
		return fmt.Errorf("the codec has no commands: %w", codec.ErrUnknownCommand)
	}
	l.Out.Reset()
	err = commander.Command(codec.Command{Correlation: "1", Name: *name, Payload: json.RawMessage(*payload)}, &l.Out)
	if err != nil {
		return err
	}
	if l.Out.Reply, err = wrapped(p.setting, l.Out.Reply); err != nil {
		return err
	}
	if *raw {
		_, err = c.opts.Stdout.Write(l.Out.Reply)
		return err
	}
	for _, e := range dialogue.Entries(0, &l.Out, nil) {
		if err := c.put(e); err != nil {
			return err
		}
	}
	return nil
}

// wrapped is what a listener with that framing sends.
func wrapped(s dialogue.Setting, b []byte) ([]byte, error) {
	if s.Frame == nil || len(b) == 0 {
		return b, nil
	}
	f, err := frame.Parse(s.Frame, dialogue.FrameLimit)
	if err != nil {
		return nil, usagef("-frame: %v", err)
	}
	return f.Append(nil, b)
}

// cut is a frame, or what is none.
type cut struct {
	Frame int     `json:"frame,omitempty"`
	Bytes int     `json:"bytes"`
	Hex   string  `json:"hex,omitempty"`
	Text  *string `json:"text,omitempty"`
	Error string  `json:"error,omitempty"`
}

func frames(c *call) (err error) {
	s := sourceFlags(c.flags)
	format := c.flags.String("format", "auto", formatUsage)
	wrap := c.flags.Bool("wrap", false, "wrap each input as a frame, the way back")
	if err := c.parse(); err != nil {
		return err
	}
	s.noted(c.flags)
	in, err := c.inputs(*format)
	if err != nil {
		return err
	}
	s.merge(in)
	if s.frame == "" && (s.spec == "" || *wrap) {
		return usagef("-frame is missing, for example -frame '{\"type\":\"line\"}'; or -codec, of a codec that cuts itself")
	}
	if *wrap {
		return c.wrap(s.setting(), in)
	}
	split := codec.Codec(codec.Func(func(codec.Frame, *codec.Outcome) error { return nil }))
	if s.frame == "" {
		p, err := c.plugin(s.spec)
		if err != nil {
			return err
		}
		defer p.close(&err)
		if split, err = c.made(p, s); err != nil {
			return err
		}
		if !dialogue.Cuts(split) {
			return usagef("codec %s does not cut a stream, so -frame is needed", s.spec)
		}
		split = uncoded{split}
	}
	report, err := dialogue.Decode(split, s.setting(), in.steps, func(n int, f []byte, _ *codec.Outcome, failure error) {
		one := cut{Frame: n, Bytes: len(f), Hex: hex.EncodeToString(f), Text: dialogue.Printable(f)}
		if failure != nil {
			one = cut{Error: failure.Error()}
		}
		err = errors.Join(err, c.put(one))
	})
	if err == nil && !report.Good() {
		return errFailed
	}
	return usageOf(err)
}

// wrap writes the inputs as frames.
func (c *call) wrap(s dialogue.Setting, in *input) error {
	for _, step := range in.steps {
		b, err := wrapped(s, step.Input)
		if err != nil {
			return err
		}
		if err := c.put(cut{Bytes: len(b), Hex: hex.EncodeToString(b), Text: dialogue.Printable(b)}); err != nil {
			return err
		}
	}
	return nil
}

// uncoded is a codec of which only the framing is used.
type uncoded struct{ codec.Codec }

// Begin implements codec.Codec.
func (u uncoded) Begin(p codec.Peer) (codec.Dialogue, error) {
	d, err := u.Codec.Begin(p)
	if err != nil {
		return nil, err
	}
	framer, ok := d.(codec.Framer)
	if !ok {
		return nil, dialogue.ErrNoFraming
	}
	return struct {
		codec.Func
		codec.Framer
	}{func(codec.Frame, *codec.Outcome) error { return nil }, framer}, nil
}
