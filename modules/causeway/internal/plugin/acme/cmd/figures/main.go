// Command figures measures the acme codec in all its languages with "causeway codec
// bench", the same frames for each, and prints a table.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/cli"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
)

// figure is what is measured: the name for people, and what codec bench is given.
type figure struct {
	Name, Spec string
	// What codec bench answered.
	FrameBytes      float64 `json:"frameBytes"`
	NsPerFrame      float64 `json:"nsPerFrame"`
	AllocsPerFrame  float64 `json:"allocsPerFrame"`
	FramesPerSecond float64 `json:"framesPerSecond"`
}

// native is the spec of the codec in Go, which this program has built in.
const native = "acme"

// settings are the command line.
type settings struct {
	program, input, page string
	seconds              float64
	specs                []string // name=spec
}

func main() {
	var s settings
	flag.StringVar(&s.program, "causeway", "bin/causeway", "the `program` whose codec bench measures plugins")
	flag.StringVar(&s.input, "input", "", "the case `file` whose frames are decoded")
	flag.StringVar(&s.page, "page", "", "the `file` of Markdown whose table is written anew; empty prints it only")
	flag.Float64Var(&s.seconds, "seconds", 2, "how long each is measured")
	flag.Parse()
	s.specs = flag.Args()
	if err := run(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	list := []figure{{Name: "Go, built in", Spec: native}}
	for _, spec := range s.specs {
		name, rest, found := strings.Cut(spec, "=")
		if !found {
			return fmt.Errorf("argument %q, want name=codec", spec)
		}
		list = append(list, figure{Name: name, Spec: rest})
	}
	for i := range list {
		if err := s.measure(ctx, &list[i]); err != nil {
			return fmt.Errorf("measure %s: %w", list[i].Name, err)
		}
	}
	day := time.Now().UTC().Format(time.DateOnly)
	text := table(list, fmt.Sprintf("%s, on %d cores of %s", day, runtime.NumCPU(), processor()))
	fmt.Fprint(os.Stdout, text)
	if s.page == "" {
		return nil
	}
	page, err := os.ReadFile(s.page)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	page, err = splice(page, text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.page, err)
	}
	if err := os.WriteFile(s.page, page, 0o644); err != nil { //nolint:gosec // a document, which all may read
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// measure lets codec bench measure one.
func (s settings) measure(ctx context.Context, f *figure) error {
	args := []string{"codec", "bench", "-codec", f.Spec, "-seconds", fmt.Sprint(s.seconds), "@" + s.input}
	var out bytes.Buffer
	if f.Spec == native {
		registry := &codec.Registry{}
		if err := registry.Add(native, acme.New); err != nil {
			return err
		}
		o := cli.Options{Registry: registry, Stdin: os.Stdin, Stdout: &out, Stderr: os.Stderr}
		if code := cli.Run(ctx, args, o); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
	} else {
		program := exec.CommandContext(ctx, s.program, args...)
		program.Stdout, program.Stderr = &out, os.Stderr
		if err := program.Run(); err != nil {
			return err
		}
	}
	return json.Unmarshal(out.Bytes(), f)
}

// The marks of the table in a page.
const (
	opening = "<!-- make codec-bench writes this -->\n"
	closing = "<!-- until here -->\n"
)

var errMarks = errors.New("there is no place for the table")

// table is the figures in Markdown; where says when and on what they were taken.
func table(list []figure, where string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| acme as | frames/s | ns a frame | allocations a frame | of built in |\n|---|---|---|---|---|\n")
	for _, f := range list {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.2f | %.1f %% |\n",
			f.Name, f.FramesPerSecond, f.NsPerFrame, f.AllocsPerFrame, 100*f.FramesPerSecond/list[0].FramesPerSecond)
	}
	fmt.Fprintf(&b, "\nFrames of %.0f bytes on average, one link, one after the other; %s.\n", list[0].FrameBytes, where)
	return b.String()
}

// splice puts the table between its marks.
func splice(page []byte, table string) ([]byte, error) {
	before, rest, found := bytes.Cut(page, []byte(opening))
	_, after, closed := bytes.Cut(rest, []byte(closing))
	if !found || !closed {
		return nil, errMarks
	}
	return slices.Concat(before, []byte(opening+"\n"+table+"\n"+closing), after), nil
}

// processor is the model of the machine's processor, where the system tells.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
