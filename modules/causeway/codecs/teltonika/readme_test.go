package teltonika

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestTheExamplesOfTheReadmeAreTrue(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```example\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no examples")
	}
	for _, block := range blocks {
		script, _, _ := strings.Cut(block, "```")
		t.Run(strings.SplitN(script, "\n", 2)[0], func(t *testing.T) { play(t, script) })
	}
}

// play runs one example: each line is held against what the lines before led to.
func play(t *testing.T, script string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(script), "\n")
	options, transport := "", "tcp"
	if rest, ok := strings.CutPrefix(lines[0], "udp"); ok {
		options, transport, lines = rest, "udp", lines[1:]
	}
	d := begin(t, options, transport)
	out := &codec.Outcome{}
	for _, line := range lines {
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case ">":
			spent(t, line, out)
			out = receive(t, d, unhex(t, rest))
			out.Reply = append(out.Reply, out.Identity.Accept...)
		case "$":
			spent(t, line, out)
			name, payload, _ := strings.Cut(rest, " ")
			out = &codec.Outcome{}
			err := d.(codec.Commander).Command(codec.Command{Name: name, Payload: json.RawMessage(payload)}, out)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case "<":
			if string(out.Reply) != string(unhex(t, rest)) {
				t.Errorf("%s: %x", line, out.Reply)
			}
			out.Reply = nil
		case "<<":
			if string(out.Ack) != string(unhex(t, rest)) {
				t.Errorf("%s: %x", line, out.Ack)
			}
			out.Ack = nil
		case "=":
			if len(out.Messages) == 0 {
				t.Fatalf("%s: no message", line)
			}
			same(t, out.Messages[0].Body, rest)
			out.Messages = out.Messages[1:]
		case "?":
			if len(out.Results) == 0 {
				t.Fatalf("%s: no result", line)
			}
			same(t, out.Results[0].Payload, rest)
			out.Results = out.Results[1:]
		default:
			t.Fatalf("line %q", line)
		}
	}
	spent(t, "the end", out)
}

// spent checks that the example tells all that a frame led to.
func spent(t *testing.T, line string, out *codec.Outcome) {
	t.Helper()
	if len(out.Reply) != 0 || len(out.Ack) != 0 || len(out.Messages) != 0 || len(out.Results) != 0 {
		t.Errorf("before %q the example leaves out %+v", line, out)
	}
}

func TestTheReadmeCountsTheProperties(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d AVL properties", len(avlTable())); !strings.Contains(string(page), want) {
		t.Errorf("the README does not say %q", want)
	}
}
