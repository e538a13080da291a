package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codecs"
	"github.com/causeway-iot/causeway/modules/causeway/internal/cli"
	"github.com/causeway-iot/causeway/modules/causeway/internal/gateway"
)

// The examples of docs/cli.md are what the program answers. A block marked varying is
// compared by the names in its lines only.
func TestTheExamplesOfThePromptsPageComeTrue(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	ran := 0
	for _, block := range strings.Split(string(page), "```console")[1:] {
		block, _, _ = strings.Cut(block, "\n```")
		mark, block, _ := strings.Cut(block, "\n")
		for _, example := range strings.Split("\n"+block, "\n$ causeway ")[1:] {
			ran++
			line, want, _ := strings.Cut(example, "\n")
			if got := strings.TrimSuffix(shell(t, line), "\n"); !alike(got, want, strings.TrimSpace(mark) == "varying") {
				t.Errorf("causeway %s\ngot:\n%s\nwant:\n%s", line, got, want)
			}
		}
	}
	if ran == 0 {
		t.Error("the page has no examples")
	}
}

// shell runs a command line of the page: words, quoted or not, and what the page does
// with errors and exit codes.
func shell(t *testing.T, line string) string {
	t.Helper()
	line, tells := strings.CutSuffix(line, ` || echo "exit $?"`)
	line, _ = strings.CutSuffix(line, " 2>/dev/null")
	registry, err := codecs.All()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), words(line), cli.Options{
		Registry: registry, Transform: gateway.Transform,
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	})
	if code != cli.ExitOK && !tells {
		t.Errorf("causeway %s: exit code %d, %s", line, code, &errs)
	}
	if code != cli.ExitOK && tells {
		out.WriteString("exit " + string(rune('0'+code)) + "\n")
	}
	return out.String()
}

// words splits at spaces that are not between single quotes.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

func alike(got, want string, varying bool) bool {
	if !varying {
		return got == want
	}
	names := func(text string) []string {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) != nil {
			return nil
		}
		return slices.Sorted(maps.Keys(line))
	}
	return names(got) != nil && slices.Equal(names(got), names(want))
}

func TestThePromptKnowsTheBuiltInCodecs(t *testing.T) {
	if code := prompt(t.Context(), []string{"identify", "-format", "hex", "000F333536333037303432343431303133"}); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}
