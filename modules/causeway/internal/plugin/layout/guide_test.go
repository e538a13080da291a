package layout

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

// block is a fenced block of a page: its words behind the fence, and its text.
type block struct {
	marks, text string
	line        int
}

func blocks(page string) []block {
	var all []block
	open := false
	for i, line := range strings.Split(page, "\n") {
		marks, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			all, open = append(all, block{marks: marks, line: i + 1}), true
		case fence:
			open = false
		case open:
			all[len(all)-1].text += line + "\n"
		}
	}
	return all
}

// TestTheGuideIsTrue runs every block of the guide: a layout is compiled and its
// examples are run, a dialogue comes true with the layout before it, a layout marked
// wrong has the error that follows, and a list of fields compiles.
func TestTheGuideIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../../../../docs/codecs/layout.md")
	if err != nil {
		t.Fatal(err)
	}
	var last *Program
	var wrong error
	ran := map[string]int{}
	for _, b := range blocks(string(page)) {
		ran[b.marks]++
		t.Run("line "+strconv.Itoa(b.line), func(t *testing.T) {
			switch {
			case b.marks == "yaml" && strings.HasPrefix(b.text, "layout:"):
				if last, err = Compile("thermolog", []byte(b.text)); err != nil {
					t.Fatal(err)
				}
				runExamples(t, last)
			case b.marks == "yaml":
				text := "layout: 1\nmessages:\n  a:\n    fields:\n      " + strings.ReplaceAll(b.text, "\n", "\n      ")
				if _, err := Compile("fields", []byte(text)); err != nil {
					t.Errorf("%v in\n%s", err, text)
				}
			case b.marks == "yaml wrong":
				if _, wrong = Compile("thermolog", []byte(b.text)); wrong == nil {
					t.Error("it compiles")
				}
			case b.marks == "text":
				if wrong == nil || wrong.Error() != strings.TrimSpace(b.text) {
					t.Errorf("the error is\n%v", wrong)
				}
			case b.marks == "dialogue":
				if last == nil {
					t.Fatal("no layout before it")
				}
				runCases(t, last, []Example{{Name: "guide", Text: "-- dialogue --\n" + b.text}})
			default:
				t.Errorf("a block marked %q is not run", b.marks)
			}
		})
	}
	if ran["yaml"] < 9 || ran["dialogue"] < 2 || ran["yaml wrong"] < 1 {
		t.Errorf("ran %v", ran)
	}
}

// runExamples runs the examples that a layout carries.
func runExamples(t *testing.T, p *Program) {
	t.Helper()
	if all := p.Examples(); len(all) > 0 {
		runCases(t, p, all)
	}
}

func runCases(t *testing.T, p *Program, all []Example) {
	t.Helper()
	dir := t.TempDir()
	for _, e := range all {
		if err := os.WriteFile(filepath.Join(dir, e.Name+".txtar"), []byte(e.Text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	codectest.Run(t, p.New, dir)
}
