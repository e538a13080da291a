package chaos

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/tests/world"
)

// Window is a time in which no place was safe: the hub away and no disk to write to.
type Window struct {
	Fault string
	// Before and After are how many messages the fleet's devices were acknowledged
	// in all, at the window's beginning and end.
	Before, After uint64
}

// Evidence is what a run has left behind.
type Evidence struct {
	Seed uint64
	// Messages are those that reached the cloud, in order.
	Messages []world.Message
	// CheckFailed is the fleet's own judgement, Table what it printed, per device:
	// sent, acknowledged, delivered, duplicates, reordered, lost.
	CheckFailed bool
	Table       string
	// Dropped is how many messages the gateway says to have given up under drop-oldest:
	// so many acknowledged ones may be missing.
	Dropped int64
	// Open is what the fleet said of messages that were never acknowledged although
	// everything was well again at the end.
	Open []string
	// Windows are the times in which nothing was safe.
	Windows []Window
	// PeakMemory is the most resident memory of any gateway process, in bytes.
	PeakMemory, MemoryLimit int64
	// Left is what the gateway still held at the end: bytes queued, messages on disk.
	Left int64
	// Faults counts what was done.
	Faults map[string]int
}

// Judge returns every broken promise; none means that all were kept.
func (e *Evidence) Judge() (broken []string) {
	if e.CheckFailed && !e.excused() {
		broken = append(broken, "lost or out of order: an acknowledged message is missing, or a device's first arrivals are "+
			"not in its order (see the table)")
	}
	for _, w := range e.Windows {
		if w.After > w.Before {
			broken = append(broken, fmt.Sprintf("acknowledged before safe: %d messages while there was no safe place (%s)",
				w.After-w.Before, w.Fault))
		}
	}
	for _, line := range e.Open {
		broken = append(broken, "never acknowledged, though all was well again: "+line)
	}
	if e.PeakMemory > e.MemoryLimit {
		broken = append(broken, fmt.Sprintf("memory: %d MiB, at most %d are allowed", e.PeakMemory>>20, e.MemoryLimit>>20))
	}
	if e.Left > 0 {
		broken = append(broken,
			fmt.Sprintf("not drained: the gateway still holds %d (bytes queued, messages on disk)", e.Left))
	}
	ids := judgeIDs(e.Messages)
	if ids == nil { // otherwise it says the same again
		ids = judgeConsumer(e.Messages)
	}
	return append(broken, ids...)
}

// excused: the fleet misses only what the gateway has counted as given up.
func (e *Evidence) excused() bool {
	lost, others, ok := totals(e.Table)
	return ok && e.Dropped > 0 && others == 0 && lost <= e.Dropped
}

// totals reads the last columns of the table's row of sums: what was lost, and the
// reordered, invented and unreadable together.
func totals(table string) (lost, others int64, ok bool) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[0] != "total" {
			continue
		}
		var last [4]int64 // reordered, lost, invented, unreadable
		for i, text := range fields[len(fields)-len(last):] {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return 0, 0, false
			}
			last[i] = n
		}
		return last[1], last[0] + last[2] + last[3], true
	}
	return 0, 0, false
}

// notDone ends the name of a fault that could not be had.
const notDone = " (not done)"

// outputDead is where what cannot be delivered goes, outputEvents where it is told what
// happens to devices.
const (
	outputDead   = "deadletter"
	outputEvents = "events"
)

// arrival is the first time that a message id was seen.
type arrival struct{ body []byte }

