package trial

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/sink"
)

// meter is a moment of a run.
type meter struct {
	at       time.Time
	figures  sink.Figures
	cpu      time.Duration
	mallocs  float64
	measured bool // mallocs is known
}

func (u *run) read(ctx context.Context) (m meter, err error) {
	if m.cpu, err = u.gateway.CPU(); err != nil {
		return m, err
	}
	if m.figures, err = u.sink.Figures(ctx); err != nil {
		return m, err
	}
	m.at = time.Now()
	if u.contender.Name == rig.Causeway {
		m.mallocs, m.measured = u.gateway.Mallocs(ctx)
	}
	return m, nil
}

// between fills in what lies between two moments.
func (r *Result) between(a, b *meter, paced bool) {
	n := b.figures.Distinct - a.figures.Distinct
	r.Rate = float64(n) / b.at.Sub(a.at).Seconds()
	r.CPU = perMillion(b.cpu-a.cpu, n)
	r.SinkCPU = perMillion(b.figures.CPU-a.figures.CPU, n)
	if a.measured && b.measured && n > 0 {
		each := (b.mallocs - a.mallocs) / float64(n)
		r.Allocations = &each
	}
	if paced {
		l := b.figures.Latency
		r.P50, r.P99, r.P999 = milliseconds(l.P50), milliseconds(l.P99), milliseconds(l.P999)
	}
}

// flow measures in the middle of a load that never pauses.
func (u *run) flow(ctx context.Context) error {
	return u.whileSending(ctx, u.Rate == 0, func(ctx context.Context) error {
		span := time.Duration(u.Seconds * float64(time.Second))
		if err := wait(ctx, span/5); err != nil {
			return err
		}
		if err := u.gateway.ResetPeak(); err != nil {
			return err
		}
		if err := u.sink.Mark(ctx); err != nil {
			return err
		}
		begin, err := u.read(ctx)
		if err != nil {
			return err
		}
		if u.Keep != nil {
			err = u.Keep(u.gateway, u.dir)
		} else {
			err = wait(ctx, span)
		}
		if err != nil {
			return err
		}
		end, err := u.read(ctx)
		if err != nil {
			return err
		}
		u.result.between(&begin, &end, u.Rate > 0)
		return u.remember()
	})
}

// remember takes down the memory.
func (u *run) remember() error {
	m, err := u.gateway.Memory()
	u.result.LoadRSS, u.result.PeakRSS = m.Resident, m.Peak
	return err
}

// whileSending runs something under load, ends the load and drains. A load that is bounded is
// kept about a second ahead of the sink.
func (u *run) whileSending(ctx context.Context, bounded bool, during func(context.Context) error) error {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent, led := make(chan error, 1), make(chan error, 1)
	if bounded {
		u.load.Allow(u.least())
		go func() { led <- u.lead(sending) }()
	} else {
		led <- nil
	}
	go func() {
		if u.Rate > 0 {
			sent <- u.load.Pace(sending, u.Rate)
		} else {
			sent <- u.load.Run(sending)
		}
	}()
	err := during(ctx)
	stop()
	err = errors.Join(err, <-led, <-sent)
	if err != nil {
		return errors.Join(err, u.gateway.Alive())
	}
	return u.drain(ctx)
}

// The sink is asked every step how far it is; what arrived within leadTime may be under way.
const (
	leadStep     = 10 * time.Millisecond
	leadStepMany = 100 * time.Millisecond
	leadTime     = time.Second
)

// lead lets the load go on as messages arrive, until ctx ends.
func (u *run) lead(ctx context.Context) error {
	step := leadStep
	if u.Connections > manyConnections {
		step = leadStepMany
	}
	past := make([]int64, leadTime/step)
	for i := 0; ; i = (i + 1) % len(past) {
		f, err := u.sink.Counts(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // a question that was cut off by the end
		case err != nil:
			return err
		}
		arrived := int64(f.Distinct)
		u.load.Allow(arrived + max(u.least(), arrived-past[i]))
		past[i] = arrived
		if wait(ctx, step) != nil {
			return nil //nolint:nilerr // the end
		}
	}
}

// idle opens connections that say who they are and are silent then.
func (u *run) idle(ctx context.Context) error {
	if err := u.load.Once(); err != nil {
		return err
	}
	if err := u.drain(ctx); err != nil {
		return err
	}
	// Idle means that nothing has come for a while. The garbage of the start is gone after two
	// collections, which the runtime forces every two minutes by itself; the wait is the same
	// for all.
	if err := wait(ctx, time.Duration(u.Seconds*float64(time.Second))); err != nil {
		return err
	}
	return u.remember()
}

// outage stops the hub under full load. The gateway's peak until it has delivered everything is
// what counts.
func (u *run) outage(ctx context.Context) error {
	u.result.Resends = true
	err := u.whileSending(ctx, false, func(ctx context.Context) error {
		if err := wait(ctx, 2*time.Second); err != nil {
			return err
		}
		if err := u.sink.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err := wait(ctx, time.Duration(u.Seconds*float64(time.Second)))
		return errors.Join(err, u.sink.Signal(syscall.SIGCONT))
	})
	return errors.Join(err, u.remember())
}

// restart measures the start on a configuration that the gateway has kept.
func (u *run) restart(ctx context.Context) error {
	if err := wait(ctx, settleTime); err != nil { // it is written by now
		return err
	}
	u.gateway.Stop()
	begun := time.Now()
	gateway, err := u.startGateway(ctx)
	if err != nil {
		return err
	}
	u.gateway, u.result.StartMS = gateway, milliseconds(time.Since(begun))
	return nil
}
