package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// The program's own exit codes, as scripts see them.
func TestThePromptAnswersWithExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		stdin string
		code  int
		out   string
	}{
		{[]string{"decode", "-codec", "teltonika"}, "000F333536333037303432343431303133\n", 0, `"device":"356307042441013"`},
		{[]string{"decode", "-codec", "teltonika", "00"}, "", 1, `"kind":"error"`},
		{[]string{"decode", "-codec", "unheard-of", "00"}, "", 2, ""},
		{[]string{"fly"}, "", 2, ""},
		{[]string{"version"}, "", 0, "causeway "},
	} {
		cmd := exec.CommandContext(t.Context(), built.Causeway, c.args...)
		cmd.Stdin = strings.NewReader(c.stdin)
		out, err := cmd.Output()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != c.code || !strings.Contains(string(out), c.out) || c.code == 2 && len(out) > 0 {
			t.Errorf("causeway %s: exit code %d, %s", strings.Join(c.args, " "), code, out)
		}
	}
}
