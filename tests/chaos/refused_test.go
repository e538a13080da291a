package chaos

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

// odometer is the number that a tracker of the fleet gives a record; 0 for none.
func odometer(t *testing.T, m *world.Message) (n int) {
	t.Helper()
	var body struct {
		IO struct{ TotalOdometer int }
	}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatalf("body %s: %v", m.Body, err)
	}
	return body.IO.TotalOdometer
}

// numbered are the records of an output, in the order of their arrival.
func numbered(t *testing.T, list []world.Message, output string) (numbers []int) {
	t.Helper()
	for i := range list {
		if list[i].Output == output {
			numbers = append(numbers, odometer(t, &list[i]))
		}
	}
	return numbers
}

// Three refusals find one record of a packet of four, by halves: that one is refused for
// good and the others are stored. The tracker is not acknowledged and sends the whole
// packet again, so the record comes after its successors: the checker knows that, and
// takes nothing else for it.
func TestARecordThatIsRefusedForGoodComesAfterItsPacketsOthers(t *testing.T) {
	t.Parallel()
	if built.MQTT() {
		t.Log("left out: over MQTT three ends of a connection are not enough for a message to be refused")
		return
	}
	sim := built.StartSimulator(t, strings.NewReplacer("ACK", "stored", "WHOSE", "module").Replace(deployment))
	g := built.StartGateway(t, sim, world.Workload)
	sim.Fault(map[string]any{"refuse": map[string]any{"condition": "amqp:not-allowed"}, "count": 3})
	f := built.StartFleet(t, g.Addresses(), "-trackers", "1", "-lines", "0", "-udp-trackers", "0", "-meters", "0",
		"-records", "4", "-count", "4", "-rate", "0")
	if code := f.Proc.Wait(t, 30*time.Second); code != 0 {
		t.Fatalf("fleet: exit code %d", code)
	}
	var list []world.Message
	world.Eventually(t, 10*time.Second, "the dead letter is in the cloud", func() bool {
		list = sim.Messages(0)
		return len(numbered(t, list, outputDead)) > 0
	})
	if letters := numbered(t, list, outputDead); !slices.Equal(letters, []int{1}) {
		t.Errorf("dead letters about the records %v, want 1", letters)
	}
	first, again := []int{2, 3, 4}, []int{1, 2, 3, 4}
	if got, want := numbered(t, list, "telemetry"), slices.Concat(first, again); !slices.Equal(got, want) {
		t.Fatalf("the records arrived as %v, want %v", got, want)
	}

	without := func(output string, number int) []world.Message {
		return slices.DeleteFunc(slices.Clone(list), func(m world.Message) bool {
			return m.Output == output && odometer(t, &m) == number
		})
	}
	for name, c := range map[string]struct {
		list []world.Message
		code int
		says string
	}{
		"as it was":                         {list, 0, `refused them for good: "1"`},
		"without the letter":                {without(outputDead, 1), 1, "failed"},
		"of the record, only the letter":    {without("telemetry", 1), 1, `lost: "1"`},
		"with another that is late as well": {swapped(t, list, 2, 3), 1, "failed"},
	} {
		if code, table := f.Compare(c.list); code != c.code || !strings.Contains(table, c.says) {
			t.Errorf("%s: exit code %d, want %d, and %q in\n%s", name, code, c.code, c.says, table)
		}
	}
}

// swapped lets two records of the telemetry change the places of their first arrivals.
func swapped(t *testing.T, list []world.Message, a, b int) []world.Message {
	t.Helper()
	list = slices.Clone(list)
	place := func(number int) *world.Message {
		return &list[slices.IndexFunc(list, func(m world.Message) bool {
			return m.Output == "telemetry" && odometer(t, &m) == number
		})]
	}
	first, second := place(a), place(b)
	first.Body, second.Body = second.Body, first.Body
	return list
}
