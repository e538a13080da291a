package js

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

const guide = "../../../../../docs/codecs/js.md"

// block is a fenced block of the guide.
type block struct{ kind, text string }

func blocks(t *testing.T) []block {
	t.Helper()
	page, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	var list []block
	for i, part := range strings.Split("\n"+string(page), "\n```") {
		if kind, text, _ := strings.Cut(part, "\n"); i%2 == 1 {
			list = append(list, block{kind, text + "\n"})
		}
	}
	return list
}

// play runs a case file that is not on disk yet.
func play(t *testing.T, p *Program, name, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	codectest.Run(t, p.New, dir)
}

func TestTheGuideComesTrue(t *testing.T) {
	var script *Program
	scripts, cases := 0, 0
	for i, b := range blocks(t) {
		switch b.kind {
		case "js":
			p, err := Compile("guide.js", []byte(b.text), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			script = p
			scripts++
			for j, e := range p.Examples() {
				play(t, p, fmt.Sprintf("%d_example_%d", i, j), e.Text)
			}
		case "txtar":
			play(t, script, fmt.Sprint(i), b.text)
			cases++
		case "js helpers":
			for line := range strings.Lines(strings.TrimSpace(b.text)) {
				expression, want, _ := strings.Cut(strings.TrimSpace(line), " // ")
				c := codecOf(t, "function Decoder() { return { v: "+expression+" }; }", Limits{})
				out := &codec.Outcome{}
				if err := begin(t, c).Receive(codec.Frame{}, out); err != nil {
					t.Errorf("%s: %v", expression, err)
				} else if got := string(out.Messages[0].Body); got != `{"v":`+want+`}` {
					t.Errorf("%s: got %s, want %s", expression, got, want)
				}
			}
		default:
			t.Errorf("block of kind %q is not run", b.kind)
		}
	}
	if scripts < 3 || cases < 4 {
		t.Errorf("%d scripts and %d cases were found", scripts, cases)
	}
}
