package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestExitCodes(t *testing.T) {
	folder := t.TempDir()
	report := filepath.Join(folder, "report.json")
	messages := filepath.Join(folder, "messages.json")
	// A meter that nobody listens to sends, and is told nothing.
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	one := "-trackers=0 -udp-trackers=0 -lines=0 -meters=1 -rate=0 -count=2 -meters-addr=" + conn.LocalAddr().String()
	for _, c := range []struct {
		name, messages, arguments string
		want                      int
	}{
		{"version", "", "version", 0},
		{"help", "", "-help", 0},
		{"an unknown command", "", "start", exitUsage},
		{"an unknown flag", "", "-nobody", exitUsage},
		{"a run", "", "run " + one + " -report=" + report, 0},
		{"a run without a name", "", one + " -report=" + report, 0},
		{"a report that cannot be", "", one + " -report=" + folder, exitUsage},
		{"a check without flags", "", "check", exitUsage},
		{"a clean check", "[]", "check -report=" + report + " -messages=" + messages, 0},
		{"an invented message", `{"properties":{"deviceId":"meter-1"},"body":{"seq":3}}`,
			"check -report=" + report + " -messages=" + messages, exitViolation},
		{"no messages", "-", "check -report=" + report + " -messages=" + messages + ".none", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.messages != "" {
				if err := os.WriteFile(messages, []byte(c.messages), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := command(t.Context(), strings.Fields(c.arguments)); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}

func TestSignalEndsARun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as SIGTERM does
	if got := command(ctx, strings.Fields("-trackers=1 -tcp=127.0.0.1:1 -udp-trackers=0 -lines=0 -meters=0")); got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
}
