// Command bench compares Causeway with its peers on this machine. See the README of the folder
// tests/bench.
//
//	bench run      measure, and print tables
//	bench report   measure everything and write docs/performance.md
//	bench page     write docs/performance.md again from the figures of the last report
//	bench profile  take CPU and heap profiles of Causeway under load
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	commands := map[string]func(context.Context, []string) error{
		"run": measure, "report": writeReport, "page": writePage, "profile": profile,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench run|report|page|profile [flags]")
		os.Exit(exitUsage)
	}
	if err := commands[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if errors.Is(err, errUsage) {
			os.Exit(exitUsage)
		}
		os.Exit(exitFailed)
	}
}
