//go:build profile

package main

import (
	"bytes"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestSignalsTakeProfiles(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Chdir(t.TempDir())
	stop := profiling()
	defer stop()
	for _, step := range []struct {
		signal syscall.Signal
		file   string
	}{{syscall.SIGUSR1, cpuProfile}, {syscall.SIGUSR2, heapProfile}} {
		if err := syscall.Kill(os.Getpid(), step.signal); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(20 * time.Second)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for _, err := os.Stat(step.file); err != nil; _, err = os.Stat(step.file) {
			select {
			case <-deadline:
				t.Fatalf("%v wrote no %s", step.signal, step.file)
			case <-tick.C:
			}
		}
	}
	for _, file := range []string{cpuProfile, heapProfile} {
		b, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) { // profiles are compressed by gzip
			t.Errorf("%s: %d bytes, %v", file, len(b), err)
		}
	}
}
