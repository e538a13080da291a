package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// Past the edge hub: the module and its devices connect to IoT Hub itself, the devices by the
// key of a shared access policy.
func TestTheGatewayTalksToIoTHubItself(t *testing.T) {
	t.Parallel()
	p := overAMQP().Over("Amqp")
	sim := p.StartSimulator(t, strings.Replace(identities, `"identity": {`,
		`"identity": {"keys": {"hub": {"kind": "policy", "connectionString": {"env": "HUB_POLICY"}}}, `, 1),
		"-iothub", "localhost")
	sim.AddLeaves(imei, "")
	g := p.StartGateway(t, sim, world.ConnectionString, "CAUSEWAY_HUB=iothub", "HUB_POLICY="+sim.DirectConnection,
		"EdgeHubConnectionString="+directly(t, sim))
	d := login(t, g.Addr("trackers"), imei)
	d.send(1)
	if n := d.acknowledged(20 * time.Second); n != 1 {
		t.Errorf("%d records acknowledged", n)
	}
	sim.WaitLeafMessages([]string{imei}, 1, 20*time.Second)
	if stats := sim.Stats().Identities[imei]; stats.Connections != 1 || stats.Telemetry != 1 {
		t.Errorf("the hub saw %+v", stats)
	}
	go answering(d)
	if status, payload := sim.LeafMethod(imei, "getver", nil); status != 200 {
		t.Errorf("status %d, payload %s", status, payload)
	}
	sim.PatchLeaf(imei, map[string]any{"1001": 60})
	sim.WaitReported(imei, 20*time.Second, "what it confirmed", func(reported map[string]any) bool {
		return reported["1001"] != nil
	})
}

// directly is the module's connection string without an edge hub, at the port where the
// simulator is IoT Hub.
func directly(t *testing.T, sim *world.Simulator) string {
	t.Helper()
	for _, pair := range sim.Env(world.ConnectionString) {
		text, found := strings.CutPrefix(pair, "EdgeHubConnectionString=")
		if !found {
			continue
		}
		_, port, _ := strings.Cut(sim.Direct, ":")
		var parts []string
		for part := range strings.SplitSeq(text, ";") {
			if strings.HasPrefix(part, "HostName=") {
				part += ":" + port
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ";")
	}
	t.Fatal("the environment has no connection string")
	return ""
}
