package world

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

// Process is a started program. Its output is kept, and shown when the test fails.
type Process struct {
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

// Start runs a program with exactly the given environment; it is ended with the
// test.
func Start(tb testing.TB, name string, env []string, path string, args ...string) *Process {
	tb.Helper()
	p := &Process{name: name, out: new(output), done: make(chan struct{})}
	p.cmd = exec.CommandContext(tb.Context(), path, args...)
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+tb.TempDir(), "GORACE=halt_on_error=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.Kill()
		if out := p.out.String(); tb.Failed() || strings.Contains(out, "DATA RACE") {
			tb.Errorf("%s printed:\n%s", name, Tail(out))
		}
	})
	return p
}

// Tail keeps a failed test's report readable: the end of a text.
func Tail(s string) string {
	const most = 12000
	return s[max(0, len(s)-most):]
}

// Output is what the process has printed so far.
func (p *Process) Output() string { return p.out.String() }

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Kill is kill -9. It returns when the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Ask sends SIGTERM and does not wait.
func (p *Process) Ask(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatalf("terminate %s: %v", p.name, err)
	}
}

// Terminate sends SIGTERM and returns the exit code.
func (p *Process) Terminate(tb testing.TB) int {
	tb.Helper()
	p.Ask(tb)
	return p.Wait(tb, exitGrace)
}

// Wait returns the exit code of a process that ends by itself.
func (p *Process) Wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		tb.Fatalf("%s has not ended within %v", p.name, limit)
	}
	if exit := new(exec.ExitError); errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
