package state_test

import (
	"os"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/state"
)

func TestDocumentsComeBackAsTheyWereSaved(t *testing.T) {
	t.Parallel()
	dir, err := state.Open(t.TempDir() + "/deep/folder")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]int
	if found, err := dir.Load("twin", &doc); found || err != nil {
		t.Fatalf("found %v, %v in an empty folder", found, err)
	}
	for n := range 3 {
		if err := dir.Save("twin", map[string]int{"n": n}); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := dir.Load("twin", &doc); !found || err != nil || doc["n"] != 2 {
		t.Fatalf("found %v, %v, %v", found, doc, err)
	}
	entries, err := os.ReadDir(dir.Path("."))
	if err != nil || len(entries) != 1 {
		t.Fatalf("left %d files, %v", len(entries), err)
	}
}

func TestABrokenDocumentIsAnError(t *testing.T) {
	t.Parallel()
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteFile("x.json", []byte("{")); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if _, err := dir.Load("x", &doc); err == nil {
		t.Fatal("no error")
	}
}
