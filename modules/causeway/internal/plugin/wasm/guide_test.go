package wasm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

const docs = "../../../../../docs/codecs/"

// fenced returns the blocks of a page by the word behind the fence.
func fenced(t *testing.T, path string) map[string][]string {
	t.Helper()
	blocks := map[string][]string{}
	for i, part := range strings.Split(text(t, path), "\n```") {
		if word, block, ok := strings.Cut(part, "\n"); ok && i%2 == 1 {
			blocks[word] = append(blocks[word], block)
		}
	}
	return blocks
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The dialogues of the guide come true with the module in Go, and make interop plays
// them with those in C and Rust.
func TestDialoguesOfTheGuideComeTrue(t *testing.T) {
	blocks := fenced(t, docs+"wasm.md")["dialogue"]
	if len(blocks) != 2 {
		t.Fatalf("%d dialogues", len(blocks))
	}
	dir := t.TempDir()
	for i, block := range blocks {
		name := filepath.Join(dir, string(rune('a'+i))+".txtar")
		if err := os.WriteFile(name, []byte("-- dialogue --\n"+block+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, p := range acmes(t) {
		t.Run(name, func(t *testing.T) { codectest.Run(t, p.New, dir) })
	}
}

// What the guide shows of the examples is part of them: they are built and played.
func TestSnippetsOfTheGuideArePartOfTheExamples(t *testing.T) {
	kits := filepath.Join(acmeSource, "..", "..")
	blocks := fenced(t, docs+"wasm.md")
	for word, sources := range map[string][]string{
		"c":    {text(t, filepath.Join(kits, "c", "acme.c"))},
		"rust": {text(t, filepath.Join(kits, "rust", "acme.rs"))},
		"go":   {text(t, filepath.Join(acmeSource, "acme.go")), text(t, filepath.Join(acmeSource, "acme_test.go"))},
	} {
		if len(blocks[word]) == 0 {
			t.Errorf("nothing is shown in %s", word)
		}
		for _, block := range blocks[word] {
			if !strings.Contains(strings.Join(sources, ""), block) {
				t.Errorf("not in the example in %s:\n%s", word, block)
			}
		}
	}
}

// The commands of the guide are those that the tests build the examples with.
func TestCommandsOfTheGuideAreThoseOfTheTests(t *testing.T) {
	run := text(t, "../../../../../tests/interop/wasm/run")
	built := strings.Join(strings.Fields(strings.ReplaceAll(run, "\\\n", " ")), " ")
	built += " " + strings.Join(goBuild(), " ")
	for _, block := range fenced(t, docs+"wasm.md")["sh"] {
		command, _, _ := strings.Cut(strings.NewReplacer(`"-s -w"`, "-s -w").Replace(strings.TrimSpace(block)), " -o ")
		if !strings.Contains(built, command) {
			t.Errorf("is not what is built with: %s\n%s", command, built)
		}
	}
}

// The page of the interface names what there is.
func TestPageOfTheInterfaceNamesAllFunctions(t *testing.T) {
	page := text(t, docs+"wasm-abi.md")
	for _, s := range signatures() {
		if !strings.Contains(page, "`"+s.name+"`") {
			t.Errorf("does not name %s", s.name)
		}
	}
	if strings.Count(page, "| `codec_") != len(signatures())-1+2 { // twice for what records come in
		t.Errorf("%d lines with functions", strings.Count(page, "| `codec_"))
	}
}
