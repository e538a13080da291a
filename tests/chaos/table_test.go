package chaos

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/world"
)

// What the operator's page says of faults is tried, and what is tried stands there.
func TestTheOperatorsTableIsThatOfTheFaults(t *testing.T) {
	top, err := world.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(top, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## What goes wrong\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("the page has no such section")
	}
	var named []string
	for row := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(row), "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "---") || cells[1] == " fault " {
			continue
		}
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[4], -1)
		if len(names) == 0 {
			t.Errorf("nothing tries the row %q", strings.TrimSpace(cells[1]))
		}
		for _, name := range names {
			named = append(named, name[1])
		}
	}
	known := append(testNames(t, filepath.Join(top, "tests")), testNames(t, filepath.Join(top, "modules"))...)
	for _, f := range faults {
		if known = append(known, f.name); !slices.Contains(named, f.name) {
			t.Errorf("%q stands in no row", f.name)
		}
	}
	for _, name := range named {
		if !slices.Contains(known, name) {
			t.Errorf("%q is neither a fault nor a test", name)
		}
	}
}

// testNames are the test functions below a folder.
func testNames(t *testing.T, folder string) (names []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The code that the operator's page gives to consumers is what judges every run.
func TestThePageShowsTheConsumerThatIsTried(t *testing.T) {
	top, err := world.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(top, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(top, "tests", "chaos", "consumer.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "\n)\n\n")
	if code == "" || !strings.Contains(string(page), "\n```go\n"+code+"```\n") {
		t.Errorf("docs/operations.md does not show this code:\n%s", code)
	}
}
