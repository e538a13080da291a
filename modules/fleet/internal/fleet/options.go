// Package fleet runs many simulated devices together, tells how they do, and
// reports what became of their messages.
package fleet

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/misbehave"
	"github.com/causeway-iot/causeway/modules/fleet/internal/teltonika"
)

// envPrefix begins the environment variable of each flag: -udp-trackers is
// FLEET_UDP_TRACKERS.
const envPrefix = "FLEET_"

// Options are what a run is asked for.
type Options struct {
	Trackers, UDPTrackers, Meters, Lines int
	TCP, UDP, MetersAddr, LinesAddr      string
	Rate                                 float64
	Interval, Duration, Settle           time.Duration
	Count, First                         uint64
	Offset, Records, Window              int
	Codec                                string
	LinesAck, MetersAck                  string
	AckTimeout, ClockSteps               time.Duration
	Silent                               bool
	Sources                              string
	Misbehave                            string
	Report                               string

	sources []netip.Addr
	modes   []misbehave.Mode
}

// maxDevices of each kind: made-up ids are unique up to there.
const maxDevices = 100_000

// ParseOptions reads flags, and the environment for those that are not given. It
// returns flag.ErrHelp after it has printed the usage.
func ParseOptions(arguments []string, getenv func(string) string, set *flag.FlagSet) (*Options, error) {
	var o Options
	set.IntVar(&o.Trackers, "trackers", 3, "Teltonika trackers over TCP")
	set.IntVar(&o.UDPTrackers, "udp-trackers", 1, "Teltonika trackers over UDP")
	set.IntVar(&o.Meters, "meters", 2, "meters that send JSON over UDP")
	set.IntVar(&o.Lines, "lines", 2, "devices that write CSV lines over TCP")
	set.StringVar(&o.TCP, "tcp", "causeway:5027", "`address` of the trackers' server over TCP")
	set.StringVar(&o.UDP, "udp", "causeway:5027", "`address` of the trackers' server over UDP")
	set.StringVar(&o.MetersAddr, "meters-addr", "causeway:5028", "`address` of the meters' server")
	set.StringVar(&o.LinesAddr, "lines-addr", "causeway:5029", "`address` of the line devices' server")
	set.Float64Var(&o.Rate, "rate", 1, "messages a second of each device; 0: as fast as they are acknowledged")
	set.DurationVar(&o.Interval, "interval", 0, "time between a device's messages, in place of -rate")
	set.Uint64Var(&o.Count, "count", 0, "messages of each device; 0: no end")
	set.DurationVar(&o.Duration, "duration", 0, "how long to send; 0: until SIGTERM, or until -count is reached")
	set.DurationVar(&o.Settle, "settle", 10*time.Second, "how long to wait at the end for acknowledgements")
	set.Uint64Var(&o.First, "first", 1, "`number` of the first message, for runs that follow one another")
	set.IntVar(&o.Offset, "offset", 0, "`number` of the first device, for fleets beside one another")
	set.IntVar(&o.Records, "records", 10, "most records in a tracker's packet")
	set.StringVar(&o.Codec, "codec", "mixed", "the trackers' codec: 8, 8e, or mixed")
	set.DurationVar(&o.ClockSteps, "clock-steps", 0, "bound of the jumps of the clocks that date the messages")
	set.BoolVar(&o.Silent, "silent", false, "trackers leave commands unanswered")
	set.StringVar(&o.LinesAck, "lines-ack", "OK", "`text` that acknowledges a line; empty: nothing does")
	set.StringVar(&o.MetersAck, "meters-ack", "", "`text` that acknowledges a meter's document; empty: nothing does")
	set.IntVar(&o.Window, "window", 16, "most unacknowledged lines of a line device")
	set.DurationVar(&o.AckTimeout, "ack-timeout", 10*time.Second, "when an unacknowledged message is sent again")
	set.StringVar(&o.Sources, "sources", "", "source `addresses` to dial from in turn, comma-separated")
	set.StringVar(&o.Misbehave, "misbehave", "", "connections to -tcp that misbehave, such as idle=1000,garbage=5; "+
		"`modes`: "+strings.Join(misbehave.Names(), ", "))
	set.StringVar(&o.Report, "report", "", "`file` for the report as JSON; -: standard output")
	if err := set.Parse(arguments); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: only flags are allowed", set.Arg(0))
	}
	if err := fromEnvironment(set, getenv); err != nil {
		return nil, err
	}
	return &o, o.check()
}

// fromEnvironment sets the flags that were not given.
func fromEnvironment(set *flag.FlagSet, getenv func(string) string) error {
	given := make(map[string]bool)
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var faults []error
	set.VisitAll(func(f *flag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" || given[f.Name] {
			return
		}
		if err := set.Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("environment variable %s: %w", name, err))
		}
	})
	return errors.Join(faults...)
}

func (o *Options) check() error {
	var faults []error
	within := func(name string, value, low, high int) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s %d: allowed are %d to %d", name, value, low, high))
		}
	}
	within("trackers", o.Trackers, 0, maxDevices)
	within("udp-trackers", o.UDPTrackers, 0, maxDevices)
	within("meters", o.Meters, 0, maxDevices)
	within("lines", o.Lines, 0, maxDevices)
	within("offset", o.Offset, 0, maxDevices)
	within("records", o.Records, 1, teltonika.MaxRecords)
	within("window", o.Window, 1, 10_000)
	if o.Rate < 0 || o.Rate > 1e6 {
		faults = append(faults, fmt.Errorf("rate %v: allowed are 0 to 1000000", o.Rate))
	}
	for name, value := range map[string]time.Duration{
		"interval": o.Interval, "duration": o.Duration, "settle": o.Settle, "ack-timeout": o.AckTimeout - 1,
		"clock-steps": o.ClockSteps,
	} {
		if value < 0 {
			faults = append(faults, fmt.Errorf("%s: a positive duration is needed", name))
		}
	}
	const most = 1 << 31 // sequence numbers of trackers have 32 bits
	if o.First > most || o.Count > most {
		faults = append(faults, fmt.Errorf("first %d, count %d: allowed are up to %d", o.First, o.Count, uint64(most)))
	}
	if o.Codec != "8" && o.Codec != "8e" && o.Codec != "mixed" {
		faults = append(faults, fmt.Errorf("codec %q: allowed are 8, 8e, mixed", o.Codec))
	}
	for text := range strings.SplitSeq(o.Sources, ",") {
		if text == "" {
			continue
		}
		addr, err := netip.ParseAddr(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("sources: %w", err))
		}
		o.sources = append(o.sources, addr)
	}
	var err error
	if o.modes, err = misbehave.Parse(o.Misbehave); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// interval is the time between the messages of a device; 0 means none.
func (o *Options) interval() time.Duration {
	switch {
	case o.Interval > 0:
		return o.Interval
	case o.Rate > 0:
		return time.Duration(float64(time.Second) / o.Rate)
	}
	return 0
}
