package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
	"github.com/causeway-iot/causeway/modules/causeway/internal/identify"
)

// field is one named byte range, for programs.
type field struct {
	Frame  int    `json:"frame"`
	Offset int    `json:"offset"`
	Bytes  int    `json:"bytes"`
	Hex    string `json:"hex"`
	Name   string `json:"name,omitempty"`
	Value  string `json:"value,omitempty"`
}

func explain(c *call) (err error) {
	s := sourceFlags(c.flags)
	format := c.flags.String("format", "auto", formatUsage)
	asJSON := c.flags.Bool("json", false, "write JSON lines instead of a table")
	p, err := c.prepare(s, format, false)
	if err != nil {
		return err
	}
	defer p.plugin.close(&err)
	explained := 0
	show := func(n int, f []byte, e codec.Explainer, failure error) error {
		fields := e.Explain(f)
		explained += len(fields)
		if *asJSON {
			return c.fields(n, f, fields)
		}
		c.table(n, f, fields, failure)
		return nil
	}
	l, err := p.setting.Begin(p.codec)
	if err != nil {
		return usageOf(err)
	}
	defer l.Close()
	explainer, ok := l.Dialogue.(codec.Explainer)
	if !ok {
		return fmt.Errorf("codec %s names no parts of its frames (it is no codec.Explainer)", s.spec)
	}
	report, err := dialogue.Decode(p.codec, p.setting, p.input.steps,
		func(n int, f []byte, _ *codec.Outcome, failure error) {
			if f == nil && failure != nil {
				fmt.Fprintf(c.opts.Stderr, "causeway: explain: %v\n", failure)
			}
			if f != nil {
				err = errors.Join(err, show(n, f, explainer, failure))
			}
		})
	if err == nil && (explained == 0 || report.Rest > 0) {
		return errFailed
	}
	return usageOf(err)
}

// fields writes the ranges of a frame, those that have no name as well.
func (c *call) fields(n int, f []byte, fields []codec.Field) error {
	for _, one := range complete(f, fields) {
		err := c.put(field{
			Frame: n, Offset: one.Offset, Bytes: one.Len, Hex: hex.EncodeToString(f[one.Offset : one.Offset+one.Len]),
			Name: one.Name, Value: one.Value,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// complete puts the ranges that have no name between those that have one. Fields that
// overlap stay as they are.
func complete(f []byte, fields []codec.Field) []codec.Field {
	var all []codec.Field
	at := 0
	for _, one := range fields {
		if one.Len < 0 || one.Offset < 0 || one.Offset+one.Len > len(f) {
			continue
		}
		if one.Offset > at {
			all = append(all, codec.Field{Offset: at, Len: one.Offset - at})
		}
		all = append(all, one)
		at = max(at, one.Offset+one.Len)
	}
	if at < len(f) {
		all = append(all, codec.Field{Offset: at, Len: len(f) - at})
	}
	return all
}

// Colours, one after the other so that neighbours differ; ANSI.
const (
	plain = "\x1b[0m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
)

func colors() []string {
	return []string{"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m"}
}

// table writes the ranges of a frame for people: offset, bytes, name, value.
func (c *call) table(n int, f []byte, fields []codec.Field, failure error) {
	paint := func(color, text string) string {
		if !c.opts.Color {
			return text
		}
		return color + text + plain
	}
	all := complete(f, fields)
	width := 0
	for _, one := range all {
		width = max(width, len(one.Name))
	}
	fmt.Fprintf(c.opts.Stdout, "frame %d, %d bytes\n", n, len(f))
	for i, one := range all {
		color := colors()[i%len(colors())]
		if one.Name == "" {
			color, one.Name = dim, "-"
		}
		for j, part := range rows(f[one.Offset : one.Offset+one.Len]) {
			if j > 0 {
				one.Name, one.Value = "", ""
			}
			line := fmt.Sprintf("%5d  %s  %s  %s", one.Offset+j*perRow, paint(color, fmt.Sprintf("%-*s", 3*perRow-1, part)),
				paint(color, fmt.Sprintf("%-*s", width, one.Name)), visible(one.Value))
			fmt.Fprintln(c.opts.Stdout, strings.TrimRight(line, " "))
		}
	}
	if failure != nil {
		fmt.Fprintln(c.opts.Stdout, paint(red, "! "+failure.Error()))
	}
}

// perRow bounds the bytes of a line of the table.
const perRow = 8

func rows(b []byte) []string {
	var list []string
	for from := 0; from < len(b); from += perRow {
		list = append(list, fmt.Sprintf("% x", b[from:min(from+perRow, len(b))]))
	}
	return list
}

// visible shows what a device sent without letting it control the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '.'
		}
		return r
	}, text)
}

func guess(c *call) error {
	format := c.flags.String("format", "auto", formatUsage)
	if err := c.parse(); err != nil {
		return err
	}
	in, err := c.inputs(*format)
	if err != nil {
		return err
	}
	var data []byte
	for _, step := range in.steps {
		data = append(data, step.Input...)
	}
	sure := false
	for _, g := range identify.Of(c.opts.Registry, data) {
		const likely = 50
		sure = sure || g.Confidence >= likely
		if err := c.put(g); err != nil {
			return err
		}
	}
	if !sure {
		return errFailed
	}
	return nil
}
