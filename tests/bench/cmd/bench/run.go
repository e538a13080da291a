package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/report"
	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

var errUsage = errors.New("bad arguments")

// options are what every command is told.
type options struct {
	programs           rig.Programs
	trials, contenders string
	rounds             int
	seconds            float64
	quick              bool
}

func (o *options) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	f.StringVar(&o.programs.Bin, "bin", "bin", "`folder` of the programs")
	f.StringVar(&o.programs.Node, "node", "tests/bench/node", "`folder` of the Node gateway")
	f.StringVar(&o.trials, "trials", "", "`names` of trials, joined by commas; a name ends in * for all that begin so")
	f.StringVar(&o.contenders, "contenders", "", "`names` of gateways, joined by commas; empty for those of the trials")
	f.IntVar(&o.rounds, "rounds", 0, "`number` of rounds, instead of the trials' own")
	f.Float64Var(&o.seconds, "seconds", 0, "`seconds` that are measured, instead of the trials' own")
	f.BoolVar(&o.quick, "quick", false, "one short round of each: to see that all works")
	return f
}

// chosen returns the trials that were asked for, with the changes that were asked for.
func (o *options) chosen() ([]trial.Trial, error) {
	all := trial.All(o.quick)
	list := all
	if o.trials != "" {
		list = nil
		for name := range strings.SplitSeq(o.trials, ",") {
			found := slices.DeleteFunc(slices.Clone(all), func(t trial.Trial) bool {
				start, open := strings.CutSuffix(name, "*")
				return t.Name != name && (!open || !strings.HasPrefix(t.Name, start))
			})
			if len(found) == 0 {
				return nil, fmt.Errorf("%w: no trial is named %q; the names are %s", errUsage, name, names(all))
			}
			list = append(list, found...)
		}
	}
	for i := range list {
		if o.rounds > 0 {
			list[i].Rounds = o.rounds
		}
		if o.seconds > 0 {
			list[i].Seconds = o.seconds
		}
		if o.contenders != "" {
			list[i].Contenders = slices.DeleteFunc(strings.Split(o.contenders, ","), func(name string) bool {
				return !list[i].For(name)
			})
		}
	}
	return slices.DeleteFunc(list, func(t trial.Trial) bool { return len(t.Contenders) == 0 }), nil
}

func names(list []trial.Trial) string {
	var all []string
	for i := range list {
		all = append(all, list[i].Name)
	}
	return strings.Join(all, ", ")
}

// measure is the command run.
func measure(ctx context.Context, args []string) error {
	var o options
	if err := o.flags("run").Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	run, failed := o.measure(ctx)
	if run == nil {
		return failed
	}
	fmt.Println()
	fmt.Print(report.Tables(run))
	return failed
}

// measure runs what was chosen. The error tells what was wrong; the run is nil when nothing was
// measured.
func (o *options) measure(ctx context.Context) (*report.Run, error) {
	list, err := o.chosen()
	if err != nil {
		return nil, err
	}
	// Programs run in folders of their own.
	for _, folder := range []*string{&o.programs.Bin, &o.programs.Node} {
		if *folder, err = filepath.Abs(*folder); err != nil {
			return nil, err
		}
	}
	scratch, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	runner := &trial.Runner{Programs: o.programs, Scratch: scratch}
	run := report.NewRun(ctx, "bench "+strings.Join(os.Args[1:], " "))
	var failures []error
	for i := range list {
		more, err := o.trial(ctx, runner, list[i], run)
		failures = append(failures, more...)
		if ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), os.RemoveAll(scratch))
		}
		if err != nil {
			return nil, fmt.Errorf("%w (what the programs printed is in %s)", err, scratch)
		}
	}
	run.Took = time.Since(run.Date)
	return run, errors.Join(append(failures, os.RemoveAll(scratch))...)
}

// trial runs all rounds of one trial: in each round every contender in turn, so that what the
// machine does meanwhile meets all alike.
func (o *options) trial(
	ctx context.Context, runner *trial.Runner, t trial.Trial, run *report.Run,
) (wrong []error, err error) {
	run.Trials = append(run.Trials, t)
	for round := range max(t.Rounds, 1) {
		for _, name := range t.Contenders {
			c, err := rig.Find(name)
			if err != nil {
				return wrong, fmt.Errorf("%w: %w", errUsage, err)
			}
			version, err := c.Version(ctx, o.programs)
			if err != nil {
				run.Leave(c, err)
				continue
			}
			run.Has(c, version)
			result, err := runner.Run(ctx, t, c, round+1)
			if ctx.Err() != nil {
				return wrong, context.Cause(ctx)
			}
			if err != nil && c.Name != rig.Causeway {
				run.Leave(c, err)
				fmt.Fprintln(os.Stderr, "left out:", err)
				continue
			}
			if err != nil {
				return wrong, err
			}
			run.Results = append(run.Results, result)
			fmt.Fprintln(os.Stderr, report.Line(&result))
			if why := result.Wrong(c.Peer); why != "" {
				wrong = append(wrong, fmt.Errorf("%s, %s, round %d: %s", t.Name, c.Name, round+1, why))
			}
		}
	}
	return wrong, nil
}
