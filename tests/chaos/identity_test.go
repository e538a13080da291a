package chaos

import (
	"fmt"
	"strings"
	"testing"
)

// identityPart of the time is for devices with identities: the rest of the gateway is the same.
const identityPart = 5

// firstUDPTracker is where the fleet's trackers over UDP begin.
const firstUDPTracker = 300_000

// identified are the ids of a fleet's devices.
func identified(n size) (ids []string) {
	for i := range n.trackers {
		ids = append(ids, imei(i))
	}
	for i := range n.udpTrackers {
		ids = append(ids, imei(firstUDPTracker+i))
	}
	for i := range n.meters {
		ids = append(ids, fmt.Sprintf("meter-%d", i+1))
	}
	for i := range n.lines {
		ids = append(ids, fmt.Sprintf("line-%d", i+1))
	}
	return ids
}

// imei is the fleet's n-th: a body and the check digit of Luhn.
func imei(n int) string {
	body := fmt.Sprintf("35209308%06d", n)
	sum := 0
	for i, c := range body {
		d := int(c-'0') << (i % 2)
		sum += d/10 + d%10
	}
	return fmt.Sprintf("%s%d", body, (10-sum%10)%10)
}

// device is one that has an identity.
func (r *rig) device() string { return r.devices[r.dice.IntN(len(r.devices))] }

// The same promise for devices that have an identity of their own, under the same faults and some
// more: a connection to the hub is shared, and its end is everybody's.
func TestNothingAcknowledgedIsEverLostByDevicesOfTheHub(t *testing.T) {
	if built.MQTT() {
		t.Log("left out: MQTT has one identity a connection")
		return
	}
	seed := seed(t)
	t.Logf("seed %d: CHAOS_SEED=%d repeats this schedule", seed, seed)
	r := newRig(t, seed, "stored", size{trackers: 60, lines: 60, udpTrackers: 30, meters: 30, rate: "1", identities: true})
	r.schedule(r.began.Add(*duration / identityPart))
	e := r.finish()
	var out strings.Builder
	e.Write(&out)
	t.Log("\n" + out.String())
	if broken := e.Judge(); len(broken) > 0 {
		t.Errorf("%d promises broken, seed %d", len(broken), seed)
	}
}
