package world

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestAProcessIsStartedWatchedAndEnded(t *testing.T) {
	p := Start(t, "shell", []string{"GREETING=hello"}, "/bin/sh", "-c", `echo "$GREETING"; exec sleep 60`)
	Eventually(t, 10*time.Second, "it prints", func() bool { return strings.Contains(p.Output(), "hello") })
	if n, err := p.PeakMemory(); err != nil || n < 100<<10 || n > 100<<20 {
		t.Errorf("peak memory %d, %v", n, err)
	}
	p.Kill()
	select {
	case <-p.Ended():
	default:
		t.Error("not ended after a kill")
	}
	if n, err := p.PeakMemory(); err == nil {
		t.Errorf("peak memory of a dead process: %d", n)
	}
}

func TestTheExitCodeIsTheProcesss(t *testing.T) {
	p := Start(t, "shell", nil, "/bin/sh", "-c", `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`)
	Eventually(t, 10*time.Second, "it is ready", func() bool { return strings.Contains(p.Output(), "ready") })
	if code := p.Terminate(t); code != 7 {
		t.Errorf("exit code %d", code)
	}
}

func TestWithinGivesUpAtItsLimit(t *testing.T) {
	began := time.Now()
	if Within(100*time.Millisecond, func() bool { return false }) {
		t.Error("a condition that never holds came to hold")
	}
	if took := time.Since(began); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("gave up after %v", took)
	}
}

func TestTheRepositoryIsFoundFromBelow(t *testing.T) {
	if top, err := Root(); err != nil || strings.HasSuffix(top, "world") {
		t.Errorf("root %q, %v", top, err)
	}
}
