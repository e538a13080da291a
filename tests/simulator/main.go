// Command simulator is an offline IoT Edge device: an edge hub with an AMQP head, the
// workload API, twins, direct methods, routes and a visible $upstream, and the switches to
// make it misbehave. docs/simulator.md tells how to use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

// The exit codes.
const (
	exitOK = 0
	// exitError is a simulator that cannot be reached or refused the request.
	exitError = 1
	exitUsage = 2
	// exitStatus is a direct method that was answered with a status of 300 and above.
	exitStatus = 3
	// exitNotConnected and exitTimeout are methods without an answer (404, 504).
	exitNotConnected = 4
	exitTimeout      = 5
)

const usage = `usage: simulator <command> [flags] [arguments]

  up [flags] [deployment.json [layer ...]]   start the simulator; -h lists the flags
  messages [-f] [-n N] [-json]               show what has reached the cloud
  method <module> <name> [payload]           call a direct method [-timeout s] [-connect s]
  twin get <module>                          show a twin
  twin patch <module> <json>                 merge desired properties
  input <module> <input> <body> [name=value] put a message before a module's input
  send <device> <body> [name=value ...]      send a message from the cloud to a leaf device
                                             [-id i] [-ttl t] [-wait t]
  leaf add <device> [key]                    make leaf devices known, also meter-[001-300]
  leaf key <device> <key>                    give one another key
  leaf disable|enable|remove <device>        keep one from connecting
  service [-direct]                          the connection string for service SDKs, or for
                                             devices without an edge device
  fault <what> ...                           misbehave; "fault -h" lists how
  env <module> [-style connectionstring]     the environment that a module needs
  stats                                      counts, clients, and what each identity did
  version

All but up find the simulator by -control URL, CAUSEWAY_SIMULATOR, or the state folder.
Exit codes: 0 done, 1 failed, 2 usage, 3 method status 300 and above or a message that was
not completed, 4 module not connected, 5 no answer in time.
`

// codedError is an error that chooses the exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func misuse(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	var coded *codedError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &coded):
		fmt.Fprintln(stderr, "simulator:", err)
		return coded.code
	}
	fmt.Fprintln(stderr, "simulator:", err)
	return exitError
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return misuse("a command is missing")
	}
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"up": up, "messages": messages, "method": method, "twin": twinCommand, "input": input,
		"send": send, "leaf": leaf, "service": service, "fault": fault, "env": env, "stats": stats,
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	case "version":
		fmt.Fprintln(stdout, "simulator", programVersion())
		return nil
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprint(stderr, usage)
		return misuse("unknown command %q", args[0])
	}
	return command(ctx, args[1:], stdout, stderr)
}

// version is set by the build (-X main.version=...).
var version string

// programVersion is that, or the commit or module version that the build came from.
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}

// defaultState is the state folder when none is named.
func defaultState() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "causeway-simulator")
}

// parse reads flags that may stand among the arguments and returns the arguments.
// Behind -- everything is an argument.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, &codedError{exitUsage, err}
		}
		left := flags.Args()
		if consumed := len(args) - len(left); consumed > 0 && args[consumed-1] == "--" {
			return append(rest, left...), nil
		}
		if len(left) == 0 {
			return rest, nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}
