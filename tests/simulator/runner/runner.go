// Package runner keeps a module running as a local process, as the IoT Edge agent keeps a
// container running: restarted by policy with growing pauses, stopped by SIGTERM with grace.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The restart policies of a manifest.
const (
	Never       = "never"
	OnFailure   = "on-failure"
	OnUnhealthy = "on-unhealthy"
	Always      = "always"
)

// The pauses between restarts double from the first to the last; a process that ran for
// steady begins anew.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	steady     = time.Minute
)

// Program is a module's process.
type Program struct {
	Name    string
	Command []string
	// Dir is the working directory; empty for the simulator's.
	Dir string
	// Env is added to the simulator's own environment.
	Env map[string]string
	// Policy is one of the restart policies; empty for Always.
	Policy string
	// Grace is the time from SIGTERM to SIGKILL (10 s, Docker's default).
	Grace time.Duration
	// Pause is the first pause before a restart (1 s).
	Pause          time.Duration
	Stdout, Stderr io.Writer
	// Log is told of starts and ends, one line each; nil for silence.
	Log func(line string)

	pid atomic.Int64
}

// Pid is the running process, or 0.
func (p *Program) Pid() int { return int(p.pid.Load()) }

// Run runs the program until ctx ends or its policy lets it end, which only the log tells.
// started is called at each start. An error is a program that could not be started even once.
func (p *Program) Run(ctx context.Context, started func(pid int)) error {
	if len(p.Command) == 0 {
		return fmt.Errorf("run %s: the command is empty", p.Name)
	}
	shortest := p.Pause
	if shortest <= 0 {
		shortest = firstPause
	}
	pause := shortest
	for first := true; ; first = false {
		begun := time.Now()
		err := p.once(ctx, started)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end was asked for, whatever status it came with
		}
		if first && errors.Is(err, errStart) {
			return fmt.Errorf("run %s: %w", p.Name, err)
		}
		p.log("%s ended: %v", p.Name, ended(err))
		if p.Policy == Never || p.Policy == OnFailure && err == nil {
			return nil
		}
		if time.Since(begun) > steady {
			pause = shortest
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// errStart is a program that is not there, or cannot be executed.
var errStart = errors.New("start")

func ended(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// once runs the program once, in a process group of its own so that what it starts ends
// with it.
func (p *Program) once(ctx context.Context, started func(int)) error {
	cmd := exec.CommandContext(ctx, p.Command[0], p.Command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Dir, p.Stdout, p.Stderr
	cmd.Env = environment(p.Env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	if cmd.WaitDelay = p.Grace; cmd.WaitDelay <= 0 {
		cmd.WaitDelay = 10 * time.Second
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	p.pid.Store(int64(cmd.Process.Pid))
	defer p.pid.Store(0)
	p.log("%s started, pid %d", p.Name, cmd.Process.Pid)
	if started != nil {
		started(cmd.Process.Pid)
	}
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
	return err
}

func (p *Program) log(format string, args ...any) {
	if p.Log != nil {
		p.Log(fmt.Sprintf(format, args...))
	}
}

// environment is the simulator's own without the variables by which modules find a hub,
// and with extra; the last value of a name counts.
func environment(extra map[string]string) []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "IOTEDGE_") && !strings.HasPrefix(name, "EdgeHub") &&
			!strings.HasPrefix(name, "EdgeModule") && name != "IotHubConnectionString" {
			env = append(env, entry)
		}
	}
	names := make([]string, 0, len(extra))
	for name := range extra {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		env = append(env, name+"="+extra[name])
	}
	return env
}

// Split cuts a command line at spaces; single and double quotes hold words together, and a
// backslash outside single quotes takes the next character as it is.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("command %q ends inside a quote", line)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
