package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

func TestABegunCodecIsWhole(t *testing.T) {
	if !slices.Contains(Kinds(), "go") {
		t.Fatalf("kinds are %v", Kinds())
	}
	for _, kind := range Kinds() {
		dir := filepath.Join(t.TempDir(), "acme")
		got := invoke(t, "", "codec", "new", kind, "acme-meter", "-dir", dir)
		if got.code != ExitOK {
			t.Fatalf("%s: %+v", kind, got)
		}
		cases := 0
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if strings.Contains(string(text), "{{.") || strings.Contains(path, "NAME") || strings.HasSuffix(path, ".txt") {
				t.Errorf("%s is not filled in", path)
			}
			if filepath.Ext(path) == ".txtar" {
				cases++
				if _, err := dialogue.Parse(path, string(text)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			return err
		})
		if err != nil || cases == 0 {
			t.Errorf("%s: %d cases, %v", kind, cases, err)
		}
		if again := invoke(t, "", "codec", "new", kind, "acme-meter", "-dir", dir); again.code != ExitUsage {
			t.Errorf("%s: written over what is there: %+v", kind, again)
		}
	}
}

// The Go codec compiles, and passes the suite that comes with it.
func TestABegunGoCodecPassesItsTests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acmemeter")
	if _, err := New("go", "acme-meter", dir); err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	const house = "github.com/causeway-iot/causeway/modules/causeway"
	text := "module example.test/acmemeter\n\ngo 1.26.0\n\nrequire " + house + " v0.0.0\n\nreplace " + house + " => " + module + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-mod=mod", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
