package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/world"
)

// TestThePageOnDeliveryIsTrue runs the commands of docs/codecs/delivery.md, in the order of the
// page, in one shell.
func TestThePageOnDeliveryIsTrue(t *testing.T) {
	t.Parallel()
	top, err := world.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(top, "docs/codecs/delivery.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of commands on the page, want 3", len(blocks))
	}
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"causeway": built.Causeway, "simulator": built.Simulator} {
		if err := os.Symlink(path, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	shell := func(script string) string {
		// The simulator is another one than that of make up, and so is the port.
		script = strings.ReplaceAll(script, " -state .run/state", "")
		script = strings.ReplaceAll(script, "tcp://127.0.0.1:5035", "tcp://127.0.0.1:0")
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CAUSEWAY_SIMULATOR="+sim.Control())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%s%v", script, out, err)
		}
		return string(out)
	}
	shell(blocks[0][1])
	if s := sim.Decided().Properties.Reported.LastDesiredStatus; s.Code != 200 {
		t.Fatalf("the patch was answered with %d: %s", s.Code, s.Description)
	}
	port := g.Addr("acme")[len("127.0.0.1:"):]
	out := shell(strings.ReplaceAll(blocks[1][1]+blocks[2][1], "/5035", "/"+port))
	first, second, found := strings.Cut(out, `{"value":21}`)
	if !found || strings.Count(first, "OK\n") != 1 || strings.Count(second, "OK\n") != 2 ||
		!strings.Contains(second, `{"unit":"litre","value":23}`) {
		t.Errorf("the commands print\n%s", out)
	}
	_, metrics := g.Get("/metrics")
	if !regexp.MustCompile(`(?m)^causeway_links_opened_total\{.*listener="acme".*\} 1$`).MatchString(metrics) {
		t.Error("the device had to connect anew")
	}
}
