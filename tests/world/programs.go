package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Programs are the paths of the programs under test.
type Programs struct {
	Causeway, Simulator, Fleet string
	// Clock is that of gateway and simulator, nil for the machine's.
	Clock *Clock
	// Upstream is what the gateway speaks to the hub, by the runtime's names: Amqp,
	// AmqpWs, Mqtt or MqttWs. Main takes it from the variable UPSTREAM; Amqp by default.
	Upstream string
}

// Over returns the programs with another upstream protocol.
func (p Programs) Over(upstream string) Programs {
	p.Upstream = upstream
	return p
}

// MQTT tells whether the gateway speaks MQTT, which has no word for no: what the hub
// refuses ends the connection, and is sent again on the next.
func (p Programs) MQTT() bool { return p.Upstream == "Mqtt" || p.Upstream == "MqttWs" }

// port is which of the simulator's ports the gateway is given, by the simulator's name.
func (p Programs) port() (string, error) {
	switch p.Upstream {
	case "Amqp":
		return "amqp", nil
	case "Mqtt":
		return "mqtt", nil
	case "AmqpWs", "MqttWs":
		return "web", nil
	default:
		return "", fmt.Errorf("UPSTREAM is %q, must be Amqp, AmqpWs, Mqtt or MqttWs", p.Upstream)
	}
}

// Main is the body of a TestMain: it builds the programs, writes where they are,
// runs the tests and returns the exit code.
func Main(m *testing.M, built *Programs) int { return run(m, built, false) }

// MainWithClock is Main with programs whose clock can be set.
func MainWithClock(m *testing.M, built *Programs) int { return run(m, built, true) }

func run(m *testing.M, built *Programs, clock bool) int {
	dir, err := os.MkdirTemp("", "world")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if *built, err = build(dir, clock); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the programs as the test itself was made: with the race detector when
// the test has it, so that the processes are judged by it too.
func build(dir string, clock bool) (Programs, error) {
	p := Programs{
		Causeway:  filepath.Join(dir, "causeway"),
		Simulator: filepath.Join(dir, "simulator"),
		Fleet:     filepath.Join(dir, "fleet"),
	}
	if p.Upstream = os.Getenv("UPSTREAM"); p.Upstream == "" {
		p.Upstream = "Amqp"
	}
	if _, err := p.port(); err != nil {
		return p, err
	}
	top, err := Root()
	if err != nil {
		return p, err
	}
	overlay := ""
	if clock {
		if p.Clock, err = newClock(dir); err != nil {
			return p, err
		}
		if overlay, err = p.Clock.overlay(); err != nil {
			return p, err
		}
	}
	for folder, path := range map[string]string{
		"modules/causeway": p.Causeway, "tests/simulator": p.Simulator, "modules/fleet": p.Fleet,
	} {
		args := []string{"build", "-o", path}
		if RaceDetector {
			args = append(args, "-race")
		}
		if overlay != "" && path != p.Fleet {
			args = append(args, "-overlay", overlay)
		}
		cmd := exec.CommandContext(context.Background(), "go", append(args, ".")...)
		cmd.Dir = filepath.Join(top, folder)
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", folder, err, out)
		}
	}
	return p, nil
}

// Root is the repository: the folder above this one that holds go.work.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("find the repository: no folder above this one holds go.work")
		}
		dir = filepath.Dir(dir)
	}
}

// Eventually polls a condition until it holds; it fails the test after the limit.
func Eventually(tb testing.TB, limit time.Duration, what string, condition func() bool) {
	tb.Helper()
	if !Within(limit, condition) {
		tb.Fatalf("not within %v: %s", limit, what)
	}
}

// Within polls a condition and says whether it came to hold before the limit.
func Within(limit time.Duration, condition func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
