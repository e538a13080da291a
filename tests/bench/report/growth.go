package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

// growth is one size that was doubled, with what each step cost.
type growth struct {
	group          string
	x, cpu, memory []float64
}

// grown returns the sizes in the order of their first trial.
func (r *Run) grown() (list []*growth) {
	for i := range r.Trials {
		t := &r.Trials[i]
		if t.Group == "" {
			continue
		}
		used, ok := r.Median(t.Name, rig.Causeway, cpu)
		memory, _ := r.Median(t.Name, rig.Causeway, func(x *trial.Result) float64 { return mebibytes(x.LoadRSS) })
		if !ok {
			continue
		}
		at := slices.IndexFunc(list, func(g *growth) bool { return g.group == t.Group })
		if at < 0 {
			at, list = len(list), append(list, &growth{group: t.Group})
		}
		g := list[at]
		g.x, g.cpu, g.memory = append(g.x, t.X), append(g.cpu, used), append(g.memory, memory)
	}
	return list
}

// unit is what is counted, in a sentence.
func (g *growth) unit() string {
	if g.group == "messages" {
		return "messages a second"
	}
	return g.group
}

// sentence says what doubling did.
func (g *growth) sentence() string {
	n := len(g.x) - 1
	grown := "grows"
	if g.cpu[n] < g.cpu[0] {
		grown = "falls"
	}
	return fmt.Sprintf("From %s to %s %s (%s times), the CPU for a million messages %s from %s to %s s (%s times), "+
		"and the resident memory goes from %s to %s MiB: %s more for each.",
		Thousands(g.x[0]), Thousands(g.x[n]), g.unit(), digits(g.x[n]/g.x[0]), grown, digits(g.cpu[0]), digits(g.cpu[n]),
		digits(g.cpu[n]/g.cpu[0]), digits(g.memory[0]), digits(g.memory[n]),
		bytesOf((g.memory[n]-g.memory[0])*(1<<20)/(g.x[n]-g.x[0])))
}

func bytesOf(v float64) string {
	if v < 10*1024 {
		return Thousands(v) + " bytes"
	}
	return digits(v/1024) + " KiB"
}

// growthSection is the table, the sentences and the names of the plots.
func (r *Run) growthSection() string {
	list := r.grown()
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("## How cost grows\n\nOne size is doubled at a time, at 20,000 messages a second over 50 connections " +
		"unless that is the size, so that the machine has room and what changes is the cost.\n\n" +
		"![CPU](performance/growth-cpu.svg)\n![memory](performance/growth-memory.svg)\n\n")
	for _, g := range list {
		fmt.Fprintf(&b, "- **%s**: %s\n", g.group, g.sentence())
	}
	var rows [][]string
	for _, g := range list {
		for i := range g.x {
			rows = append(rows, []string{g.group, Thousands(g.x[i]), digits(g.cpu[i]), digits(g.memory[i])})
		}
	}
	b.WriteString("\n" + Markdown([]string{"size", "", "CPU s / million", "RSS MiB"}, rows) + "\n")
	return b.String()
}

// growthPlots draws CPU, as a multiple of the first step, and memory.
func (r *Run) growthPlots() map[string]string {
	var relative, memory []Curve
	steps := 0
	for _, g := range r.grown() {
		c := Curve{Label: g.group}
		for _, v := range g.cpu {
			c.Values = append(c.Values, v/g.cpu[0])
		}
		relative, memory = append(relative, c), append(memory, Curve{Label: g.group, Values: g.memory})
		steps = max(steps, len(g.x))
	}
	if steps == 0 {
		return nil
	}
	var places []string
	for i := range steps {
		places = append(places, fmt.Sprintf("× %d", 1<<i))
	}
	return map[string]string{
		"growth-cpu.svg":    Curves("CPU for a message, times that of the first step", places, relative, digits),
		"growth-memory.svg": Curves("resident memory, MiB", places, memory, digits),
	}
}
