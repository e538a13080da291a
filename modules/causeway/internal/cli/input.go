package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// maxInput bounds what is read of one file: a day's capture of a busy port.
const maxInput = 64 << 20

// input is what is to be done to a codec, as it was given.
type input struct {
	steps []dialogue.Step
	// text: the steps are what a file of text holds, in one piece.
	text bool
	// script is the case file that it was, with options and framing of its own.
	script *dialogue.Script
}

const formatUsage = "`format` of the inputs: auto, hex, base64, text (as it is), capture (lines of \"> bytes\")"

// inputs reads the arguments: bytes in hexadecimal, base64 or a quoted string, @file,
// - for standard input. No argument means standard input.
func (c *call) inputs(format string) (*input, error) {
	switch format {
	case "auto", "hex", "base64", "text", "capture":
	default:
		return nil, usagef("-format is %q, allowed are auto, hex, base64, text, capture", format)
	}
	if len(c.args) == 0 {
		c.args = []string{"-"}
	}
	all := &input{}
	for _, arg := range c.args {
		next, err := c.input(arg, format)
		if err != nil {
			return nil, err
		}
		if next.script != nil && len(c.args) > 1 {
			return nil, usagef("%s is a case file, which goes alone", arg)
		}
		all.steps = append(all.steps, next.steps...)
		all.text = all.text || next.text
		all.script = next.script
	}
	if len(all.steps) == 0 {
		return nil, usagef("the input is empty")
	}
	return all, nil
}

func (c *call) input(arg, format string) (*input, error) {
	path, isFile := strings.CutPrefix(arg, "@")
	switch {
	case arg == "-":
		return c.content("standard input", c.opts.Stdin, format)
	case isFile:
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		defer f.Close()
		return c.content(path, f, format)
	case format == "text":
		return &input{steps: dialogue.Pieces([]byte(arg))}, nil
	case format == "capture":
		return capture("argument", arg)
	}
	b, err := parseBytes(arg, format)
	if err != nil {
		return nil, usagef("input %.60q: %v", arg, err)
	}
	return &input{steps: dialogue.Pieces(b)}, nil
}

// content reads a file or standard input.
func (c *call) content(name string, r io.Reader, format string) (*input, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("%s has more than %d MiB, cut it into parts", name, maxInput>>20)
	}
	if len(data) == 0 {
		return &input{}, nil
	}
	if format == "auto" {
		format = detect(data)
	}
	switch format {
	case "capture":
		return capture(name, string(data))
	case "text":
		return &input{steps: dialogue.Pieces(data), text: utf8.Valid(data)}, nil
	}
	all := &input{}
	n := 0
	for line := range strings.Lines(string(data)) {
		if n++; strings.TrimSpace(line) == "" {
			continue
		}
		b, err := parseBytes(strings.TrimSpace(line), format)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, n, err)
		}
		all.steps = append(all.steps, dialogue.Step{Input: b})
	}
	return all, nil
}

// detect tells the form of a file: a capture, lines of hexadecimal, or bytes as they
// are.
func detect(data []byte) string {
	digits, other := false, false
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case bytes.HasPrefix(line, []byte("> ")), bytes.Equal(line, []byte("-- dialogue --")):
			if utf8.Valid(data) {
				return "capture"
			}
			return "text"
		default:
			_, err := parseHex(string(line))
			digits, other = digits || err == nil, other || err != nil
		}
	}
	if digits && !other {
		return "hex"
	}
	return "text"
}

// capture reads a case file, or the lines of a dialogue alone.
func capture(name, text string) (*input, error) {
	if strings.Contains("\n"+text, "\n-- dialogue --") {
		s, err := dialogue.Parse(name, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return &input{steps: s.Steps, script: s}, nil
	}
	s := &dialogue.Script{}
	if err := s.Add(text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &input{steps: s.Steps}, nil
}

// parseBytes reads an argument or a line.
func parseBytes(text, format string) ([]byte, error) {
	switch {
	case format == "base64":
		return base64.StdEncoding.DecodeString(text)
	case format == "hex":
		return parseHex(text)
	case strings.HasPrefix(text, `"`):
		quoted, err := strconv.Unquote(text)
		return []byte(quoted), err
	}
	b, err := parseHex(text)
	if err == nil {
		return b, nil
	}
	if b, err64 := base64.StdEncoding.DecodeString(text); err64 == nil && len(b) > 0 {
		return b, nil
	}
	return nil, fmt.Errorf("neither hexadecimal, nor base64, nor a quoted string, nor @file (%w)", err)
}

// parseHex reads hexadecimal as people paste it: with spaces, colons, commas, dashes
// and 0x.
func parseHex(text string) ([]byte, error) {
	text = strings.NewReplacer("0x", "", "0X", "", " ", "", ":", "", ",", "", "-", "", "\t", "").Replace(text)
	return hex.DecodeString(text)
}

// merge takes options, framing and transport of a case file where the command line
// does not say them.
func (s *source) merge(in *input) {
	if in.script == nil {
		return
	}
	if !s.given["options"] {
		s.options = string(in.script.Options)
	}
	if !s.given["frame"] {
		s.frame = string(in.script.Frame)
	}
	if !s.given["transport"] {
		s.transport = in.script.Transport()
	}
}

// lines cuts text into lines where nothing else cuts it, as a listener does.
func (in *input) lines(c codec.Codec, s dialogue.Setting) {
	if !in.text || s.Frame != nil || dialogue.Cuts(c) {
		return
	}
	var steps []dialogue.Step
	for _, step := range in.steps {
		for line := range bytes.Lines(step.Input) {
			if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
				steps = append(steps, dialogue.Step{Input: line})
			}
		}
	}
	in.steps = steps
}
