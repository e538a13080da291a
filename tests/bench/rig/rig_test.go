package rig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAProcessIsStartedLookedAtAndStopped(t *testing.T) {
	dir := t.TempDir()
	c := Command{Name: "shell", Path: "/bin/sh", Dir: dir, Log: filepath.Join(dir, "log"), Args: []string{
		"-c", "echo ready; while :; do :; done",
	}}
	p, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = Within(t.Context(), 10*time.Second, "it has used some time", func() (bool, error) {
		cpu, err := p.CPU()
		return cpu > 0, err
	})
	m, failed := p.Memory()
	if err != nil || failed != nil || m.Resident <= 0 || m.Peak < m.Resident || p.Alive() != nil {
		t.Errorf("%v, %v, %+v, %v", err, failed, m, p.Alive())
	}
	if err := p.ResetPeak(); err != nil {
		t.Error(err)
	}
	p.Stop()
	if err := p.Alive(); err == nil || !strings.Contains(err.Error(), "ready") {
		t.Errorf("after its end: %v", err)
	}
	if _, err := p.CPU(); err == nil {
		t.Error("a process that is gone has used time")
	}
	if _, err := (Command{Name: "nothing", Path: filepath.Join(dir, "none"), Log: c.Log}).Start(t.Context()); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestTheKernelsFiguresAreRead(t *testing.T) {
	cpu, err := parseStat("12 (a (strange) name) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 8 0")
	if err != nil || cpu != 3*time.Second {
		t.Errorf("%v, %v", cpu, err)
	}
	m, err := parseMemory("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if err != nil || m != (Memory{Resident: 1 << 20, Peak: 2 << 20}) {
		t.Errorf("%+v, %v", m, err)
	}
	if n, ok := parseMallocs(strings.NewReader("# HELP\ngo_memstats_mallocs_total{a=\"b c\"} 3.5e+06\n")); !ok || n != 3.5e6 {
		t.Errorf("%v, %v", n, ok)
	}
	for _, text := range []string{"", "12 (x) S 1", "12 (x) S 1 2 3 4 5 6 7 8 9 10 a b 0"} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	for _, text := range []string{"", "VmRSS: many kB\n"} {
		if _, err := parseMemory(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	if _, ok := parseMallocs(strings.NewReader("other 1\n")); ok {
		t.Error("a figure that is not there was found")
	}
}

func TestWithinEnds(t *testing.T) {
	broken := errors.New("broken")
	if err := Within(t.Context(), time.Second, "x", func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	err := Within(t.Context(), time.Millisecond, "the sun rises", func() (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "the sun rises") {
		t.Error(err)
	}
}

func TestContendersHaveNamesAndPorts(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Contenders() {
		if found, err := Find(c.Name); err != nil || found.Label != c.Label || seen[c.Name] {
			t.Errorf("%s: %v", c.Name, err)
		}
		seen[c.Name] = true
		if _, err := c.Version(t.Context(), Programs{Bin: t.TempDir(), Node: t.TempDir()}); err == nil {
			t.Errorf("%s has a version without a program", c.Name)
		}
	}
	if _, err := Find("abacus"); err == nil || !strings.Contains(err.Error(), "naive") {
		t.Error(err)
	}
	for _, network := range []string{"tcp", "udp"} {
		list, err := Ports(t.Context(), network, 20)
		if err != nil || len(list) != 20 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

func TestTheConfigurationOfBenthosIsWritten(t *testing.T) {
	dir := t.TempDir()
	command, err := benthos(nil, Setup{Sink: &Sink{}, Dir: dir, Listen: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(command.Args[1])
	if err != nil || !strings.Contains(string(text), `"socket_server"`) {
		t.Errorf("%s, %v", text, err)
	}
	if ctx, cancel := context.WithCancel(t.Context()); cancel != nil {
		cancel()
		if _, err := nodeVersion(ctx, dir); err == nil {
			t.Error("a version of nothing")
		}
	}
}
