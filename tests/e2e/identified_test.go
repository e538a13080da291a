package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// identities is a deployment whose trackers are devices of IoT Hub.
const identities = `{"schemaVersion": "1.0", "listeners": {
	"trackers": {"bind": "tcp://127.0.0.1:0", "codec": "teltonika", "identity": "device"},
	"meters":   {"bind": "udp://127.0.0.1:0", "codec": "json", "identity": "device", "options": {"id": "/serial", "ack": "OK"}}},
	"identity": {"attachesPerSecond": 100, "twinRequestsPerSecond": 100}}`

// overAMQP is the gateway over AMQP, where the suite runs over MQTT: that has one identity a
// connection.
func overAMQP() world.Programs {
	if built.MQTT() {
		return built.Over("Amqp")
	}
	return built
}

func TestADeviceSendsUnderItsOwnIdentity(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, identities)
	sim.AddLeaves(imei, world.Derived)
	g := p.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	d.send(1)
	if n := d.acknowledged(20 * time.Second); n != 1 {
		t.Errorf("%d records acknowledged", n)
	}
	list := sim.WaitMessages(imei, 1, 20*time.Second)
	if m := list[0]; m.Device != imei || m.Module != "" || m.Properties["output"] != "telemetry" || m.Output != "" {
		t.Errorf("the message came as %+v", m)
	}

	// A direct method of the device is a command, and its answer the device's own.
	const version = "Ver:03.27.07_00"
	go func() {
		if text, err := d.command(20 * time.Second); err == nil && text == "getver" {
			d.answer(version)
		}
	}()
	if status, payload := sim.LeafMethod(imei, "getver", nil); status != 200 || !strings.Contains(string(payload), version) {
		t.Errorf("status %d, payload %s", status, payload)
	}

	// A message from the cloud is one too, completed when the device has answered.
	done := make(chan string, 1)
	go func() {
		text, err := d.command(20 * time.Second)
		if err != nil {
			text = err.Error()
		}
		d.answer("ok")
		done <- text
	}()
	id := sim.SendTo(imei, nil, map[string]string{"command": "getinfo", "iothub-ack": "full"}, 0)
	if text := <-done; text != "getinfo" {
		t.Errorf("the tracker was told %q", text)
	}
	if status := sim.WaitEnd(id, 20*time.Second); status != "Success" {
		t.Errorf("the message ended as %s", status)
	}
	id = sim.SendTo(imei, map[string]any{"what": "is this"}, map[string]string{"iothub-ack": "full"}, 0)
	if status := sim.WaitEnd(id, 20*time.Second); status != "Rejected" {
		t.Errorf("a message that names no command ended as %s", status)
	}

	// Its desired properties reach it, and what it confirms is in its twin.
	go func() {
		for {
			if _, err := d.command(20 * time.Second); err != nil {
				return
			}
			d.answer("New value 1001:60;")
		}
	}()
	sim.PatchLeaf(imei, map[string]any{"1001": 60})
	sim.WaitReported(imei, 20*time.Second, "what it confirmed", func(reported map[string]any) bool {
		return fmt.Sprint(reported["1001"]) == "60"
	})
}

// A listener goes over to the module's identity and back while messages of a device are on disk, under
// the device's: they keep the way that they were taken for.
func TestAListenerChangesWhoseItsMessagesAre(t *testing.T) {
	t.Parallel()
	p := overAMQP()
	sim := p.StartSimulator(t, meters)
	g := p.StartGateway(t, sim, world.Workload)
	c := newCrowd(t, sim, g.Addr("meters"), 2)
	barred, other := c.list[0], c.list[1]
	sim.DisableLeaf(barred.id, true)
	c.send(3, 30*time.Second)
	become := func(identity string) {
		t.Helper()
		sim.Patch(map[string]any{"listeners": map[string]any{"meters": map[string]any{"identity": identity}}})
		sim.Decided()
		addr := g.Addr("meters")
		for _, m := range c.list {
			_ = m.conn.Close()
			again := dialMeter(t, addr, m.id)
			m.conn, m.in = again.conn, again.in
		}
		c.send(3, 30*time.Second)
	}
	become("module")
	world.Eventually(t, 30*time.Second, "three messages of each are in the cloud as the module's", func() bool {
		by := map[string]int{}
		for _, m := range sim.Messages(0) {
			if m.Module != "" && m.Output == "telemetry" {
				by[m.Properties["deviceId"]]++
			}
		}
		return by[barred.id] == 3 && by[other.id] == 3
	})
	become("device")
	sim.WaitLeafMessages([]string{other.id}, 6, 30*time.Second)
	if held := sim.LeafMessages()[barred.id]; len(held) != 0 {
		t.Errorf("a disabled device has sent %d messages", len(held))
	}
	sim.DisableLeaf(barred.id, false)
	by := sim.WaitLeafMessages([]string{barred.id}, 6, 60*time.Second)
	for _, m := range c.list {
		var order []string
		for _, each := range by[m.id] {
			order = append(order, string(each.Body))
		}
		if len(order) != 6 || !strings.Contains(order[2], `"seq":3}`) || !strings.Contains(order[3], `"seq":7}`) || !slices.IsSorted(order) {
			t.Errorf("%s sent %q under its own identity", m.id, order)
		}
	}
}
