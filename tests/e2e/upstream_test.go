package e2e

import (
	"testing"

	"github.com/causeway-iot/causeway/tests/world"
)

// The whole suite runs over AMQP, or what UPSTREAM names; these cases run over each
// protocol, whatever the suite runs over.
func TestTheCentralCasesHoldOverEveryOtherProtocol(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"Amqp", "AmqpWs", "Mqtt", "MqttWs"} {
		if upstream == built.Upstream {
			continue // the suite itself has them
		}
		p := built.Over(upstream)
		for _, c := range []struct {
			name string
			try  func(*testing.T, world.Programs)
		}{
			{"a tracker is acknowledged after the hub", func(t *testing.T, p world.Programs) {
				t.Helper()
				acknowledgedAfterTheHub(t, p, world.ConnectionString)
			}},
			{"a command is answered", sendCommandIsAnswered},
			{"a twin patch adds a listener", aPatchAddsAListener},
			{"a message is refused for good", refusedAndReplayed},
			{"the simulator is killed under traffic", func(t *testing.T, p world.Programs) {
				t.Helper()
				killedUnderTraffic(t, p, "6s")
			}},
		} {
			t.Run(upstream+": "+c.name, func(t *testing.T) {
				t.Parallel()
				c.try(t, p)
			})
		}
	}
}
