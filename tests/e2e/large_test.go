package e2e

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

func TestALargeDocumentGoesInPartsAndIsAcknowledgedOnce(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0", "listeners": {"lines": {"bind": "tcp://127.0.0.1:0", "codec": "json",
		"device": "logger", "limits": {"frameBytes": 1048576, "loginBytes": 1048576}, "options": {"ack": "OK", "nak": "NO"}}}}`)
	g := built.StartGateway(t, sim, world.Workload)
	conn, err := net.Dial("tcp", g.Addr("lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	record := `"` + strings.Repeat("x", 99_998) + `"`
	say(t, conn, "["+strings.Join(slices.Repeat([]string{record}, 5), ",")+"]", "OK")
	list := sim.WaitMessages("logger", 3, 30*time.Second)
	for i, want := range []struct {
		part    string
		records int
	}{{"1/3", 2}, {"2/3", 2}, {"3/3", 1}} {
		var records []string
		if err := json.Unmarshal(list[i].Body, &records); err != nil || len(records) != want.records {
			t.Errorf("part %d has %d records, %v", i+1, len(records), err)
		}
		if got := list[i].Properties["part"]; got != want.part {
			t.Errorf("part %d says %q", i+1, got)
		}
	}
	say(t, conn, `["`+strings.Repeat("x", 300_000)+`",1]`, "NO") // a record that is too large by itself
	if m := sim.WaitMessages("logger", 5, 30*time.Second); m[3].Properties["part"] != "2/2" && m[4].Properties["part"] != "2/2" {
		t.Errorf("what stood beside it is not there: %v, %v", m[3].Properties, m[4].Properties)
	}
}
