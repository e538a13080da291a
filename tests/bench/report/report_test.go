package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

// sample is a run in which every target is met: Causeway takes 100 times what others reach.
func sample(t *testing.T) *Run {
	t.Helper()
	r := NewRun(t.Context(), "bench report")
	r.Took = 20 * time.Minute
	r.Profile = []Share{{"runtime", 12.5}}
	none := 0.001
	for _, one := range trial.All(false) {
		r.Trials = append(r.Trials, one)
		for _, name := range one.Contenders {
			c, err := rig.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			r.Has(c, "v1")
			for round := range 3 {
				result := trial.Result{
					Trial: one.Name, Contender: name, Round: round + 1, X: one.X, Rate: 10_000, CPU: 50, P50: 1, P99: 20, P999: 30,
					IdleRSS: 10 << 20, LoadRSS: 20 << 20, PeakRSS: 30 << 20, Sent: 1_000_000, LoadAverage: 1.5, StartMS: 20,
				}
				if name == rig.Causeway {
					result.Rate, result.CPU, result.P99, result.Allocations = 1_000_000+float64(round), 0.5, 1, &none
				}
				r.Results = append(r.Results, result)
			}
		}
	}
	return r
}

func TestTargetsAreJudged(t *testing.T) {
	r := sample(t)
	for _, v := range Verdicts(r) {
		if !v.Met {
			t.Errorf("%s: %s, %s is wanted", v.Measure, v.Got, v.Want)
		}
	}
	many := 2.0
	for i := range r.Results {
		x := &r.Results[i]
		x.Rate, x.CPU, x.P99, x.PeakRSS, x.StartMS, x.Lost = 1000, 1, 5, 200<<20, 500, 3
		x.Allocations, x.LoadRSS, x.Sent = &many, 100<<20, 10_000
		if x.Trial == trial.Lines1000 {
			x.CPU = 3
		}
		if x.Trial == trial.Lines50 && x.Contender == "prototype-json" {
			x.Rate = 2000
		}
	}
	for _, v := range Verdicts(r) {
		if v.Met {
			t.Errorf("%s was met by %s", v.Measure, v.Got)
		}
	}
	for _, v := range Verdicts(&Run{}) {
		if v.Met || v.Got != "not measured" {
			t.Errorf("%s: %s by nothing", v.Measure, v.Got)
		}
	}
}

func TestThePageHasEverything(t *testing.T) {
	r := sample(t)
	r.Missing["node"] = "no npm"
	page := Page(r, "## Notes\n\nwritten by a person\n")
	for _, want := range []string{
		"`bench report`, which took 20m0s", "Causeway (v1)", "Left out, at least in part: Node SDK (no npm)",
		"| throughput : the prototype with JSON validity check | at least 0.60 | 100 (1,000,001 : 10,000) | yes |",
		"### Throughput, 50 connections\n", "| Benthos amqp_1 | 10,000 |", "**connections**: From 50 to 800 connections (16.0 times)",
		"| `runtime` | 12.5 % |", "written by a person",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "growth-connections") {
		t.Error("points of a curve have tables of their own")
	}
	if t.Failed() {
		t.Log(page)
	}
}

func TestWhatIsLeftOutNamesNoPlaceOfTheMachine(t *testing.T) {
	r := sample(t)
	c, err := rig.Find("node")
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.ReadFile(filepath.Join(t.TempDir(), "package.json"))
	r.Leave(c, fmt.Errorf("version of node: %w\nand more", err))
	if got := r.Missing["node"]; got != "version of node: open package.json: no such file or directory" {
		t.Errorf("%q", got)
	}
}

func TestABusyMachineIsTold(t *testing.T) {
	r := sample(t)
	r.Machine.Load = 7.5
	if page := Page(r, ""); !strings.Contains(page, "**It had other things to do:** its load average was 7.50") {
		t.Error(page)
	}
	r.Machine.Load = 0.1
	if page := Page(r, ""); !strings.Contains(page, "It had nothing else to do.") {
		t.Error(page)
	}
}

