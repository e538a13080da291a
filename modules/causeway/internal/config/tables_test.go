package config

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

//nolint:gochecknoglobals // a flag
var update = flag.Bool("update", false, "write the golden files")

func TestTheTablesForTheDocumentationAreAsCommitted(t *testing.T) {
	for name, got := range map[string]string{
		"environment.md": EnvironmentTable(),
		"document.md":    DocumentTable(),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is out of date: go test -run Tables -update\n%s", name, got)
		}
	}
}

func TestEveryVariableHasADescription(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range environmentVariables() {
		if v.description == "" || v.description[0] == ' ' || seen[v.name] {
			t.Errorf("%s is described %q", v.name, v.description)
		}
		seen[v.name] = true
	}
}
