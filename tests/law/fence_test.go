package law

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A code fence that opens with "```go compiles" is a whole Go file of the gateway's
// module, and is compiled as such: an example that does not compile is worse than
// none.
func TestGoExamplesInDocumentsCompile(t *testing.T) {
	tree := read(t, os.DirFS(root(t)))
	found := map[string]string{}
	for _, name := range tree.Files("*.md") {
		for i, example := range examples(tree.text[name]) {
			found[fmt.Sprintf("%s#%d", name, i+1)] = example
		}
	}
	if len(found) == 0 {
		t.Fatal("no document has an example that is compiled")
	}
	for name, example := range found {
		if out, err := compileExample(t, example); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestAnExampleThatDoesNotCompileIsFound(t *testing.T) {
	text := "text\n```go compiles\npackage example\n\nvar x int = \"no\"\n```\n"
	found := examples(text)
	if len(found) != 1 {
		t.Fatalf("%d examples, want 1", len(found))
	}
	if out, err := compileExample(t, found[0]); err == nil {
		t.Errorf("compiled: %s", out)
	}
}

func examples(text string) []string {
	const opening = "```go compiles\n"
	var found []string
	parts := strings.Split(text, opening)
	for i, part := range parts[1:] {
		// A fence within a list is indented, and so is all that it holds.
		indent := parts[i][strings.LastIndex(parts[i], "\n")+1:]
		example, _, _ := strings.Cut(part, "\n"+indent+"```")
		found = append(found, strings.ReplaceAll("\n"+example, "\n"+indent, "\n")+"\n")
	}
	return found
}

// compileExample builds the example as a package of the gateway's module that
// exists in the compiler's overlay only.
func compileExample(t *testing.T, example string) (string, error) {
	t.Helper()
	module, list := overlay(t, "example", example)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "-overlay", list, "./example")
	cmd.Dir = module
	out, err := cmd.CombinedOutput()
	return string(out), err
}
