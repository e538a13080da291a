// Fleet simulates devices that speak to a gateway over their own protocols, and
// checks that no message that was acknowledged to them is missing.
//
//	fleet [flags]           run devices, see fleet -help
//	fleet check [flags]     compare the report of a run with the messages that arrived
//	fleet version
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/causeway-iot/causeway/modules/fleet/internal/check"
	"github.com/causeway-iot/causeway/modules/fleet/internal/fleet"
)

// version is set by the linker.
var version = "dev"

// Exit codes.
const (
	exitViolation = 1 // the check found something, or the run could not be reported
	exitUsage     = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the run in order, a second one at once.
	context.AfterFunc(ctx, stop)
	code := command(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func command(ctx context.Context, arguments []string) int {
	name := "run"
	if len(arguments) > 0 && arguments[0] != "" && arguments[0][0] != '-' {
		name, arguments = arguments[0], arguments[1:]
	}
	var err error
	switch name {
	case "run":
		err = run(ctx, arguments)
	case "check":
		err = check.Command(ctx, arguments, os.Stdout)
	case "version":
		fmt.Println(version)
	default:
		fmt.Fprintf(os.Stderr, "fleet: command %q: allowed are run, check, version\n", name)
		return exitUsage
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, check.ErrViolation), errors.Is(err, errReport):
		fmt.Fprintln(os.Stderr, "fleet:", err)
		return exitViolation
	}
	fmt.Fprintln(os.Stderr, "fleet:", err)
	return exitUsage
}

var errReport = errors.New("the report could not be written")

func run(ctx context.Context, arguments []string) error {
	o, err := fleet.ParseOptions(arguments, os.Getenv, flag.NewFlagSet("fleet", flag.ContinueOnError))
	if err != nil {
		return err
	}
	file := io.WriteCloser(nopCloser{io.Discard})
	switch o.Report {
	case "":
	case "-":
		file = nopCloser{os.Stdout}
	default: // before the run, so that a wrong path is not found out after it
		if file, err = os.Create(o.Report); err != nil {
			return err
		}
	}
	status := io.Writer(os.Stdout)
	if o.Report == "-" {
		status = os.Stderr
	}
	r := fleet.Run(ctx, o, version, status)
	fleet.Summarize(status, r)
	if err := errors.Join(r.Write(file), file.Close()); err != nil {
		return fmt.Errorf("%w: %w", errReport, err)
	}
	return nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
