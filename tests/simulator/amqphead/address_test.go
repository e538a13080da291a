package amqphead

import (
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestAddressesAreFoundByPathAndDirection(t *testing.T) {
	device, module := edge.Identity{Device: "d"}, edge.Identity{Device: "d", Module: "m"}
	cases := []struct {
		address     string
		clientSends bool
		kind        kind
		id          edge.Identity
	}{
		{"/devices/d/messages/events", true, telemetry, device},
		{"devices/d/messages/events", true, telemetry, device},
		{"amqps://hub.example:5671/devices/d/messages/events", true, telemetry, device},
		{"/DEVICES/d/Messages/EVENTS", true, telemetry, device},
		{"/devices/d/modules/m/messages/events", true, telemetry, module},
		{"/devices/d/modules/m/messages/events", false, inputs, module},
		{"/devices/d/messages/events", false, none, device},
		{"/devices/d/messages/devicebound", false, c2d, device},
		{"/devices/d/messages/devicebound", true, none, device},
		{"/devices/d/modules/m/messages/devicebound", false, c2d, module},
		{"/devices/d/twin", true, twinRequests, device},
		{"/devices/d/modules/m/twin", false, twinAnswers, module},
		{"/devices/d/methods/devicebound", true, methodAnswers, device},
		{"/devices/d/modules/m/methods/devicebound", false, methodCalls, module},
		{"/devices/a%2Fb/modules/x+y/twin", true, twinRequests, edge.Identity{Device: "a/b", Module: "x y"}},
		{"/devices/my dev/twin", true, twinRequests, edge.Identity{Device: "my dev"}},
		{"/devices/%zz/twin", true, twinRequests, edge.Identity{Device: "%zz"}},
		{"/prefix/devices/d/twin", true, twinRequests, device},
		{"/devices/d/twin?x=1", true, twinRequests, device},
		{"/devices//twin", true, none, edge.Identity{}},
		{"/devices/d/modules//twin", true, none, edge.Identity{}},
		{"/devices/d/twin/extra", true, none, edge.Identity{}},
		{"/devices/d", true, none, edge.Identity{}},
		{"twin", true, none, edge.Identity{}},
		{"", true, none, edge.Identity{}},
	}
	for _, c := range cases {
		k, id := classify(c.address, c.clientSends)
		if k != c.kind || k != none && id != c.id {
			t.Errorf("%q (client sends: %t): %v %v, want %v %v", c.address, c.clientSends, k, id, c.kind, c.id)
		}
	}
	for address, want := range map[string]bool{"$cbs": true, "/$CBS": true, "amqps://h/$cbs": true, "cbs": false, "": false} {
		if isCBS(address) != want {
			t.Errorf("%q", address)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("/devices/d/modules/m/messages/events", true)
	f.Add("amqps://h/devices/%zz/twin?x", false)
	f.Fuzz(func(t *testing.T, address string, clientSends bool) {
		k, id := classify(address, clientSends)
		if k != none && id.Device == "" {
			t.Fatalf("%q has the kind %v and no device", address, k)
		}
	})
}