// judgeIDs holds what consumers are told about message ids: the same id is the same
// message, and the ids of one session begin in ascending order.
func judgeIDs(list []world.Message) (broken []string) {
	const most = 10 // of each kind are named
	seen := make(map[string]arrival, len(list))
	newest := map[string]uint64{}
	for i := range list {
		m := &list[i]
		if m.Output == outputDead {
			continue // its id is of no session; that of the message that it is about never arrived
		}
		id, body := m.System["messageId"], content(m)
		first, again := seen[id]
		switch {
		case id == "":
			broken = append(broken, fmt.Sprintf("message %d has no id", m.Sequence))
		case again && !bytes.Equal(first.body, body):
			broken = append(broken, fmt.Sprintf("message id %s was given to two messages", id))
		case !again:
			seen[id] = arrival{body}
			session, number := splitID(id)
			if number < newest[session] {
				broken = append(broken, fmt.Sprintf("message %s arrived first after number %d of its session", id, newest[session]))
			}
			newest[session] = max(newest[session], number)
		}
		if len(broken) >= most {
			return broken
		}
	}
	return broken
}

// judgeConsumer drops duplicates as the documentation tells consumers to, and holds
// that each message is left once.
func judgeConsumer(list []world.Message) (broken []string) {
	consumer, left := Consumer{}, map[string]int{}
	for i := range list {
		if m := &list[i]; m.Output != outputDead {
			id := m.System["messageId"]
			if left[id] += 0; consumer.First(id) {
				left[id]++
			}
		}
	}
	for id, n := range left {
		if _, number := splitID(id); n != 1 && number > 0 {
			broken = append(broken, fmt.Sprintf("a consumer that drops duplicates has message %s %d times", id, n))
		}
	}
	slices.Sort(broken)
	return broken[:min(len(broken), 1)] // the rest is of one cause
}

func content(m *world.Message) []byte {
	if len(m.Body) > 0 {
		return m.Body
	}
	return m.BodyBase64
}

// splitID parts an id, device-epoch-sequence with numbers in base 36, behind the epoch.
func splitID(id string) (session string, number uint64) {
	cut := strings.LastIndexByte(id, '-')
	if cut < 0 {
		return id, 0
	}
	number, err := strconv.ParseUint(id[cut+1:], 36, 64)
	if err != nil {
		return id, 0
	}
	return id[:cut], number
}

// Duplicates counts messages whose id had arrived before.
func (e *Evidence) Duplicates() (n int) {
	seen := make(map[string]bool, len(e.Messages))
	for i := range e.Messages {
		id := e.Messages[i].System["messageId"]
		if seen[id] {
			n++
		}
		seen[id] = true
	}
	return n
}

// Write prints everything: the table, what was done, and the verdict with the seed.
func (e *Evidence) Write(out io.Writer) {
	fmt.Fprintln(out, e.Table)
	names := make([]string, 0, len(e.Faults))
	for name := range e.Faults {
		names = append(names, name)
	}
	slices.Sort(names)
	total := 0 // without those that could not be done
	for _, name := range names {
		fmt.Fprintf(out, "%4d x %s\n", e.Faults[name], name)
		if !strings.HasSuffix(name, notDone) {
			total += e.Faults[name]
		}
	}
	for _, w := range e.Windows {
		fmt.Fprintf(out, "nowhere safe (%s): acknowledged %d before, %d after\n", w.Fault, w.Before, w.After)
	}
	fmt.Fprintf(out, "%d faults; %d messages arrived, %d of them again under the same id\n",
		total, len(e.Messages), e.Duplicates())
	if lost, _, ok := totals(e.Table); ok && e.Dropped > 0 {
		fmt.Fprintf(out, "the gateway gave up %d messages; of those acknowledged %d are missing\n", e.Dropped, lost)
	}
	fmt.Fprintf(out, "the gateway's peak memory was %d MiB of %d\n", e.PeakMemory>>20, e.MemoryLimit>>20)
	broken := e.Judge()
	for _, b := range broken {
		fmt.Fprintln(out, "BROKEN:", b)
	}
	verdict := "every acknowledged message was delivered at least once and in order, none was acknowledged early"
	if e.Dropped > 0 {
		verdict = "no acknowledged message is missing but those that were counted as given up, and all came in order"
	}
	if len(broken) > 0 {
		verdict = "the promise was broken"
	}
	fmt.Fprintf(out, "verdict: %s (seed %d)\n", verdict, e.Seed)
}
