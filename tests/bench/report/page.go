package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

// Page is docs/performance.md. notes is what people wrote of it; it follows the figures.
func Page(r *Run, notes string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance\n\n"+
		"This page is written by `make bench-report`; what it says of the machine and all figures come from one run of it. "+
		"[tests/bench](../tests/bench/README.md) says how it is measured.\n\n")
	fmt.Fprintf(&b, "- Command: `%s`, which took %s.\n- Date: %s, commit %s.\n"+
		"- Machine: %s, %d cores, %s MiB of memory, %s, %s. Devices, gateway and hub share it over loopback: "+
		"read figures as ratios within a table. %s\n",
		r.Command, r.Took.Round(time.Second), r.Date.Format("2006-01-02 15:04 MST"), r.Commit,
		r.Machine.Processor, r.Machine.Cores, Thousands(float64(r.Machine.MemoryMiB)), r.Machine.System, r.Machine.Go,
		r.Machine.others())
	b.WriteString("- Gateways: " + r.versions() + ".\n")
	for _, c := range rig.Contenders() {
		if why := r.Missing[c.Name]; why != "" {
			fmt.Fprintf(&b, "- Left out, at least in part: %s (%s).\n", c.Label, why)
		}
	}
	b.WriteString("\n## Targets\n\n" + verdictTable(Verdicts(r)) + "\n")
	b.WriteString("![throughput](performance/throughput.svg)\n![CPU](performance/cpu.svg)\n" +
		"![latency](performance/latency.svg)\n\n")
	b.WriteString("## Measurements\n\nThe median of the rounds; *sent* and what follows it are of all rounds together. " +
		"*lost*, *twice* and *reordered* are judged at the hub, message by message; of Causeway, the prototype and " +
		"naive Go any of them fails the run, except that what was in flight may come twice when the hub was away.\n\n")
	for i := range r.Trials {
		if t := &r.Trials[i]; t.Group == "" {
			fmt.Fprintf(&b, "### %s\n\n%s\n", t.Title, r.table(t))
		}
	}
	b.WriteString(r.growthSection())
	b.WriteString(r.profileSection())
	if notes != "" {
		b.WriteString(strings.TrimSpace(notes) + "\n")
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// others says whether the machine had something else to do.
func (m *Machine) others() string {
	const idle = 0.3 // of a core: what a machine does by itself
	if m.Load < idle {
		return "It had nothing else to do."
	}
	return fmt.Sprintf("**It had other things to do:** its load average was %s before the first trial, so latencies "+
		"and throughput are worse than the machine allows, and ratios of them uncertain; CPU for a message is not.",
		digits(m.Load))
}

func (r *Run) versions() string {
	var list []string
	for _, c := range rig.Contenders() {
		if v := r.Versions[c.Name]; v != "" {
			list = append(list, fmt.Sprintf("%s (%s)", c.Label, v))
		}
	}
	return strings.Join(list, ", ")
}

func verdictTable(list []Verdict) string {
	var rows [][]string
	for _, v := range list {
		met := "yes"
		if !v.Met {
			met = "**no**"
		}
		rows = append(rows, []string{v.Measure, v.Want, v.Got, met})
	}
	return Markdown([]string{"measure", "target", "measured", "met"}, rows)
}

// profileSection is where the time goes, by package.
func (r *Run) profileSection() string {
	if len(r.Profile) == 0 {
		return ""
	}
	var rows [][]string
	for _, s := range r.Profile {
		rows = append(rows, []string{"`" + s.Package + "`", digits(s.Percent) + " %"})
	}
	return "## Where the time goes\n\nCPU of the gateway at 50 connections, by package (`make profile`). What a " +
		"package has called of others is theirs.\n\n" + Markdown([]string{"package", "share"}, rows) + "\n"
}

// Plots are the drawings of the page, by file name.
func Plots(r *Run) map[string]string {
	plots := map[string]string{
		"throughput.svg": Bars("messages a second, 50 connections: more is better", r.bars(trial.Lines50, rate), Thousands),
		"cpu.svg": Bars("CPU seconds for a million messages, 50 connections: less is better",
			r.bars(trial.Lines50, cpu), digits),
		"latency.svg": Bars("p99 latency at 10,000 messages a second, ms: less is better", r.bars(trial.Paced, p99), digits),
	}
	for name, text := range r.growthPlots() {
		plots[name] = text
	}
	return plots
}

// bars are the contenders of a trial, the highest first.
func (r *Run) bars(name string, figure func(*trial.Result) float64) (list []Bar) {
	for _, c := range rig.Contenders() {
		if v, ok := r.Median(name, c.Name, figure); ok {
			list = append(list, Bar{Label: c.Label, Value: v, Strong: c.Name == rig.Causeway})
		}
	}
	slices.SortStableFunc(list, func(a, b Bar) int { return cmp.Compare(b.Value, a.Value) })
	return list
}
