package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/bench/report"
	"github.com/causeway-iot/causeway/tests/bench/trial"
)

func parse(t *testing.T, line string) *options {
	t.Helper()
	var o options
	if err := o.flags("run").Parse(strings.Fields(line)); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestTrialsAreChosen(t *testing.T) {
	list, err := parse(t, "-trials lines-50,growth-routes* -rounds 7 -seconds 0.5 -contenders naive,causeway").chosen()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 6 || list[0].Name != "lines-50" || list[1].Name != "growth-routes-16" || list[5].X != 256 {
		t.Errorf("%s", names(list))
	}
	if first := list[0]; first.Rounds != 7 || first.Seconds != 0.5 || !slices.Equal(first.Contenders, []string{"naive", "causeway"}) {
		t.Errorf("%+v", first)
	}
	if !slices.Equal(list[1].Contenders, []string{"causeway"}) {
		t.Errorf("routes were given to %v", list[1].Contenders)
	}
	if list, err = parse(t, "-contenders naive").chosen(); err != nil || strings.Contains(names(list), "udp") {
		t.Errorf("%s, %v", names(list), err)
	}
	if list, err = parse(t, "").chosen(); err != nil || len(list) != len(trial.All(false)) {
		t.Errorf("%d trials, %v", len(list), err)
	}
	if _, err = parse(t, "-trials lines-50,marathon").chosen(); !errors.Is(err, errUsage) {
		t.Errorf("an unknown trial: %v", err)
	}
}

func TestThePageIsWrittenFromResults(t *testing.T) {
	docs := t.TempDir()
	if err := writePage(t.Context(), []string{"-docs", docs}); err == nil {
		t.Error("a page without results")
	}
	if err := os.Mkdir(filepath.Join(docs, folder), 0o755); err != nil {
		t.Fatal(err)
	}
	run := report.NewRun(t.Context(), "bench report -x")
	run.Trials = []trial.Trial{{Name: trial.Lines50, Title: "Throughput", Contenders: []string{"causeway"}}}
	run.Results = []trial.Result{{Trial: trial.Lines50, Contender: "causeway", Rate: 123456}}
	text, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{resultsFile: string(text), notesFile: "## What was learned\n"} {
		if err := write(filepath.Join(docs, folder, name), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := writePage(t.Context(), []string{"-docs", docs}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, pageFile))
	if err != nil || !strings.Contains(string(page), "123,456") || !strings.HasSuffix(string(page), "## What was learned\n") {
		t.Errorf("%s, %v", page, err)
	}
	if _, err := os.Stat(filepath.Join(docs, folder, "throughput.svg")); err != nil {
		t.Error(err)
	}
}
