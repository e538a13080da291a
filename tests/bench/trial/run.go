package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/load"
	"github.com/causeway-iot/causeway/tests/bench/payload"
	"github.com/causeway-iot/causeway/tests/bench/rig"
)

const (
	// startLimit is how long a gateway may take to listen.
	startLimit = 60 * time.Second
	// drainPatience is the default of Runner.Patience.
	drainPatience = 15 * time.Second
	// settleTime is how long a gateway is left alone before its memory is read.
	settleTime = time.Second
	// drainLimit bounds the drain of a gateway that goes on slowly.
	drainLimit = 3 * time.Minute
	// manyConnections is from where they are let go on in larger steps, since each step is
	// a write on every one of them.
	manyConnections = 200
)

// Runner runs trials.
type Runner struct {
	Programs rig.Programs
	// Scratch is an empty folder for the runs.
	Scratch string
	// Keep is called on the gateway's process while the load is at its middle, nil for
	// nothing: profiles are taken there.
	Keep func(*rig.Process, string) error
	// Patience is how long nothing may arrive until the drain counts as over, 15 s if zero.
	Patience time.Duration

	runs int
}

// run is one run under way.
type run struct {
	*Runner
	Trial
	contender rig.Contender
	dir       string
	addresses []string
	sink      *rig.Sink
	gateway   *rig.Process
	load      *load.Load
	result    Result
}

// Run measures one contender once. The error is about the run itself; what the gateway did
// wrong is in the result.
func (r *Runner) Run(ctx context.Context, t Trial, c rig.Contender, round int) (Result, error) {
	r.runs++
	u := &run{Runner: r, Trial: t, contender: c, dir: filepath.Join(r.Scratch, fmt.Sprintf("run%d", r.runs))}
	u.result = Result{Trial: t.Name, Contender: c.Name, Round: round, X: t.X}
	err := u.measure(ctx)
	if err != nil {
		return u.result, fmt.Errorf("%s, %s, round %d: %w", t.Name, c.Name, round, err)
	}
	u.result.LoadAverage = LoadAverage()
	return u.result, os.RemoveAll(u.dir)
}

func (u *run) measure(ctx context.Context) (err error) {
	if err = u.start(ctx); err != nil {
		return err
	}
	defer func() {
		u.gateway.Stop()
		u.sink.Stop()
	}()
	if u.Shape == Startup {
		return u.restart(ctx)
	}
	if err = wait(ctx, settleTime); err != nil {
		return err
	}
	memory, err := u.gateway.Memory()
	if err != nil {
		return err
	}
	u.result.IdleRSS = memory.Resident
	if err = u.dial(ctx); err != nil {
		return errors.Join(err, u.gateway.Alive())
	}
	defer func() { err = errors.Join(err, u.load.Close()) }()
	switch u.Shape {
	case Idle:
		return u.idle(ctx)
	case Outage:
		return u.outage(ctx)
	default:
		return u.flow(ctx)
	}
}

// start starts the sink and the gateway and waits until it listens.
func (u *run) start(ctx context.Context) (err error) {
	for _, dir := range []string{"sink", "gateway"} {
		if err = os.MkdirAll(filepath.Join(u.dir, dir), 0o700); err != nil {
			return err
		}
	}
	if u.addresses, err = rig.Ports(ctx, u.Network, u.listeners()); err != nil {
		return err
	}
	// The certificates' places are known before the sink makes them.
	certificates := &rig.Sink{}
	certificates.Certificate = filepath.Join(u.dir, "sink", "listener.crt")
	certificates.Key = filepath.Join(u.dir, "sink", "listener.key")
	desired, err := u.desired(u.addresses, certificates)
	if err != nil {
		return err
	}
	u.sink, err = rig.StartSink(ctx, filepath.Join(u.Programs.Bin, "bench-sink"), filepath.Join(u.dir, "sink"),
		rig.SinkOptions{Desired: desired, Delay: u.Delay, Standard: u.contender.Standard})
	if err != nil {
		return err
	}
	if u.gateway, err = u.startGateway(ctx); err != nil {
		u.sink.Stop()
		return err
	}
	return nil
}

func (u *run) startGateway(ctx context.Context) (*rig.Process, error) {
	setup := rig.Setup{Sink: u.sink, Dir: filepath.Join(u.dir, "gateway"), Listen: u.addresses}
	p, err := u.contender.Start(ctx, u.Programs, setup)
	if err != nil {
		return nil, err
	}
	err = rig.Within(ctx, startLimit, u.contender.Name+" listens", func() (bool, error) {
		return u.listening(ctx), p.Alive()
	})
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// listening says whether all listeners take connections. A UDP listener is known by its port
// being taken.
func (u *run) listening(ctx context.Context) bool {
	for _, address := range u.addresses {
		if u.Network == "udp" {
			var lc net.ListenConfig
			l, err := lc.ListenPacket(ctx, "udp", address)
			if err == nil {
				_ = l.Close()
				return false
			}
			continue
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	return true
}

func (u *run) dial(ctx context.Context) (err error) {
	o := load.Options{
		Kind: u.Kind, Network: u.Network, Addresses: u.addresses, Connections: u.Connections, Devices: u.Devices,
	}
	if u.Network == "tls" {
		if o.TLS, err = u.sink.TLS(); err != nil {
			return err
		}
	}
	u.load, err = load.Dial(ctx, o)
	return err
}

// drain waits until all that was sent has arrived, or nothing arrives any more, and judges.
func (u *run) drain(ctx context.Context) error {
	patience := u.Patience
	if patience == 0 {
		patience = drainPatience
	}
	var arrived uint64
	begun, moved := time.Now(), time.Now()
	for {
		f, err := u.sink.Counts(ctx)
		if err != nil {
			return err
		}
		sent := u.load.Sent()
		u.result.Sent, u.result.Lost = sent, sent-int64(f.Distinct)
		u.result.Duplicates, u.result.Reordered = int64(f.Duplicates), int64(f.Reordered)
		u.result.Foreign = int64(f.Foreign)
		if f.Distinct != arrived {
			arrived, moved = f.Distinct, time.Now()
		}
		if u.result.Lost == 0 || time.Since(moved) > patience {
			return u.gateway.Alive()
		}
		if time.Since(begun) > drainLimit {
			return fmt.Errorf("drain: %d of %d messages are still to come after %v", u.result.Lost, sent, drainLimit)
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// LoadAverage is the machine's, over the last minute; 0 where it is not known.
func LoadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64) // no figure on a system without it
	return v
}

// perMillion is seconds for a million messages.
func perMillion(cpu time.Duration, messages uint64) float64 {
	if messages == 0 {
		return 0
	}
	return cpu.Seconds() / float64(messages) * 1e6
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// least is how many messages may always be under way: a few on every connection. What a slow
// gateway has to drain at the end is not much more; for a fast one the bound doubles with every
// time around.
func (t *Trial) least() int64 {
	if t.Kind == payload.Teltonika {
		return 1 << 62 // trackers wait by themselves
	}
	if t.Connections > manyConnections {
		return int64(16 * t.Connections)
	}
	return int64(max(200, 4*t.Connections))
}
