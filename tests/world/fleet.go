package world

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Fleet is a run of simulated devices that note what was acknowledged to them.
type Fleet struct {
	t    testing.TB
	path string
	Proc *Process
	// Report is the file that the fleet writes at its end.
	Report string
}

// StartFleet sends the fleet's devices to the addresses.
func (p Programs) StartFleet(tb testing.TB, to Addresses, args ...string) *Fleet {
	tb.Helper()
	f := &Fleet{t: tb, path: p.Fleet, Report: filepath.Join(tb.TempDir(), "report.json")}
	f.Proc = Start(tb, "fleet", nil, p.Fleet, append([]string{
		"-tcp", to.Trackers, "-udp", to.UDPTrackers, "-meters-addr", to.Meters, "-meters-ack", "OK", "-lines-addr", to.Lines,
		"-ack-timeout", "2s", "-settle", "20s", "-report", f.Report,
	}, args...)...)
	return f
}

// Check waits for the fleet's end and lets it compare what its devices were told
// with what reached the cloud. Devices of the test itself are left out.
func (f *Fleet) Check(sim *Simulator, limit time.Duration, others ...string) {
	f.t.Helper()
	if code := f.Proc.Wait(f.t, limit); code != 0 {
		f.t.Errorf("fleet: exit code %d", code)
	}
	list := slices.DeleteFunc(sim.Messages(0), func(m Message) bool {
		return slices.Contains(others, m.Properties["deviceId"])
	})
	code, table := f.Compare(list)
	if code != 0 {
		f.t.Errorf("the integrity check failed with exit code %d", code)
	}
	f.t.Log(Tail(table))
}

// Compare lets the fleet judge messages, in the order of their arrival, by what its
// devices were told. It returns the exit code, 0 when every promise was kept, and what
// was printed. The fleet must have ended.
func (f *Fleet) Compare(list []Message) (code int, table string) {
	f.t.Helper()
	var lines strings.Builder
	encoder := json.NewEncoder(&lines)
	for i := range list {
		if err := encoder.Encode(&list[i]); err != nil {
			f.t.Fatal(err)
		}
	}
	messages := filepath.Join(f.t.TempDir(), "messages.json")
	if err := os.WriteFile(messages, []byte(lines.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	p := Start(f.t, "fleet check", nil, f.path, "check", "-report", f.Report, "-messages", messages)
	code = p.Wait(f.t, time.Minute)
	return code, p.Output()
}
