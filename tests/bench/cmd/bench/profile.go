package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/report"
	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

const (
	// profileFolder takes the profiles.
	profileFolder = ".run/profile"
	// profileTime is how long the CPU is looked at, profileLimit how long the gateway may
	// take to write the heap.
	profileTime  = 10 * time.Second
	profileLimit = 30 * time.Second
)

// profile is the command profile.
func profile(ctx context.Context, args []string) error {
	var o options
	if err := o.flags("profile").Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if _, err := o.shares(ctx); err != nil {
		return err
	}
	for _, question := range [][]string{
		{"-top", "-nodecount=40", "cpu.pprof"},
		{"-top", "-nodecount=20", "-sample_index=alloc_objects", "heap.pprof"},
		{"-top", "-nodecount=20", "-sample_index=inuse_space", "heap.pprof"},
	} {
		text, err := pprof(ctx, question...)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s\n", text)
	}
	fmt.Printf("\nThe profiles are in %s: go tool pprof -http=: %s/cpu.pprof\n", profileFolder, profileFolder)
	return nil
}

// shares takes the profiles with the gateway that was built for it and returns where its time
// went.
func (o *options) shares(ctx context.Context) ([]report.Share, error) {
	if err := os.MkdirAll(profileFolder, 0o755); err != nil { //nolint:gosec // of this checkout
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(o.programs.Bin)
	if err != nil {
		return nil, err
	}
	// The folder of the special build is the one of all others, with one program changed.
	special := filepath.Join(scratch, "bin")
	links := map[string]string{"causeway": "profile/causeway", "bench-sink": "bench-sink"}
	if err := os.Mkdir(special, 0o755); err != nil { //nolint:gosec // temporary
		return nil, err
	}
	for name, target := range links {
		if err := os.Symlink(filepath.Join(bin, target), filepath.Join(special, name)); err != nil {
			return nil, err
		}
	}
	runner := &trial.Runner{
		Programs: rig.Programs{Bin: special}, Scratch: scratch,
		Keep: func(p *rig.Process, dir string) error { return keep(ctx, p, filepath.Join(dir, "gateway")) },
	}
	load := options{trials: trial.Lines50}
	if o.trials != "" {
		load.trials = o.trials
	}
	list, err := load.chosen()
	if err != nil {
		return nil, err
	}
	c, err := rig.Find(rig.Causeway)
	if err != nil {
		return nil, err
	}
	if _, err := runner.Run(ctx, list[0], c, 1); err != nil {
		return nil, err
	}
	top, err := pprof(ctx, "-top", "-nodecount=100000", "-nodefraction=0", "cpu.pprof")
	return report.Shares(top), errors.Join(err, os.RemoveAll(scratch))
}

// keep takes the profiles from the gateway and moves them where they stay.
func keep(ctx context.Context, p *rig.Process, dir string) error {
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	timer := time.NewTimer(profileTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	}
	if err := p.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	err := rig.Within(ctx, profileLimit, "the heap profile is written", func() (bool, error) {
		_, err := os.Stat(filepath.Join(dir, "heap.pprof"))
		return err == nil, p.Alive()
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"cpu.pprof", "heap.pprof"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(profileFolder, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pprof asks Go's own tool; the last argument is the profile's file.
func pprof(ctx context.Context, args ...string) (string, error) {
	file := filepath.Join(profileFolder, args[len(args)-1])
	args = append([]string{"tool", "pprof"}, append(args[:len(args)-1:len(args)-1], file)...)
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return string(out), nil
}
