package e2e

import (
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// The rig itself, without a gateway: what tests of translated devices stand on.
func TestHundredsOfLeafDevicesAreMadeSeenAndChanged(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0"}`, "-connect-rate", "50", "-clients", "400")
	began := time.Now()
	devices := sim.AddLeaves("meter-[001-300]", world.Derived)
	if len(devices) != 300 || devices[0] != "meter-001" || devices[299] != "meter-300" {
		t.Fatalf("got %d devices", len(devices))
	}
	t.Logf("300 devices took %v", time.Since(began))

	sim.PatchLeaf("meter-217", map[string]any{"interval": 30})
	if twin := sim.LeafTwin("meter-217"); len(twin.Desired) != 1 || twin.Desired["interval"] != 30.0 || len(twin.Reported) != 0 {
		t.Errorf("twin %+v", twin)
	}
	id := sim.SendTo("meter-217", map[string]any{"on": true}, map[string]string{"iothub-ack": "full"}, time.Second)
	if status := sim.WaitEnd(id, 20*time.Second); status != "Expired" {
		t.Errorf("a message to a device that is away: %s", status)
	}
	purged := sim.SendTo("meter-001", "hello", nil, 0)
	sim.DisableLeaf("meter-001", true)
	sim.RekeyLeaf("meter-002", "YW5vdGhlciBrZXkgb2YgMzI=")
	sim.ExpireLeaf("meter-003", true)
	sim.LeafFault("meter-004", 2, map[string]any{"attach": map[string]any{"description": "not now"}})
	if sim.CloseLeaf("meter-005") {
		t.Error("a device that is away had a connection")
	}
	sim.RemoveLeaf("meter-001")
	if status := sim.WaitEnd(purged, 20*time.Second); status != "Purged" {
		t.Errorf("a message to a removed device: %s", status)
	}
	if status, _ := sim.Call("GET", "/twins/meter-001", nil); status != 404 {
		t.Errorf("a removed device: %d", status)
	}
	if stats := sim.Stats(); stats.Admission.Connects.Total != 0 || len(stats.Identities) != 0 {
		t.Errorf("nobody has come, and yet %+v", stats)
	}
	sim.RestartPeaks()
	if connected := sim.Connected(); connected["meter-217"] || len(sim.LeafMessages()) != 0 {
		t.Errorf("connected are %v", connected)
	}
}
