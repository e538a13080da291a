package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// exitGrace is how long a process may take to end after SIGTERM.
const exitGrace = 15 * time.Second

// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 on every Linux that Go
// runs on.
const clockTick = 10 * time.Millisecond

// Process is a started program.
type Process struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{}
}

// Command is what to start: the environment is exactly Env, PATH and HOME. Its output goes to
// the file Log.
type Command struct {
	Name, Path, Dir, Log string
	Args, Env            []string
}

// Start starts a program. The caller stops it.
func (c Command) Start(ctx context.Context) (*Process, error) {
	out, err := os.Create(c.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer func() { _ = out.Close() }() // the process has its own handle
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.Path, c.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, out, out
	cmd.Env = append(append([]string{}, c.Env...), "PATH="+os.Getenv("PATH"), "HOME="+c.Dir)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, log: c.Log, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended does not matter; that it did is told by done
		close(p.done)
	}()
	return p, nil
}

// Stop ends the process: with SIGTERM, and with SIGKILL when that takes too long. It returns
// when the process is gone.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Alive is nil while the process runs, otherwise an error with the end of what it printed.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		text, _ := os.ReadFile(p.log)
		const most = 2000
		return fmt.Errorf("%s has ended: %s", p.name, text[max(0, len(text)-most):])
	default:
		return nil
	}
}

// CPU is what the process has used, user and system.
func (p *Process) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("cpu of %s: %w", p.name, err)
	}
	return parseStat(string(text))
}

// parseStat reads utime and stime of proc(5). The name in the second field may hold anything.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, errors.New("cpu: the line of /proc is too short")
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	system, err2 := strconv.ParseInt(fields[stime], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err, err2)
}

// Memory is the resident memory in bytes, Peak the most since the start or ResetPeak.
type Memory struct{ Resident, Peak int64 }

// Memory reads the kernel's figures.
func (p *Process) Memory() (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return Memory{}, fmt.Errorf("memory of %s: %w", p.name, err)
	}
	return parseMemory(string(text))
}

func parseMemory(text string) (m Memory, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &m.Resident, "VmHWM": &m.Peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("memory: %s: %w", name, err)
		}
		*into = kib << 10
	}
	if m.Resident == 0 {
		return m, errors.New("memory: no figures, the process has ended")
	}
	return m, nil
}

// ResetPeak forgets the peak so far.
func (p *Process) ResetPeak() error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
	if err != nil {
		return fmt.Errorf("memory of %s: %w", p.name, err)
	}
	return nil
}
