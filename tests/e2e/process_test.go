package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// exitGrace is how long a process may take to end after SIGTERM: the gateway's own
// grace is 8 s.
const exitGrace = 15 * time.Second

// process is a started program. Its output is kept, and shown when the test fails.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	err  error // how it ended; read after done
}

// output collects what a process prints.
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

// start runs a program with exactly the given environment; it is ended with the
// test.
func start(t *testing.T, name string, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{name: name, out: new(output), done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "GORACE=halt_on_error=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if out := p.out.String(); t.Failed() || strings.Contains(out, "DATA RACE") {
			t.Errorf("%s printed:\n%s", name, tail(out))
		}
	})
	return p
}

// tail keeps a failed test's report readable.
func tail(s string) string {
	const most = 12000
	return s[max(0, len(s)-most):]
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("terminate %s: %v", p.name, err)
	}
	return p.wait(t, exitGrace)
}

// wait returns the exit code of a process that ends by itself.
func (p *process) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		t.Fatalf("%s has not ended within %v", p.name, limit)
	}
	if exit := new(exec.ExitError); errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
