package acme

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

//go:embed testdata/*.txtar
var cases embed.FS

// Differences plays every case of the protocol with this package's codec and with that of
// the factory, and tells where the two do not lead to the same outcome, frame by frame.
// Errors are compared by their kind, since each language words them in its own way. What
// becomes of an answer to no command is left to each. The error says that a case could
// not be played.
func Differences(factory codec.Factory) (differences []string, err error) {
	names, err := fs.Glob(cases, "testdata/*.txtar")
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	for _, name := range names {
		text, err := cases.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read case: %w", err)
		}
		script, err := dialogue.Parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		want, err := outcomes(script, New)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		got, err := outcomes(script, factory)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for i, step := range script.Steps {
			if !slices.Equal(want[i], got[i]) {
				differences = append(differences, fmt.Sprintf("%s: after %s\ngot:\n%s\nwant:\n%s",
					path.Base(name), step.Line, dialogue.Indent(got[i]), dialogue.Indent(want[i])))
			}
		}
	}
	return differences, nil
}

// outcomes are the lines that follow each step, with errors by their kind.
func outcomes(script *dialogue.Script, factory codec.Factory) ([][]string, error) {
	_, got, err := script.Check(factory)
	if err != nil {
		return nil, err
	}
	for _, lines := range got {
		for i, line := range lines {
			if rest, failed := strings.CutPrefix(line, "! "); failed {
				kind, _, _ := strings.Cut(rest, " ")
				lines[i] = "! " + kind
			}
		}
	}
	return got, nil
}
