package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

// Verdict is one target and what was measured.
type Verdict struct {
	Measure, Want, Got string
	// Met is false where it was missed or not measured.
	Met bool
}

// at is a figure's place: a trial and a contender.
type at struct{ trial, contender string }

func rate(r *trial.Result) float64 { return r.Rate }
func cpu(r *trial.Result) float64  { return r.CPU }
func p99(r *trial.Result) float64  { return r.P99 }

// Verdicts judges the targets by the medians of the run.
func Verdicts(r *Run) []Verdict {
	us := func(name string) at { return at{name, rig.Causeway} }
	return []Verdict{
		r.ratio("throughput, JSON validated, id taken from the body : Benthos amqp_1", rate,
			us(trial.Lines50), at{trial.Lines50, "benthos"}, 15, true),
		r.ratio("CPU for a message, Benthos : Causeway", cpu, at{trial.Lines50, "benthos"}, us(trial.Lines50), 20, true),
		r.ratio("throughput : the prototype with JSON validity check", rate,
			us(trial.Lines50), at{trial.Lines50, "prototype-json"}, 0.6, true),
		r.ratio("Teltonika records decoded to JSON and acknowledged, records/s : naive Go, JSON lines", rate,
			us(trial.Tracker), at{trial.Lines50, "naive"}, 5, true),
		r.ratio("throughput with a hub that answers 20 ms late : naive Go with the same hub", rate,
			us(trial.Late), at{trial.Late, "naive"}, 50, true),
		r.ratio("p99 latency at 10,000 msg/s, Benthos : Causeway", p99, at{trial.Paced, "benthos"}, us(trial.Paced), 2, true),
		r.ratio("CPU for a message at 1,000 connections : at 50", cpu, us(trial.Lines1000), us(trial.Lines50), 2.5, false),
		r.bound("RSS of an idle TCP connection: 10,000 of them against none", trial.Idle10k, func(x *trial.Result) float64 {
			return float64(x.LoadRSS-x.IdleRSS) / float64(max(x.Sent, 1))
		}, 4096, "at most 4,096 bytes", func(v float64) string { return Thousands(v) + " bytes" }),
		r.bound("peak RSS, 50 connections at full load, hub stopped for 30 s", trial.Stopped, func(x *trial.Result) float64 {
			return mebibytes(x.PeakRSS)
		}, 96, "under 96 MiB", func(v float64) string { return digits(v) + " MiB" }),
		r.datagrams(),
		r.bound("heap allocations for a message, the AMQP library's included (our own: 0, held by a test)",
			trial.Lines50, allocations, 0.5, "below 0.5", func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }),
		r.bound("start to the first accepted connection", trial.Start, func(x *trial.Result) float64 {
			return x.StartMS
		}, 150, "under 150 ms", func(v float64) string { return digits(v) + " ms" }),
	}
}

// ratio judges a : b.
func (r *Run) ratio(measure string, figure func(*trial.Result) float64, a, b at, want float64, least bool) Verdict {
	v := Verdict{Measure: measure, Want: "at most " + digits(want), Got: "not measured"}
	if least {
		v.Want = "at least " + digits(want)
	}
	over, ok := r.Median(a.trial, a.contender, figure)
	under, ok2 := r.Median(b.trial, b.contender, figure)
	if !ok || !ok2 || under == 0 {
		return v
	}
	got := over / under
	v.Got = fmt.Sprintf("%s (%s : %s)", digits(got), digits(over), digits(under))
	v.Met = got >= want
	if !least {
		v.Met = got <= want
	}
	return v
}

// bound judges a figure of Causeway's that must not be exceeded.
func (r *Run) bound(
	measure, name string, figure func(*trial.Result) float64, most float64, want string, format func(float64) string,
) Verdict {
	got, ok := r.Median(name, rig.Causeway, figure)
	if !ok || math.IsNaN(got) {
		return Verdict{Measure: measure, Want: want, Got: "not measured"}
	}
	return Verdict{Measure: measure, Want: want, Got: format(got), Met: got <= most}
}

// datagrams judges UDP: by all rounds, for a datagram lost in any is lost.
func (r *Run) datagrams() Verdict {
	v := Verdict{Measure: "UDP, 50 peers, 100,000 datagrams/s", Want: "no loss", Got: "not measured"}
	reached, ok := r.Median(trial.UDP, rig.Causeway, rate)
	if !ok {
		return v
	}
	lost := r.Sum(trial.UDP, rig.Causeway, func(x *trial.Result) float64 { return float64(x.Lost) })
	sent := r.Sum(trial.UDP, rig.Causeway, func(x *trial.Result) float64 { return float64(x.Sent) })
	v.Got = fmt.Sprintf("%s of %s lost at %s/s", Thousands(lost), Thousands(sent), Thousands(reached))
	v.Met = lost == 0 && reached > 0
	return v
}
