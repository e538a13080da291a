package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

// column is one of a table. Columns in which nobody has a figure are left out.
type column struct {
	name   string
	figure func(*trial.Result) float64
	format func(float64) string
	always bool
	// total adds up the rounds: one loss in any of them is a loss.
	total bool
}

func columns() []column {
	count := func(v float64) string { return Thousands(v) }
	return []column{
		{"msg/s", func(r *trial.Result) float64 { return r.Rate }, count, false, false},
		{"CPU s / million", func(r *trial.Result) float64 { return r.CPU }, digits, false, false},
		{"p50 ms", func(r *trial.Result) float64 { return r.P50 }, digits, false, false},
		{"p99 ms", func(r *trial.Result) float64 { return r.P99 }, digits, false, false},
		{"p99.9 ms", func(r *trial.Result) float64 { return r.P999 }, digits, false, false},
		{"start ms", func(r *trial.Result) float64 { return r.StartMS }, digits, false, false},
		{"RSS idle MiB", func(r *trial.Result) float64 { return mebibytes(r.IdleRSS) }, digits, false, false},
		{"RSS MiB", func(r *trial.Result) float64 { return mebibytes(r.LoadRSS) }, digits, false, false},
		{"RSS peak MiB", func(r *trial.Result) float64 { return mebibytes(r.PeakRSS) }, digits, false, false},
		{"heap allocations / msg", allocations, digits, false, false},
		{"sink CPU", func(r *trial.Result) float64 { return r.SinkCPU }, digits, false, false},
		{"sent", func(r *trial.Result) float64 { return float64(r.Sent) }, count, true, true},
		{"lost", func(r *trial.Result) float64 { return float64(r.Lost) }, count, true, true},
		{"twice", func(r *trial.Result) float64 { return float64(r.Duplicates) }, count, true, true},
		{"reordered", func(r *trial.Result) float64 { return float64(r.Reordered) }, count, true, true},
		{"load", func(r *trial.Result) float64 { return r.LoadAverage }, digits, true, false},
	}
}

// Tables returns a table for each trial, in Markdown.
func Tables(r *Run) string {
	var b strings.Builder
	for i := range r.Trials {
		t := &r.Trials[i]
		fmt.Fprintf(&b, "%s (`%s`, median of %d)\n\n%s\n", t.Title, t.Name, max(t.Rounds, 1), r.table(t))
	}
	return b.String()
}

// table has a row for each contender: the median of every figure over the rounds, and what
// was sent and went wrong in all of them together.
func (r *Run) table(t *trial.Trial) string {
	var rows [][]string
	head := []string{"gateway"}
	var shown []column
	for _, c := range columns() {
		some := c.always
		for _, name := range t.Contenders {
			v, _ := r.Median(t.Name, name, c.figure)
			some = some || known(v)
		}
		if some {
			shown, head = append(shown, c), append(head, c.name)
		}
	}
	for _, contender := range rig.Contenders() {
		row := []string{contender.Label}
		for _, c := range shown {
			v, ok := r.Median(t.Name, contender.Name, c.figure)
			if c.total {
				v = r.Sum(t.Name, contender.Name, c.figure)
			}
			if !ok {
				row = nil
				break
			}
			row = append(row, c.format(v))
		}
		if row != nil {
			rows = append(rows, row)
		}
	}
	return Markdown(head, rows)
}

// Markdown makes a table.
func Markdown(head []string, rows [][]string) string {
	var b strings.Builder
	b.WriteString("| " + strings.Join(head, " | ") + " |\n|" + strings.Repeat("---|", len(head)) + "\n")
	for _, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}

// Line is one result in a line of plain text, for who watches.
func Line(r *trial.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %-16s %d ", r.Trial, r.Contender, r.Round)
	for _, c := range columns() {
		if v := c.figure(r); known(v) {
			fmt.Fprintf(&b, "  %s %s", c.name, c.format(v))
		}
	}
	return b.String()
}

// known says whether a figure was measured, or could be.
func known(v float64) bool { return v != 0 && !math.IsNaN(v) }

// allocations is not a number where the gateway does not tell.
func allocations(r *trial.Result) float64 {
	if r.Allocations == nil {
		return math.NaN()
	}
	return *r.Allocations
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// Thousands writes a whole number with commas.
func Thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// digits writes a number with about three digits that count.
func digits(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case v == 0:
		return "0"
	case v >= 100:
		return Thousands(v)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}
