package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a writer that may be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// running starts `simulator up` and returns its ready file's content and its output.
func running(t *testing.T, args ...string) (Ready, *output) {
	t.Helper()
	folder := t.TempDir()
	ready := filepath.Join(folder, "ready")
	args = append([]string{"up", "-state", filepath.Join(folder, "state"), "-ready-file", ready}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	out := &output{}
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, out, out) }()
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != exitOK {
			t.Errorf("up ended with %d: %s", got, out)
		}
	})
	var r Ready
	wait(t, func() bool {
		data, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(data, &r) == nil
	})
	return r, out
}

// wait polls with a deadline.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 20 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestTheCommandsDriveARunningSimulator(t *testing.T) {
	t.Parallel()
	ready, out := running(t, "-module", "m", "-messages", "-leaf", "leaf=a2V5",
		"-module", `prog=sh -c 'echo "I am $IOTEDGE_MODULEID with $EXTRA"; sleep 1000'`, "-env", "EXTRA=salt")
	wait(t, func() bool { return strings.Contains(out.String(), "I am prog with salt") })
	if ready.Modules["prog"] == 0 || ready.Device != "edge" || !strings.HasPrefix(ready.Gateway, "localhost:") {
		t.Fatalf("ready %+v", ready)
	}
	cases := []struct {
		name     string
		args     []string
		code     int
		contains string
	}{
		{"env", []string{"env", "m"}, exitOK, "export IOTEDGE_MODULEID='m'"},
		{"env in the other style", []string{"env", "m", "-style", "connectionstring"}, exitOK, "export EdgeHubConnectionString='HostName="},
		{"env of a leaf device", []string{"env", "leaf/"}, exitOK, ";DeviceId=leaf;SharedAccessKey=a2V5;GatewayHostName=localhost:"},
		{"env of no leaf device", []string{"env", "x/"}, exitError, "not known"},
		{"env of a stranger", []string{"env", "x"}, exitError, "not known"},
		{"twin patch", []string{"twin", "patch", "m", `{"a":7}`}, exitOK, `"a": 7`},
		{"twin get", []string{"twin", "get", "m"}, exitOK, `"deviceId": "edge"`},
		{"twin of a leaf", []string{"twin", "get", "leaf/"}, exitOK, `"deviceId": "leaf"`},
		{"a bad patch", []string{"twin", "patch", "m", `{"a b":7}`}, exitError, "not allowed"},
		{"a patch that is no JSON", []string{"twin", "patch", "m", `{`}, exitUsage, "JSON"},
		{"a method of nobody", []string{"method", "m", "ping"}, exitNotConnected, "Timed out waiting for device"},
		{"a method with a bad payload", []string{"method", "m", "ping", "{"}, exitUsage, "JSON"},
		{"a method with a bad timeout", []string{"method", "m", "ping", "-timeout", "1"}, exitError, "5 to 300"},
		{"stats", []string{"stats"}, exitOK, `"accepted": 0`},
		{"an input", []string{"input", "m", "in", `{"x":1}`, "a=b"}, exitOK, ""},
		{"a message to a device", []string{"send", "leaf", "hello", "a=b"}, exitOK, ""},
		{"a message to nobody", []string{"send", "x", "hello"}, exitError, "not known"},
		{"the connection string", []string{"service"}, exitOK, ready.ServiceConnection},
		{"that of the IoT hub for devices", []string{"service", "-direct"}, exitOK, "SharedAccessKeyName=device;"},
		{"a message with an id", []string{"send", "leaf", "hello", "-id", "mine"}, exitOK, "mine"},
		{"a message that expires", []string{"send", "leaf", "hello", "-ttl", "1ms", "-wait", "20s"}, exitStatus, "Expired"},
		{"a message that waits", []string{"send", "leaf", "hello", "-wait", "1ms"}, exitTimeout, "not settled"},
		{"many leaf devices", []string{"leaf", "add", "meter-[01-12]", "derived:m"}, exitOK, `"meter-12"`},
		{"a leaf device's key", []string{"leaf", "key", "meter-01", "a2V5"}, exitOK, `"a2V5"`},
		{"a disabled leaf device", []string{"leaf", "disable", "meter-01"}, exitOK, "meter-01"},
		{"an enabled leaf device", []string{"leaf", "enable", "meter-01"}, exitOK, "meter-01"},
		{"a removed leaf device", []string{"leaf", "remove", "meter-01"}, exitOK, "true"},
		{"a removed stranger", []string{"leaf", "remove", "meter-01"}, exitError, "not known"},
		{"an attach that is refused", []string{"fault", "attach", "amqp:not-allowed", "no", "-identity", "leaf/"}, exitOK, `"description": "no"`},
		{"a fault", []string{"fault", "delay", "2s", "-count", "3", "-identity", "m"}, exitOK, `"delayMs": 2000`},
		{"a fault of some messages", []string{"fault", "refuse", "amqp:not-allowed", "-holding", "poison"}, exitOK, `"holding": "poison"`},
		{"a fault of some that is none", []string{"fault", "drop", "-holding", "poison"}, exitError, "goes with refuse"},
		{"an unknown fault", []string{"fault", "explode"}, exitUsage, "unknown fault"},
		{"clear", []string{"fault", "clear"}, exitOK, "cleared"},
		{"hub down", []string{"fault", "hub", "down"}, exitOK, "down"},
		{"hub up", []string{"fault", "hub", "up"}, exitOK, "up"},
		{"cloud cut", []string{"fault", "cloud", "cut"}, exitOK, "cut"},
		{"cloud restore", []string{"fault", "cloud", "restore"}, exitOK, "connected"},
		{"connections", []string{"fault", "connections"}, exitOK, "dropped"},
		{"tokens", []string{"fault", "tokens", "later"}, exitOK, "expired"},
		{"messages", []string{"messages"}, exitOK, ""},
	}
	for _, c := range cases {
		code, stdout, stderr := command(t, append(c.args, "-state", ready.State)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.contains) {
			t.Errorf("%s: code %d, %s%s", c.name, code, stdout, stderr)
		}
	}
	if code, _, _ := command(t, "stats", "-control", ready.Control); code != exitOK {
		t.Errorf("by URL: %d", code)
	}
}

