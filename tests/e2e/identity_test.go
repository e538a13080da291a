package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/world"
)

// signer is the gateway's side: the workload API derives the device's key, and the key
// signs. It prints the signature, since the key itself is never to be had.
const signer = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/identity"
)

func main() {
	workload, err := hub.NewWorkload(os.Getenv("IOTEDGE_WORKLOADURI"), os.Getenv("IOTEDGE_MODULEID"),
		os.Getenv("IOTEDGE_MODULEGENERATIONID"))
	if err != nil {
		panic(err)
	}
	keys, _, faults := identity.New(identity.Settings{Most: 1}, identity.Surroundings{Sign: workload.Sign})
	if faults != nil {
		panic(faults)
	}
	c, err := keys.Credential(context.Background(), os.Args[1])
	if err != nil {
		panic(err)
	}
	signature, err := c.Sign(context.Background(), []byte(os.Args[2]))
	if err != nil {
		panic(err)
	}
	fmt.Println(signature)
}
`

// What docs/identity.md tells the cloud to compute is what the gateway proves itself
// with: its program, given the module's key as the registry has it, against the workload
// API of the simulator.
func TestTheDocumentedKeyIsTheDerivedOne(t *testing.T) {
	sim := built.StartSimulator(t, `{}`)
	moduleKey := registryKey(t, sim)
	page := read(t, "docs", "identity.md")
	derive := world.CompileInside(t, fence(t, page, "go compiles"))
	inside := world.CompileInside(t, signer)
	const data = "hub/devices/truck\n1700000000"
	for _, device := range []string{"truck-1", "Truck-1", "356307042441013", "a+b%c=d'e"} {
		key := output(t, nil, derive, moduleKey, device)
		// A signature with a key is what is derived from it: the same computation.
		want := output(t, nil, derive, key, data)
		if got := output(t, sim.Env("workload"), inside, device, data); got != want {
			t.Errorf("%s signs %s, and with the documented key %s", device, got, want)
		}
		if _, err := exec.LookPath("openssl"); err != nil {
			t.Log("there is no openssl: the lines for a shell are not run")
			continue
		}
		script := fence(t, page, "sh") + "\nderive \"$1\" \"$2\"\n"
		if got := output(t, nil, "sh", "-c", script, "sh", moduleKey, device); got != key {
			t.Errorf("%s: the shell says %s, the program %s", device, got, key)
		}
	}
}

// registryKey is the module's key as IoT Hub shows it.
func registryKey(t *testing.T, sim *world.Simulator) string {
	t.Helper()
	for _, variable := range sim.Env("connectionstring") {
		if _, key, ok := strings.Cut(variable, ";SharedAccessKey="); ok {
			key, _, _ = strings.Cut(key, ";")
			return key
		}
	}
	t.Fatal("the simulator tells no key of the module")
	return ""
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	top, err := world.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(append([]string{top}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fence is what the only fence of a kind in a page holds, without its indentation.
func fence(t *testing.T, page, kind string) string {
	t.Helper()
	before, rest, ok := strings.Cut(page, "```"+kind+"\n")
	indent := before[strings.LastIndex(before, "\n")+1:]
	text, more, closed := strings.Cut(rest, "\n"+indent+"```\n")
	if !ok || !closed || strings.Contains(more, "```"+kind+"\n") {
		t.Fatalf("the page has not one fence %q", kind)
	}
	return strings.ReplaceAll("\n"+text, "\n"+indent, "\n")
}

func output(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
