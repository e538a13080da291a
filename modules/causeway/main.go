// Command causeway is the gateway: an IoT Edge module that connects devices which
// speak their own TCP or UDP protocol.
//
//	causeway [run]     serve until SIGTERM or SIGINT
//	causeway health    exit 0 when the gateway on this host is alive
//	causeway version   print the version
//
// and what package cli has for a prompt: decode, encode, frame, explain, identify, codec,
// devices.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/causeway-iot/causeway/modules/causeway/codecs"
	"github.com/causeway-iot/causeway/modules/causeway/internal/cli"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/gateway"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
)

// version is set by the linker; module.json has the same.
var version = "0.1.0-dev"

// exitFailed is the exit code of the gateway itself; package cli has those of a prompt.
const exitFailed = 1

func main() {
	command := "run"
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	switch command {
	case "run":
		err = run(ctx)
	case "health":
		err = health(ctx)
	case "version":
		_, err = fmt.Println("causeway", version)
	default:
		os.Exit(prompt(ctx, os.Args[1:]))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "causeway:", err)
		os.Exit(exitFailed)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	defer profiling()()
	defer pacing()()
	env, err := config.LoadEnvironment()
	if err != nil {
		return err
	}
	level, err := observe.NewLevel(env.LogLevel)
	if err != nil {
		return err
	}
	log := observe.NewLogger(os.Stdout, level)
	for _, name := range env.Unknown {
		log.Warn().Str("variable", name).Msg("unknown environment variable")
	}
	registry, err := codecs.All()
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Options{
		Environment: env, Version: version, Log: log, Level: level, Registry: registry,
	})
	if err != nil {
		return err
	}
	log.Info().Str("version", version).Str("device", env.Hub.DeviceID).Str("module", env.Hub.ModuleID).
		Str("hub", env.Hub.Host()).Str("upstream", env.Hub.UpstreamProtocol).
		Str("environment", string(env.Hub.Style)).Msg("causeway starting")
	return g.Run(ctx)
}

// prompt carries out a command of the command line and returns its exit code.
func prompt(ctx context.Context, args []string) int {
	registry, err := codecs.All()
	if err != nil {
		fmt.Fprintln(os.Stderr, "causeway:", err)
		return exitFailed
	}
	return cli.Run(ctx, args, cli.Options{
		Registry: registry, Transform: gateway.Transform, Loader: loader{},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Color: cli.Terminal(os.Stdout) && os.Getenv("NO_COLOR") == "",
		Data:  cmp.Or(os.Getenv("CAUSEWAY_DATA_DIR"), "/var/lib/causeway"),
	})
}

// health asks the gateway of this container; it is the image's HEALTHCHECK.
func health(ctx context.Context) error {
	addr := os.Getenv("CAUSEWAY_METRICS_ADDR")
	if addr == "" {
		addr = ":9600"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("health is off: CAUSEWAY_METRICS_ADDR names no address")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return observe.Check(ctx, "http://"+net.JoinHostPort(host, port)+"/healthz")
}