func TestTheLiveViewShowsOneLineAMessage(t *testing.T) {
	t.Parallel()
	hub, err := edge.New(edge.Options{KeepMessages: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	if err := hub.SetRoutes([]edge.Route{{Name: "r", Text: "FROM /* INTO $upstream"}}, 0); err != nil {
		t.Fatal(err)
	}
	batch := []edge.Message{
		{Body: []byte("lost")}, {Output: "o", Body: []byte("{\n1}"), Properties: map[string]string{"b": "2", "a": "1"}}, {Body: []byte("x")},
	}
	if err := hub.Publish(t.Context(), edge.Identity{Device: "edge", Module: "m"}, batch); err != nil {
		t.Fatal(err)
	}
	leafMessage := []edge.Message{{Body: []byte("21"), Properties: map[string]string{"kind": "climate"}}}
	if err := hub.Publish(t.Context(), edge.Identity{Device: "meter-001"}, leafMessage); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &output{}, make(chan struct{})
	go func() { watch(ctx, hub, 0, out); close(done) }()
	wait(t, func() bool { return strings.HasSuffix(out.String(), "21\n") })
	cancel()
	<-done
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "... 1 messages were too many to show" || !strings.HasSuffix(lines[1], " m/o {a=1 b=2} { 1}") ||
		!strings.HasSuffix(lines[2], " m {} x") || !strings.HasSuffix(lines[3], " meter-001/ {kind=climate} 21") {
		t.Fatalf("got %q", lines)
	}
}

func TestMisuseIsToldApart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"explode"}, {"up", "-inputs", "a", "b"}, {"up", "-style", "x"}, {"up", "-module", "=x"}, {"up", "-module", "m='"},
		{"up", "-leaf", "=x"}, {"up", "-nope"}, {"messages", "x"}, {"method", "m"}, {"twin", "get"}, {"twin", "patch", "m"},
		{"env"}, {"input", "m"}, {"input", "m", "i", "b", "x"}, {"fault"}, {"stats", "x"},
		{"leaf"}, {"leaf", "add"}, {"leaf", "key", "x"}, {"leaf", "disable", "x", "y"}, {"leaf", "burn", "x"},
		{"send", "leaf"}, {"send", "leaf", "body", "x"}, {"service", "x"},
	} {
		if code, _, _ := command(t, args...); code != exitUsage {
			t.Errorf("%q: code %d", args, code)
		}
	}
	for _, args := range [][]string{{"help"}, {"version"}, {"up", "-h"}, {"fault", "-h"}} {
		if code, _, stderr := command(t, args...); code != exitOK {
			t.Errorf("%q: code %d, %s", args, code, stderr)
		}
	}
	for _, args := range [][]string{{"stats", "-state", t.TempDir()}, {"up", "/nonexistent.json"}} {
		if code, _, _ := command(t, args...); code != exitError {
			t.Errorf("%q: code %d", args, code)
		}
	}
}

func TestAModuleThatCannotBeStartedEndsTheSimulator(t *testing.T) {
	t.Parallel()
	code, _, stderr := command(t, "up", "-state", t.TempDir(), "-module", "m=/nonexistent/program")
	if code != exitError || !strings.Contains(stderr, "run m") {
		t.Fatalf("code %d, %s", code, stderr)
	}
}

func TestAModuleThatEndsIsNotTheEndOfTheSimulator(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deployment.json")
	module := func(status, policy string) string {
		return `{"type":"docker","status":"` + status + `","restartPolicy":"` + policy + `","settings":{"image":"x"}}`
	}
	text := `{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":{"once":` + module("running", "never") +
		`,"good":` + module("running", "on-failure") + `,"off":` + module("stopped", "always") + `,"stays":` + module("running", "always") + `}}}}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ready, out := running(t, "-module", `once=sh -c "exit 3"`, "-module", `good=sh -c "exit 0"`,
		"-module", `off=sh -c "echo never"`, "-module", `stays=sh -c "echo here; sleep 1000"`, path)
	for _, line := range []string{
		"once ended: exit status 3", "good ended: exit status 0", "here\n", "off is not started: its status in the deployment is stopped",
	} {
		wait(t, func() bool { return strings.Contains(out.String(), line) })
	}
	if ready.Modules["stays"] == 0 || ready.Modules["off"] != 0 || strings.Contains(out.String(), "off started") {
		t.Errorf("ready %+v, %s", ready.Modules, out)
	}
	if code, _, stderr := command(t, "stats", "-state", ready.State); code != exitOK {
		t.Errorf("code %d, %s", code, stderr)
	}
}

func TestBodiesAreReadable(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"{\n \"a\": 1 }":                `{ "a": 1 }`,
		"\xff\x00":                      "ff00",
		"bell\a":                        "62656c6c07",
		strings.Repeat("é", 1500):       strings.Repeat("é", 1000) + " ... (3000 bytes)",
		"x" + strings.Repeat("é", 1500): "x" + strings.Repeat("é", 999) + " ... (3001 bytes)",
	} {
		if got := readable([]byte(body)); got != want {
			t.Errorf("%.20q: got %.60q", body, got)
		}
	}
}
