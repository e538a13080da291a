package law

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func TestTheRepositoryKeepsItsLaws(t *testing.T) {
	tree := read(t, os.DirFS(root(t)))
	for _, law := range All() {
		t.Run(law.Name, func(t *testing.T) {
			for _, fault := range law.Check(tree) {
				t.Errorf("%s\n\t(the law: %s)", fault, law.Why)
			}
		})
	}
}

// A fixture's comment lists what the law has to find: "want: <text>" for each
// fault, in any order, <text> being a part of it.
func TestEveryLawFindsWhatItsFixtureBreaks(t *testing.T) {
	for _, law := range All() {
		t.Run(law.Name, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("testdata", law.Name+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			files, err := txtar.FS(archive)
			if err != nil {
				t.Fatal(err)
			}
			var wants []string
			for line := range strings.Lines(string(archive.Comment)) {
				if want, ok := strings.CutPrefix(strings.TrimSpace(line), "want: "); ok {
					wants = append(wants, want)
				}
			}
			if len(wants) == 0 {
				t.Fatal("the fixture wants nothing")
			}
			compare(t, law.Check(read(t, files)), wants)
		})
	}
}

func compare(t *testing.T, faults []Fault, wants []string) {
	t.Helper()
	left := wants
	for _, fault := range faults {
		found := false
		for i, want := range left {
			if strings.Contains(fault.String(), want) {
				left = append(left[:i:i], left[i+1:]...)
				found = true
				break
			}
		}
		if !found {
			t.Errorf("not wanted: %s", fault)
		}
	}
	for _, want := range left {
		t.Errorf("not found: %s", want)
	}
}

func read(t *testing.T, files fs.FS) *Tree {
	t.Helper()
	tree, err := Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// root is the folder above that holds go.work.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.work above the test's folder")
		}
		dir = up
	}
}
