package dialogue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Script is a case file.
type Script struct {
	// Path is where it was read, or its name.
	Path string
	// Options are those of the codec; UDP and Frame those of the listener, Frame nil
	// where the codec cuts the stream itself.
	Options json.RawMessage
	UDP     bool
	Frame   json.RawMessage
	// Allocs is the budget of the last frame, -1 where the case says nothing.
	Allocs int
	// Steps are the dialogue.
	Steps []Step

	sections []section
}

// section is a part of the file as it was written.
type section struct{ name, text string }

// Step is something done to the codec, and what is expected then.
type Step struct {
	// Line is the step as it was written.
	Line string
	// Exactly one of these says what is done: bytes from the device, a command, or
	// time that passes.
	Input   []byte
	Command *Command
	Tick    time.Duration
	// Want are the lines expected then.
	Want []string

	before []string // comments and blank lines
}

// Command is a line "command {json}".
type Command struct {
	Correlation string          `json:"correlation"`
	Name        string          `json:"name"`
	Payload     json.RawMessage `json:"payload"`
}

// Scripts reads the cases of a folder, its files *.txtar; none is an error.
func Scripts(dir string) ([]*Script, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, fmt.Errorf("find cases: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("find cases: no *.txtar in %s", dir)
	}
	all := make([]*Script, len(paths))
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read case: %w", err)
		}
		if all[i], err = Parse(path, string(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

// Parse reads a case, the text of a file. The path is kept for Update.
func Parse(path, data string) (*Script, error) {
	s := &Script{Path: path, sections: []section{{}}, Allocs: -1}
	for line := range strings.Lines(data) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		if name, ok2 := strings.CutSuffix(name, " --"); ok && ok2 {
			s.sections = append(s.sections, section{name: name})
			continue
		}
		s.sections[len(s.sections)-1].text += line
	}
	for _, sec := range s.sections[1:] {
		text := strings.TrimSpace(sec.text)
		var err error
		switch sec.name {
		case "options.json":
			s.Options = json.RawMessage(text)
		case "transport":
			if s.UDP = text == "udp"; !s.UDP && text != "tcp" {
				err = fmt.Errorf("transport %q, allowed are tcp, udp", text)
			}
		case "frame":
			s.Frame = json.RawMessage(text)
		case "allocs":
			s.Allocs, err = strconv.Atoi(text)
		case "dialogue":
			err = s.Add(sec.text)
		default:
			err = fmt.Errorf("section %q, known are options.json, transport, frame, allocs, dialogue", sec.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(s.Steps) == 0 {
		return nil, fmt.Errorf("no dialogue")
	}
	return s, nil
}

// Add appends the steps of a dialogue, the text of a section of that name.
func (s *Script) Add(text string) error {
	var before []string
	commands := 0
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		next := Step{before: before, Line: line}
		var err error
		switch word {
		case "", "#":
			before = append(before, line)
			continue
		case ">":
			next.Input, err = Bytes(rest)
		case "command":
			commands++
			next.Command = &Command{Correlation: strconv.Itoa(commands)}
			err = json.Unmarshal([]byte(rest), next.Command)
		case "tick":
			next.Tick, err = time.ParseDuration(rest)
		case "@", "<", "=", "<<", "<!", "result", "close", "!":
			if len(s.Steps) == 0 {
				return fmt.Errorf("line %d of the dialogue: nothing was done yet", i+1)
			}
			last := &s.Steps[len(s.Steps)-1]
			last.Want = append(last.Want, line)
			continue
		default:
			err = fmt.Errorf("begins with %q", word)
		}
		if err != nil {
			return fmt.Errorf("line %d of the dialogue, %q: %w", i+1, line, err)
		}
		s.Steps, before = append(s.Steps, next), nil
	}
	return nil
}

// Bytes reads hexadecimal, with spaces, or a quoted Go string.
func Bytes(text string) ([]byte, error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.Unquote(text)
		return []byte(quoted), err
	}
	return hex.DecodeString(strings.ReplaceAll(text, " ", ""))
}

// Show writes bytes as Bytes reads them.
func Show(b []byte) string {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return hex.EncodeToString(b)
		}
	}
	return strconv.Quote(string(b))
}

// Update writes what the codec did into the file, in place of what was expected.
func (s *Script) Update(got [][]string) error {
	var text strings.Builder
	for _, sec := range s.sections {
		if sec.name != "" {
			fmt.Fprintf(&text, "-- %s --\n", sec.name)
		}
		if sec.name != "dialogue" {
			text.WriteString(sec.text)
			continue
		}
		for i, st := range s.Steps {
			for _, line := range append(append(st.before, st.Line), got[i]...) {
				text.WriteString(line + "\n")
			}
		}
	}
	old, err := os.ReadFile(s.Path)
	if err != nil {
		return fmt.Errorf("update case: %w", err)
	}
	if bytes.Equal(old, []byte(text.String())) {
		return nil
	}
	const readable = 0o644
	if err := os.WriteFile(s.Path, []byte(text.String()), readable); err != nil {
		return fmt.Errorf("update case: %w", err)
	}
	return nil
}
