package spool

import (
	"strings"
	"testing"
	"time"
)

// The wall clock cannot be moved in a test, but what an earlier life has written may
// carry any time.
func TestAgesDoNotDependOnStepsOfTheClock(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct{ written, age time.Duration }{
		"a minute ago":                         {-time.Minute, time.Minute},
		"the clock was set back since":         {3 * time.Hour, 0},
		"the clock was set back and is not":    {0, 0},
		"longer ago than a segment's own time": {-1000 * time.Hour, 1000 * time.Hour},
	} {
		g := &seg{base: 1}
		g.add(0, 1, 1, time.Unix(0, now.Add(c.written).UnixNano())) // as it is read from a file
		g.anchor(now)
		if got := now.Sub(g.timeOf(0)); got < c.age || got > c.age+time.Millisecond {
			t.Errorf("%s: the age is %v, want %v", name, got, c.age)
		}
		if !strings.Contains(g.time.String(), " m=") {
			t.Errorf("%s: the time follows the wall clock", name)
		}
	}
}

func TestTheOldestKeepsItsAgeOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir})
	mustAppend(t, s, batch(0, 1, 10))
	written := s.Stats().Oldest
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, Options{Dir: dir})
	oldest := s.Stats().Oldest
	if d := oldest.Sub(written).Abs(); d > time.Second {
		t.Errorf("the oldest was written at %v, and after a restart at %v", written, oldest)
	}
	if !strings.Contains(oldest.String(), " m=") {
		t.Error("its age follows the wall clock")
	}
}
