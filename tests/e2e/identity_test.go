package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// A service knows the keys of some devices, and an enrollment group has the others.
func TestDevicesAttachWithKeysOfAServiceAndOfAGroup(t *testing.T) {
	t.Parallel()
	const token, serviceKey, groupKey = "Bearer of-the-gateway", "a2V5IG9mIG1ldGVyLTEgaW4gdGhlIHNlcnZpY2UuLi4=", "dGhlIHByaW1hcnkga2V5IG9mIGFuIGVucm9sbG1lbnQ="
	var asked, barred atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case r.Header.Get("Authorization") != token:
			barred.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path != "/keys/meter-001":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = fmt.Fprintf(w, `{"key": %q}`, serviceKey)
		}
	}))
	defer service.Close()
	p := overAMQP()
	sim := p.StartSimulator(t, strings.Replace(meters, `"identity": {`, `"identity": {"keys": {
		"service": {"kind": "http", "order": 1, "url": "`+service.URL+`/keys/{device}", "headers": {"Authorization": {"env": "KEY_SERVICE"}}},
		"group":   {"kind": "group", "order": 2, "key": {"env": "GROUP_KEY"}}}, `, 1))
	ids := []string{"meter-001", "meter-002", "meter-003"}
	sim.AddLeaves(ids[0], serviceKey)
	for _, id := range ids[1:] {
		key, err := base64.StdEncoding.DecodeString(groupKey)
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id))
		sim.AddLeaves(id, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	g := p.StartGateway(t, sim, world.Workload, "KEY_SERVICE="+token, "GROUP_KEY="+groupKey)
	c := &crowd{t: t, sim: sim}
	for _, id := range ids {
		c.list = append(c.list, dialMeter(t, g.Addr("meters"), id))
	}
	c.send(2, 30*time.Second)
	settled(t, g, len(ids))
	c.arrived()
	if n := asked.Load(); n < int64(len(ids)) || barred.Load() != 0 {
		t.Errorf("the service was asked %d times, and refused %d", n, barred.Load())
	}
	for _, secret := range []string{token, serviceKey, groupKey} {
		if strings.Contains(g.Proc.Output(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
