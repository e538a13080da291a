//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
)

// The profiles are written into the working directory.
const (
	cpuProfile  = "cpu.pprof"
	heapProfile = "heap.pprof"
)

// profiling lets `make profile` look into the gateway: SIGUSR1 begins a CPU profile, SIGUSR2
// ends it and writes the heap. Only a build with the tag profile has it, so that the product
// needs no port and no variable for it. What goes wrong is told on stderr.
func profiling() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range signals {
			act := beginProfile
			if s == syscall.SIGUSR2 {
				act = endProfile
			}
			if err := act(); err != nil {
				fmt.Fprintln(os.Stderr, "causeway: profile:", err)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
		pprof.StopCPUProfile()
	}
}

func beginProfile() error {
	f, err := os.Create(cpuProfile)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// endProfile writes the heap under another name first, so that it is whole when it is there.
func endProfile() error {
	pprof.StopCPUProfile()
	f, err := os.Create(heapProfile + ".new")
	if err != nil {
		return err
	}
	runtime.GC() // what is garbage is not looked for
	if err := pprof.WriteHeapProfile(f); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(heapProfile+".new", heapProfile)
}
