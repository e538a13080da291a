package runner_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a writer that tells of lines.
type output struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	lines chan string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p)
	for {
		line, rest, ok := strings.Cut(o.buf.String(), "\n")
		if !ok {
			return len(p), nil
		}
		o.buf.Reset()
		o.buf.WriteString(rest)
		o.lines <- line
	}
}

func TestAProgramGetsItsEnvironmentAndEndsOnSIGTERM(t *testing.T) {
	t.Setenv("IOTEDGE_DEVICEID", "outer")
	ctx, cancel := context.WithCancel(t.Context())
	out := &output{lines: make(chan string, 10)}
	p := &runner.Program{
		Name:    "m",
		Command: []string{"sh", "-c", `trap 'echo stopped; exit 0' TERM; echo "$A|$IOTEDGE_DEVICEID"; while :; do sleep 0.05; done`},
		Env:     map[string]string{"A": "b c"}, Grace: 5 * time.Second, Stdout: out,
	}
	done, started := make(chan error, 1), make(chan int, 1)
	go func() { done <- p.Run(ctx, func(pid int) { started <- pid }) }()
	if got := <-out.lines; got != "b c|" {
		t.Errorf("environment %q", got)
	}
	if pid := <-started; pid == 0 || p.Pid() != pid {
		t.Errorf("started as %d, runs as %d", pid, p.Pid())
	}
	cancel()
	if got := <-out.lines; got != "stopped" {
		t.Errorf("got %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAProgramThatIgnoresSIGTERMIsKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := &output{lines: make(chan string, 10)}
	p := &runner.Program{Name: "m", Command: []string{"sh", "-c", `trap '' TERM; echo up; while :; do sleep 0.05; done`},
		Grace: 100 * time.Millisecond, Stdout: out}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, nil) }()
	<-out.lines
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPoliciesDecideAboutRestarts(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, policy, exit string
		restarts           bool
	}{
		{"never is never", runner.Never, "1", false},
		{"on-failure lets a good end be", runner.OnFailure, "0", false},
		{"on-failure restarts a bad one", runner.OnFailure, "1", true},
		{"always restarts a good end", runner.Always, "0", true},
		{"on-unhealthy is always", runner.OnUnhealthy, "0", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			starts := 0
			p := &runner.Program{Name: "m", Command: []string{"sh", "-c", "exit " + c.exit}, Policy: c.policy, Pause: time.Millisecond}
			err := p.Run(ctx, func(int) {
				if starts++; starts == 3 {
					cancel()
				}
			})
			if c.restarts && (starts != 3 || err != nil) {
				t.Errorf("%d starts, %v", starts, err)
			}
			if !c.restarts && (starts != 1 || err != nil) {
				t.Errorf("%d starts, %v", starts, err)
			}
		})
	}
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	p := &runner.Program{Name: "m", Command: []string{"/nonexistent/program"}}
	if err := p.Run(t.Context(), nil); err == nil {
		t.Fatal("no error")
	}
}

func TestAProgramThatIsNotThereForAWhileIsTriedAgain(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	place := func() {
		if err := os.Symlink(program, path); err != nil {
			t.Error(err)
		}
	}
	place()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	starts, missed := 0, 0
	p := &runner.Program{Name: "m", Command: []string{path}, Pause: time.Millisecond, Log: func(line string) {
		if strings.Contains(line, "ended: start") {
			missed++
			place()
		}
	}}
	err = p.Run(ctx, func(int) {
		if starts++; starts == 2 {
			cancel()
		} else if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	})
	if err != nil || missed != 1 {
		t.Errorf("after %d starts and %d misses: %v", starts, missed, err)
	}
}

func TestSplitKeepsQuotedWords(t *testing.T) {
	t.Parallel()
	cases := []struct {
		line string
		want []string
	}{
		{`a  b`, []string{"a", "b"}},
		{`a 'b c' "d 'e'" f\ g`, []string{"a", "b c", "d 'e'", "f g"}},
		{`a ""`, []string{"a", ""}},
		{`a '`, nil},
		{`a \`, nil},
		{``, nil},
	}
	for _, c := range cases {
		got, err := runner.Split(c.line)
		if !reflect.DeepEqual(got, c.want) || (c.want == nil && c.line != "" && err == nil) {
			t.Errorf("%q: got %q, %v", c.line, got, err)
		}
	}
}
