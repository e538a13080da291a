package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/world"
)

// arrived makes messages of words: an id, and a body after a colon. A "!" before it makes
// it a dead letter.
func arrived(words string) (list []world.Message) {
	for i, word := range strings.Fields(words) {
		word, dead := strings.CutPrefix(word, "!")
		id, body, _ := strings.Cut(word, ":")
		m := world.Message{
			Sequence: uint64(i) + 1, System: map[string]string{"messageId": id}, Body: json.RawMessage(body),
		}
		if dead {
			m.Output = outputDead
		}
		list = append(list, m)
	}
	return list
}

// sums is the last row of a table as the fleet prints it.
func sums(reordered, lost, invented, unreadable int) string {
	return fmt.Sprintf("  device  kind\n  total  3 devices  90  80  80  1  %d  %d  %d  %d  \nmore\n", reordered, lost, invented, unreadable)
}

func TestTheVerdictFindsEveryBrokenPromise(t *testing.T) {
	for name, c := range map[string]struct {
		evidence Evidence
		broken   string // a part of the only violation; empty: none
	}{
		"all is well":                          {Evidence{Messages: arrived("a-x-1:1 a-x-2:2 b-x-1:1")}, ""},
		"duplicates":                           {Evidence{Messages: arrived("a-x-1:1 a-x-2:2 a-x-1:1 a-x-2:2 a-x-3:3")}, ""},
		"numbers in base 36":                   {Evidence{Messages: arrived("a-x-z:1 a-x-10:2")}, ""},
		"a new session begins anew":            {Evidence{Messages: arrived("a-x-7:7 a-y-1:8")}, ""},
		"a body that is no JSON":               {Evidence{Messages: []world.Message{{System: map[string]string{"messageId": "a-x-1"}, BodyBase64: []byte{1}}}}, ""},
		"the fleet misses something":           {Evidence{CheckFailed: true}, "lost or out of order"},
		"missing, but counted as given up":     {Evidence{CheckFailed: true, Dropped: 7, Table: sums(0, 7, 0, 0)}, ""},
		"more missing than were given up":      {Evidence{CheckFailed: true, Dropped: 7, Table: sums(0, 8, 0, 0)}, "lost or out of order"},
		"given up, but out of order":           {Evidence{CheckFailed: true, Dropped: 7, Table: sums(1, 2, 0, 0)}, "lost or out of order"},
		"given up, but something was invented": {Evidence{CheckFailed: true, Dropped: 7, Table: sums(0, 2, 1, 0)}, "lost or out of order"},
		"given up, but unreadable":             {Evidence{CheckFailed: true, Dropped: 7, Table: sums(0, 2, 0, 1)}, "lost or out of order"},
		"given up, but there is no table":      {Evidence{CheckFailed: true, Dropped: 7}, "lost or out of order"},
		"nothing acknowledged in a window":     {Evidence{Windows: []Window{{"disk", 5, 5}}}, ""},
		"an acknowledgement in a window":       {Evidence{Windows: []Window{{"disk", 5, 5}, {"hub", 5, 7}}}, "before safe: 2 messages"},
		"memory at its limit":                  {Evidence{PeakMemory: 1 << 20, MemoryLimit: 1 << 20}, ""},
		"memory over its limit":                {Evidence{PeakMemory: 3 << 20, MemoryLimit: 2 << 20}, "memory: 3 MiB"},
		"something is left":                    {Evidence{Left: 9}, "holds 9 "},
		"a device is never acknowledged":       {Evidence{Open: []string{"meter-7: 1 of 5"}}, "meter-7"},
		"one id for two messages":              {Evidence{Messages: arrived("a-x-1:1 a-x-1:2")}, "given to two messages"},
		"ids of a session in the wrong order":  {Evidence{Messages: arrived("a-x-2:2 a-x-1:1")}, "arrived first after number 2"},
		"a message without an id":              {Evidence{Messages: arrived(":1")}, "no id"},
		"an id that is not of our making":      {Evidence{Messages: arrived("whatever:1 what-ever!:2")}, ""},
		"a record after its dead letter":       {Evidence{Messages: arrived("a-x-2:2 !a-q-0:1 a-x-3:1 a-x-4:2")}, ""},
		"a dead record under its old id":       {Evidence{Messages: arrived("a-x-2:2 !a-q-0:1 a-x-1:1")}, "arrived first after number 2"},
		"a late record beside a dead one":      {Evidence{CheckFailed: true, Messages: arrived("a-x-2:2 !a-q-0:1")}, "lost or out of order"},
		"the same disorder twice counts twice": {Evidence{Messages: arrived("a-x-3:3 a-x-1:1 b-x-1:1")}, "a-x-1"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := c.evidence.Judge()
			if c.broken == "" && len(broken) > 0 || c.broken != "" && (len(broken) != 1 || !strings.Contains(broken[0], c.broken)) {
				t.Errorf("broken %q, want %q", broken, c.broken)
			}
			c.evidence.Seed = 77
			var out bytes.Buffer
			c.evidence.Write(&out)
			if strings.Contains(out.String(), "was broken") != (c.broken != "") || !strings.Contains(out.String(), "seed 77") {
				t.Errorf("printed:\n%s", &out)
			}
		})
	}
}

func TestDuplicatesAreCountedByMessageID(t *testing.T) {
	e := Evidence{Messages: arrived("a-x-1:1 a-x-2:2 a-x-1:1 a-x-1:1 b-x-1:1")}
	if n := e.Duplicates(); n != 2 {
		t.Errorf("%d duplicates", n)
	}
}

func TestAConsumerDropsDuplicates(t *testing.T) {
	consumer, kept := Consumer{}, ""
	for _, id := range strings.Fields("a-x-1 b-x-1 a-x-2 a-x-1 a-x-2 a-x-z a-x-10 a-x-z a-y-1 a-b-x-1 a-b-x-1 other other") {
		if consumer.First(id) {
			kept += id + " "
		}
	}
	if want := "a-x-1 b-x-1 a-x-2 a-x-z a-x-10 a-y-1 a-b-x-1 other other "; kept != want {
		t.Errorf("kept %s, want %s", kept, want)
	}
	if broken := judgeConsumer(arrived("a-x-2:2 a-x-1:1")); len(broken) != 1 {
		t.Errorf("a message that a consumer would miss is not seen: %q", broken)
	}
}
