package world

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// CompileInside compiles a one-file program as if it lay in the gateway's module, whose
// packages nobody else may import; the file exists in the compiler's overlay only. It
// returns the program's path.
func CompileInside(tb testing.TB, source string) string {
	tb.Helper()
	top, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	module, dir := filepath.Join(top, "modules", "causeway"), tb.TempDir()
	file, list, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(module, "inside", "main.go"): file},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(list, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-o", program, "-overlay", list, "./inside")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return program
}
