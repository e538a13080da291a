package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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
	deviceServesByItself(t, sim, g)
}

// deviceServesByItself has a tracker send, answer a method and confirm its desired properties, all
// under its own identity.
func deviceServesByItself(t *testing.T, sim *world.Simulator, g *world.Gateway) {
	t.Helper()
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

// gatewayKey is that of a gateway which is a device, base64 of 32 bytes.
const gatewayKey = "dGhlLWtleS1vZi1hLWdhdGV3YXktb2YtMzItYnl0ZXM="

// readings is the desired properties of a gateway whose devices have no identities of their own.
const readings = `{"schemaVersion": "1.0", "listeners": {
	"meters": {"bind": "tcp://127.0.0.1:0", "codec": "json", "options": {"id": "/serial", "ack": "OK"}, "output": "readings"}}}`

// startDevice starts a gateway that IoT Hub knows as the device "gateway", with these desired
// properties, and waits until it has taken them. The connection string has all but the device.
func startDevice(t *testing.T, p world.Programs, sim *world.Simulator, desired, connection string) *world.Gateway {
	t.Helper()
	sim.AddLeaves("gateway", gatewayKey)
	sim.PatchLeaf("gateway", json.RawMessage(desired))
	g := p.NewGateway(t, sim, world.ConnectionString, t.TempDir())
	g.Start("EdgeHubConnectionString=" + connection + ";DeviceId=gateway")
	waitStatus(sim, 200, "")
	return g
}

// waitStatus waits for what the gateway says of its desired properties.
func waitStatus(sim *world.Simulator, code float64, text string) {
	sim.WaitReported("gateway", 20*time.Second, "what it made of its desired properties", func(reported map[string]any) bool {
		status, _ := reported["lastDesiredStatus"].(map[string]any)
		description, _ := status["description"].(string)
		return status["code"] == code && strings.Contains(description, text)
	})
}

// Without a module: its device twin configures the gateway, and its telemetry is the device's.
func TestTheGatewayIsADeviceOfIoTHub(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"Amqp", "AmqpWs", "Mqtt", "MqttWs"} {
		t.Run(upstream, func(t *testing.T) {
			t.Parallel()
			p := built.Over(upstream)
			sim := p.StartSimulator(t, `{}`)
			g := startDevice(t, p, sim, readings, "HostName="+sim.Direct+";SharedAccessKey="+gatewayKey)
			gatewayServesAsADevice(t, sim, g)
			stats := sim.Stats().Identities["gateway"]
			// Telemetry, and two links each for twin and methods; over MQTT a login.
			attaches := map[bool]uint64{false: 5, true: 1}[p.MQTT()]
			if stats.Connections != 1 || stats.Refused != 0 || stats.Attaches != attaches {
				t.Errorf("the hub saw %+v", stats)
			}
		})
	}
}

func TestAGatewayThatIsADeviceLogsInByAPolicy(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{}`)
	g := startDevice(t, built, sim, readings, sim.DirectConnection)
	gatewayServesAsADevice(t, sim, g)
}

func gatewayServesAsADevice(t *testing.T, sim *world.Simulator, g *world.Gateway) {
	t.Helper()
	if err := dialMeter(t, g.Addr("meters"), "meter-7").send(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	m := sim.WaitLeafMessages([]string{"gateway"}, 1, 20*time.Second)["gateway"][0]
	if m.Output != "" || m.Properties["output"] != "readings" || m.Properties["deviceId"] != "meter-7" {
		t.Errorf("output %q, properties %v", m.Output, m.Properties)
	}
	if status, payload := sim.LeafMethod("gateway", "listDevices", nil); status != 200 || !strings.Contains(string(payload), "meter-7") {
		t.Errorf("status %d, payload %s", status, payload)
	}
	sim.PatchLeaf("gateway", map[string]any{"listeners": map[string]any{"more": map[string]any{
		"bind": "tcp://127.0.0.1:0", "codec": "json", "options": map[string]any{"id": "/serial"},
	}}})
	g.Addr("more") // is open when the patch has come
	listens := false
	for _, c := range sim.Stats().Clients {
		listens = listens || c.Identity == "gateway" && c.Connected && c.Desired && c.Methods && !c.Inputs
	}
	if !listens {
		t.Errorf("the hub's clients are %+v", sim.Stats().Clients)
	}
	if _, text := g.Get("/metrics"); !strings.Contains(text, `edge_device="gateway"`) || !strings.Contains(text, `module_name=""`) {
		t.Error("the metrics do not say that the gateway is a device")
	}
}

// One connection string for everything, as Microsoft's protocol gateway had it.
func TestOnePolicyIsEnoughForTheGatewayAndItsDevices(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"Amqp", "AmqpWs"} {
		t.Run(upstream, func(t *testing.T) {
			t.Parallel()
			p := built.Over(upstream)
			sim := p.StartSimulator(t, `{}`)
			sim.AddLeaves(imei, "")
			g := startDevice(t, p, sim, identities, sim.DirectConnection)
			deviceServesByItself(t, sim, g)
			sim.PatchLeaf("gateway", map[string]any{"identity": map[string]any{"keys": map[string]any{
				"own": map[string]any{"kind": "derived"},
			}}})
			waitStatus(sim, 400, `/identity/keys/own/kind: got derived, but the gateway's key is that of the policy "device"`)
		})
	}
}

// With a key of its own, a gateway that is a device has one that those of others are derived from.
func TestKeysAreDerivedOfAGatewayThatIsADevice(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, `{}`)
	key, err := base64.StdEncoding.DecodeString(gatewayKey)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(imei))
	sim.AddLeaves(imei, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	g := startDevice(t, p, sim, identities, "HostName="+sim.Direct+";SharedAccessKey="+gatewayKey)
	deviceServesByItself(t, sim, g)
}
