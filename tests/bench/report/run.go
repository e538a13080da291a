package report

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

// Run is everything that one call measured.
type Run struct {
	Date    time.Time     `json:"date"`
	Took    time.Duration `json:"took"`
	Command string        `json:"command"`
	Commit  string        `json:"commit"`
	Machine Machine       `json:"machine"`
	// Versions are those of the contenders that were there, Missing says why others were not.
	Versions map[string]string `json:"versions"`
	Missing  map[string]string `json:"missing,omitempty"`
	Trials   []trial.Trial     `json:"trials"`
	Results  []trial.Result    `json:"results"`
	// Profile is where the gateway's time went, where that was looked at.
	Profile []Share `json:"profile,omitempty"`
}

// Machine is what it was measured on.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryMiB int    `json:"memoryMiB"`
	System    string `json:"system"`
	Go        string `json:"go"`
	// Load is the load average before the first trial: what others did.
	Load float64 `json:"load"`
}

// NewRun begins a run.
func NewRun(ctx context.Context, command string) *Run {
	return &Run{
		Date: time.Now().UTC().Truncate(time.Second), Command: command, Commit: commit(ctx), Machine: machine(),
		Versions: map[string]string{}, Missing: map[string]string{},
	}
}

// commit is that of the working tree; the word modified follows it when it is not all.
func commit(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
	text := strings.TrimSpace(string(head))
	if err != nil || len(bytes.TrimSpace(changed)) > 0 {
		text += ", modified"
	}
	return text
}

func machine() Machine {
	m := Machine{
		Cores: runtime.NumCPU(), Go: runtime.Version(), Processor: runtime.GOARCH, Load: trial.LoadAverage(),
	}
	m.Processor = procField("/proc/cpuinfo", "model name", m.Processor)
	_, _ = fmt.Sscanf(procField("/proc/meminfo", "MemTotal", "0 kB"), "%d", &m.MemoryMiB)
	m.MemoryMiB /= 1024
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if m.System = runtime.GOOS; err == nil {
		m.System += " " + strings.TrimSpace(string(release))
	}
	return m
}

// procField returns the first value of a name in a file of lines "name: value".
func procField(file, name, otherwise string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return otherwise
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// Has takes down a contender's version.
func (r *Run) Has(c rig.Contender, version string) { r.Versions[c.Name] = version }

// Leave takes down why a contender is not there: the first line of it, without the paths of this
// machine, which mean nothing to a reader.
func (r *Run) Leave(c rig.Contender, err error) {
	why, _, _ := strings.Cut(err.Error(), "\n")
	for _, word := range strings.Fields(why) {
		if strings.Contains(word, "/") {
			why = strings.ReplaceAll(why, word, filepath.Base(word))
		}
	}
	r.Missing[c.Name] = why
}

// of returns the results of a contender in a trial.
func (r *Run) of(name, contender string) (list []trial.Result) {
	for i := range r.Results {
		if r.Results[i].Trial == name && r.Results[i].Contender == contender {
			list = append(list, r.Results[i])
		}
	}
	return list
}

// Median returns the median over the rounds of one figure; ok is false when there are none.
func (r *Run) Median(name, contender string, figure func(*trial.Result) float64) (v float64, ok bool) {
	var values []float64
	for _, result := range r.of(name, contender) {
		values = append(values, figure(&result))
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

// Sum returns the sum over the rounds of one figure.
func (r *Run) Sum(name, contender string, figure func(*trial.Result) float64) (v float64) {
	for _, result := range r.of(name, contender) {
		v += figure(&result)
	}
	return v
}
