package law

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of docs/operations.md")

// The tables of the operator's page are made from the code: those of the
// environment and of the twin by the package that reads them, that of the metrics
// from where they are declared. `make docs` writes them.
func TestTheOperatorsPageIsWhatTheCodeSays(t *testing.T) {
	top := root(t)
	name := filepath.Join(top, filepath.FromSlash(operations))
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	parts := configTables(t)
	parts["metrics"] = MetricsTable(read(t, os.DirFS(top)))
	want := string(page)
	for part, table := range parts {
		if want, err = replacePart(want, part, table); err != nil {
			t.Fatal(err)
		}
	}
	if want == string(page) {
		return
	}
	if !*update {
		t.Fatal("docs/operations.md is behind the code: run make docs")
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil { //nolint:gosec // a public page
		t.Fatal(err)
	}
}

func TestAPageWithoutMarkersIsRefused(t *testing.T) {
	if _, err := replacePart("text", "metrics", "table"); err == nil {
		t.Error("no error")
	}
	got, err := replacePart("a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n", "x", "new\n")
	if want := "a\n<!-- generated: x -->\nnew\n<!-- end -->\nb\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
}

// replacePart replaces what stands between a part's markers.
func replacePart(page, part, table string) (string, error) {
	const end = "<!-- end -->\n"
	begin := "<!-- generated: " + part + " -->\n"
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("the page has no part %q", part)
	}
	return before + begin + table + end + after, nil
}

// configTables asks package config, which only the gateway's module may import,
// by a program that exists in the compiler's overlay only.
func configTables(t *testing.T) map[string]string {
	t.Helper()
	const program = `package main

import (
	"encoding/json"
	"os"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
)

func main() {
	_ = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"environment": config.EnvironmentTable(), "twin": config.DocumentTable(),
	})
}
`
	module, list := overlay(t, "tables", program)
	cmd := exec.CommandContext(t.Context(), "go", "run", "-overlay", list, "./tables")
	cmd.Dir = module
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var tables map[string]string
	if err := json.Unmarshal(out, &tables); err != nil {
		t.Fatal(err)
	}
	return tables
}

// overlay lays a one-file package over the gateway's module. It returns the
// module's folder and the overlay's file.
func overlay(t *testing.T, name, source string) (module, list string) {
	t.Helper()
	module = filepath.Join(root(t), "modules", "causeway")
	dir := t.TempDir()
	file := filepath.Join(dir, "file.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(module, name, "file.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	list = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return module, list
}
