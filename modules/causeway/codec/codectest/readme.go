package codectest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// listenerDoc is what the examples of a README show: a listener of the twin.
type listenerDoc struct {
	Bind    string          `json:"bind"`
	Frame   json.RawMessage `json:"frame"`
	Codec   string          `json:"codec"`
	Options json.RawMessage `json:"options"`
	Ack     string          `json:"ack"`
	Output  string          `json:"output"`
	Device  string          `json:"device"`
}

// Readme checks the page of a codec: it has the sections Name, Description,
// Options, Examples and Acknowledgement, every block marked json is a listener
// whose options the factory takes, and every block marked dialogue, in the form
// of the case files, comes true with the listener before it.
func Readme(t *testing.T, factory codec.Factory, path string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Name", "Description", "Options", "Examples", "Acknowledgement"} {
		if !strings.Contains(string(page), "\n## "+name+"\n") {
			t.Errorf("%s has no section %s", path, name)
		}
	}
	var listener listenerDoc
	played := 0
	for _, b := range blocks(string(page)) {
		switch b.name {
		case "json":
			listener = listenerDoc{}
			if err := codec.DecodeOptions(json.RawMessage(b.text), &listener); err != nil {
				t.Errorf("example %s: %v", b.text, err)
			}
			if _, err := factory(listener.Options); err != nil {
				t.Errorf("options of example %s: %v", b.text, err)
			}
		case "dialogue":
			played++
			t.Run("example of "+filepath.Base(path), func(t *testing.T) { playExample(t, factory, &listener, b.text) })
		}
	}
	if played == 0 {
		t.Errorf("%s has no dialogue", path)
	}
}

func playExample(t *testing.T, factory codec.Factory, listener *listenerDoc, text string) {
	t.Helper()
	s := &dialogue.Script{UDP: strings.HasPrefix(listener.Bind, "udp:"), Frame: listener.Frame}
	if err := s.Add(text); err != nil {
		t.Fatal(err)
	}
	made, err := factory(listener.Options)
	if err != nil {
		t.Fatal(err)
	}
	c := &opened{Codec: made}
	defer c.closeAll()
	got, _, err := s.Play(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Failures(got) {
		t.Error(f)
	}
}

// block is a fenced block of a page.
type block struct{ name, text string }

// blocks returns the fenced blocks of a page, by the word behind the fence.
func blocks(page string) []block {
	var all []block
	open := false
	for line := range strings.Lines(page) {
		mark, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !open:
			all, open = append(all, block{name: mark}), true
		case fence:
			open = false
		case open:
			all[len(all)-1].text += line
		}
	}
	return slices.Clip(all)
}
