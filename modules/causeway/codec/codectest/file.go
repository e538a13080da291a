package codectest

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

// script is a case file.
type script struct {
	path     string
	sections []section
	options  json.RawMessage
	udp      bool
	frame    json.RawMessage
	allocs   int // -1 where the case says nothing
	steps    []step
}

// section is a part of the file as it was written.
type section struct{ name, text string }

// step is something done to the codec, and what is expected then.
type step struct {
	before []string // comments and blank lines
	line   string   // as it was written
	input  []byte
	cmd    *command
	tick   time.Duration
	want   []string
}

// command is a line "command {json}".
type command struct {
	Correlation string          `json:"correlation"`
	Name        string          `json:"name"`
	Payload     json.RawMessage `json:"payload"`
}

// scripts reads the cases of a folder.
func scripts(dir string) ([]*script, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, fmt.Errorf("find cases: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("find cases: no *.txtar in %s", dir)
	}
	all := make([]*script, len(paths))
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read case: %w", err)
		}
		if all[i], err = parse(path, string(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

func parse(path, data string) (*script, error) {
	s := &script{path: path, sections: []section{{}}, allocs: -1}
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
			s.options = json.RawMessage(text)
		case "transport":
			if s.udp = text == "udp"; !s.udp && text != "tcp" {
				err = fmt.Errorf("transport %q, allowed are tcp, udp", text)
			}
		case "frame":
			s.frame = json.RawMessage(text)
		case "allocs":
			s.allocs, err = strconv.Atoi(text)
		case "dialogue":
			err = s.dialogue(sec.text)
		default:
			err = fmt.Errorf("section %q, known are options.json, transport, frame, allocs, dialogue", sec.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(s.steps) == 0 {
		return nil, fmt.Errorf("no dialogue")
	}
	return s, nil
}

func (s *script) dialogue(text string) error {
	var before []string
	commands := 0
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		next := step{before: before, line: line}
		var err error
		switch word {
		case "", "#":
			before = append(before, line)
			continue
		case ">":
			next.input, err = parseBytes(rest)
		case "command":
			commands++
			next.cmd = &command{Correlation: strconv.Itoa(commands)}
			err = json.Unmarshal([]byte(rest), next.cmd)
		case "tick":
			next.tick, err = time.ParseDuration(rest)
		case "@", "<", "=", "<<", "<!", "result", "close", "!":
			if len(s.steps) == 0 {
				return fmt.Errorf("line %d of the dialogue: nothing was done yet", i+1)
			}
			last := &s.steps[len(s.steps)-1]
			last.want = append(last.want, line)
			continue
		default:
			err = fmt.Errorf("begins with %q", word)
		}
		if err != nil {
			return fmt.Errorf("line %d of the dialogue, %q: %w", i+1, line, err)
		}
		s.steps, before = append(s.steps, next), nil
	}
	return nil
}

// parseBytes reads hexadecimal, with spaces, or a quoted string.
func parseBytes(text string) ([]byte, error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.Unquote(text)
		return []byte(quoted), err
	}
	return hex.DecodeString(strings.ReplaceAll(text, " ", ""))
}

// showBytes writes bytes as parseBytes reads them.
func showBytes(b []byte) string {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return hex.EncodeToString(b)
		}
	}
	return strconv.Quote(string(b))
}

// update writes what the codec did into the file, in place of what was expected.
func (s *script) update(got [][]string) error {
	var text strings.Builder
	for _, sec := range s.sections {
		if sec.name != "" {
			fmt.Fprintf(&text, "-- %s --\n", sec.name)
		}
		if sec.name != "dialogue" {
			text.WriteString(sec.text)
			continue
		}
		for i, st := range s.steps {
			for _, line := range append(append(st.before, st.line), got[i]...) {
				text.WriteString(line + "\n")
			}
		}
	}
	old, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("update case: %w", err)
	}
	if bytes.Equal(old, []byte(text.String())) {
		return nil
	}
	const readable = 0o644
	if err := os.WriteFile(s.path, []byte(text.String()), readable); err != nil {
		return fmt.Errorf("update case: %w", err)
	}
	return nil
}