// What is published is what was measured: nobody edits the page or a plot by hand.
func TestThePublishedPageIsThatOfItsResults(t *testing.T) {
	docs := filepath.Join("..", "..", "..", "docs")
	page, pageErr := os.ReadFile(filepath.Join(docs, "performance.md"))
	text, err := os.ReadFile(filepath.Join(docs, "performance", "results.json"))
	if (pageErr == nil) != (err == nil) {
		t.Fatalf("a page and its results go together: %v, %v", pageErr, err)
	}
	plots, err := filepath.Glob(filepath.Join(docs, "performance", "*.svg"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	if pageErr == nil {
		var r Run
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		notes, err := os.ReadFile(filepath.Join(docs, "performance", "notes.md"))
		if err != nil {
			t.Fatal(err)
		}
		if Page(&r, string(notes)) != string(page) {
			t.Error("docs/performance.md is not what its results and notes say: run bin/bench page")
		}
		want = Plots(&r)
	}
	if len(plots) != len(want) {
		t.Errorf("%d plots are published, want %d", len(plots), len(want))
	}
	for _, name := range plots {
		if got, err := os.ReadFile(name); err != nil || string(got) != want[filepath.Base(name)] {
			t.Errorf("%s is not what the results say: run bin/bench page", name)
		}
	}
}

func TestPlotsAreWellFormed(t *testing.T) {
	plots := Plots(sample(t))
	if len(plots) != 5 {
		t.Errorf("%d plots", len(plots))
	}
	plots["hostile"] = Bars("<&>", []Bar{{Label: `"<`, Value: 0}}, Thousands)
	plots["flat"] = Curves("flat", []string{"a"}, []Curve{{"x", []float64{0}}, {"y", []float64{0}}, {"none", nil}}, digits)
	for name, text := range plots {
		d := xml.NewDecoder(strings.NewReader(text))
		shapes := 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if e, ok := token.(xml.StartElement); ok && slices.Contains([]string{"rect", "polyline"}, e.Name.Local) {
				shapes++
			}
		}
		if shapes == 0 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: %d shapes in %s", name, shapes, text)
		}
	}
}

func TestNamesOfCurvesDoNotCover(t *testing.T) {
	same := []Curve{{"a", []float64{1}}, {"b", []float64{1}}, {"c", []float64{1.1}}}
	heights := spread(same, func(v float64) float64 { return 100 - v })
	slices.Sort(heights)
	for i := 1; i < len(heights); i++ {
		if heights[i]-heights[i-1] < 15.9 {
			t.Errorf("%v", heights)
		}
	}
}

func TestTablesShowWhatWasMeasured(t *testing.T) {
	r := &Run{Trials: []trial.Trial{{Name: "x", Title: "X", Rounds: 2, Contenders: []string{"causeway", "naive"}}}}
	r.Results = []trial.Result{
		{Trial: "x", Contender: "causeway", Rate: 1234, Lost: 1}, {Trial: "x", Contender: "causeway", Rate: 5678},
	}
	want := "X (`x`, median of 2)\n\n| gateway | msg/s | sent | lost | twice | reordered | load |\n|---|---|---|---|---|---|---|\n" +
		"| Causeway | 3,456 | 0 | 1 | 0 | 0 | 0 |\n\n"
	if got := Tables(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if line := Line(&r.Results[1]); !strings.Contains(line, "msg/s 5,678") {
		t.Error(line)
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.01234: "0.0123", 0.5: "0.50", 12.34: "12.3", 999: "999", 1234567: "1,234,567"} {
		if got := digits(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{-1234: "-1,234", -123: "-123", 12: "12"} {
		if got := Thousands(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestSharesAddUpByPackage(t *testing.T) {
	top := `File: causeway
Showing nodes accounting for 3.16s, 75.60% of 4.18s total
      flat  flat%   sum%        cum   cum%
     0.49s 11.72% 11.72%      0.49s 11.72%  internal/runtime/syscall/linux.Syscall6
     0.10s  2.25% 44.74%      0.37s  8.85%  github.com/causeway-iot/causeway/modules/causeway/codecs/json.(*scan).object
     0.09s  2.25% 46.89%      0.13s  3.11%  github.com/causeway-iot/causeway/modules/causeway/codecs/json.(*scan).text (inline)
     0.07s  1.50% 48.56%      0.09s  2.15%  slices.SortFunc[go.shape.[]github.com/x/y.T]
`
	want := []Share{{"internal/runtime/syscall/linux", 11.72}, {"modules/causeway/codecs/json", 4.5}, {"slices", 1.5}}
	if got := Shares(top); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
