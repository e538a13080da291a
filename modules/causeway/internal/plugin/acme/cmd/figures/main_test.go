package main

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

const page = "../../../../../../../docs/codecs/README.md"

func TestTheTableOfThePageHasEveryKind(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), opening)
	text, _, closed := strings.Cut(rest, closing)
	if !found || !closed {
		t.Fatal("the page has no table")
	}
	for _, kind := range []string{"Go, built in", "layout", "wasm", "js", "rpc"} {
		row := regexp.MustCompile(`(?m)^\| ` + kind + `[^|]*\| \d+ \| \d+ \| [\d.]+ \| [\d.]+ % \|$`)
		if !row.MatchString(text) {
			t.Errorf("no row of %s in\n%s", kind, text)
		}
	}
	if !regexp.MustCompile(`\d{4}-\d\d-\d\d, on \d+ cores of `).MatchString(text) {
		t.Error("the table does not say when and on what it was measured")
	}
}

func TestTheTableIsPutInThePlaceOfTheOneBefore(t *testing.T) {
	list := []figure{{Name: "Go", FramesPerSecond: 200, NsPerFrame: 5}, {Name: "js", FramesPerSecond: 50, NsPerFrame: 20}}
	text := table(list, "here")
	if !strings.Contains(text, "| js | 50 | 20 | 0.00 | 25.0 % |\n") {
		t.Errorf("table\n%s", text)
	}
	old := "# page\n" + opening + "old\n" + closing + "more\n"
	got, err := splice([]byte(old), text)
	if err != nil || string(got) != "# page\n"+opening+"\n"+text+"\n"+closing+"more\n" {
		t.Errorf("got %s, %v", got, err)
	}
	if again, err := splice(got, text); err != nil || string(again) != string(got) {
		t.Errorf("again %s, %v", again, err)
	}
	if _, err := splice([]byte("# page\n"), text); !errors.Is(err, errMarks) {
		t.Errorf("without marks: %v", err)
	}
}

func TestOneIsMeasured(t *testing.T) {
	f := figure{Spec: native}
	s := settings{input: "../../testdata/data.txtar", seconds: 0.01}
	if err := s.measure(t.Context(), &f); err != nil || f.FramesPerSecond < 1 || f.FrameBytes < 1 {
		t.Errorf("%+v, %v", f, err)
	}
}
