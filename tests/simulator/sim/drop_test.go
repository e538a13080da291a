package sim_test

import (
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// wasReset tells a connection that was reset from one that was closed. Who writes before it
// reads finds a broken pipe.
func wasReset(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "broken pipe"))
}

func TestTheConnectionOfOneIdentityIsReset(t *testing.T) {
	t.Parallel()
	for name, dial := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, sim.Options{Leaves: map[string]string{"meter-[1-2]": ""}, Modules: []string{"m"}})
			s := dial(t, e)
			s.login("meter-1", "meter-2")
			s.events("meter-1")
			s.events("meter-2")
			if _, err := connect(t, e, "m").NewSender(t.Context(), "/devices/edge/modules/m/messages/events", nil); err != nil {
				t.Fatal(err)
			}
			if status, text := request(t, e, "POST", "/connections/drop?identity=meter-2/", ""); status != 200 || !strings.Contains(text, `"dropped":1`) {
				t.Fatalf("%d %s", status, text)
			}
			<-s.conn.Done()
			if err := s.conn.Err(); !wasReset(err) {
				t.Errorf("it ended with %v", err)
			}
			if e.Hub().Connected(edge.Identity{Device: "meter-2"}) || !e.Hub().Connected(edge.Identity{Device: "edge", Module: "m"}) {
				t.Error("the device is still there, or the other connection is gone as well")
			}
		})
	}
}

func TestTheConnectionOfOneIdentityIsResetOverMQTT(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	for _, url := range []string{"ssl://" + e.MQTTGateway(), "wss://" + e.WebGateway() + "/"} {
		lost := make(chan error, 1)
		c := paho.NewClient(pahoOptions(t, e, url).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err }))
		succeed(t, c.Connect())
		if status, text := request(t, e, "POST", "/connections/drop?identity=m", ""); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		if err := <-lost; !wasReset(err) {
			t.Errorf("%s ended with %v", url, err)
		}
	}
}
