package chaos

import (
	"flag"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
	"github.com/causeway-iot/causeway/tests/world/proxy"
)

// built is written by TestMain before any test runs, and only read afterwards.
var built world.Programs

var (
	seedFlag = flag.Uint64("seed", 0, "seed of the schedule; 0: CHAOS_SEED, or 1")
	only     = flag.String("faults", "", "regular expression: only faults of these names; empty: all")
	duration = flag.Duration("chaos", 75*time.Second, "how long faults happen; what follows takes up to a minute more")
)

// longRun is what must be left of a run for a fault that takes a minute.
const longRun = 3 * time.Minute

// settle is how long the fleet waits at the end for what is not acknowledged: the
// gateway may have to wait 10 s to connect, devices resend after 2 s.
const settle = 45 * time.Second

func TestMain(m *testing.M) {
	os.Exit(world.MainWithClock(m, &built))
}

// seed is the flag, or the environment, or 1: `make test` is the same every time.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("CHAOS_SEED")
	switch {
	case *seedFlag != 0:
		return *seedFlag
	case text == "":
		return 1
	case text == "random":
		return rand.Uint64N(1_000_000)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CHAOS_SEED is %q, it must be a number or random", text)
	}
	return n
}

// schedule draws faults until the time is over: all of them in a random order, and
// then again, so that none is missing for long.
func (r *rig) schedule(until time.Time) {
	r.t.Helper()
	wanted := r.wanted()
	var order []int
	for time.Now().Before(until) {
		if len(order) == 0 {
			order = r.dice.Perm(len(wanted))
		}
		f := wanted[order[0]]
		order = order[1:]
		if f.long && time.Until(until) < longRun {
			continue
		}
		if r.dice.IntN(3) == 0 { // beside it the devices' own network is not the best
			for _, p := range r.deviceNets() {
				p.Set(proxy.Weather{Jitter: 50 * time.Millisecond, Loss: 0.05, Reorder: 0.05})
			}
		}
		r.say("%s", f.name)
		f.run(r)
		if r.skipped {
			r.skipped = false
			r.evidence.Faults[f.name+notDone]++
		} else {
			r.evidence.Faults[f.name]++
		}
		r.calm()
		r.pause(0, 2*time.Second)
		if r.dice.IntN(2) == 0 { // else the next fault meets one that is not over
			world.Within(15*time.Second, r.connected)
		}
	}
}

// wanted are the faults that the flag names, all by default, but those that this run cannot have.
func (r *rig) wanted() (list []fault) {
	r.t.Helper()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		r.t.Fatalf("-faults: %v", err)
	}
	for _, f := range faults {
		switch {
		case !pattern.MatchString(f.name), f.identities && r.devices == nil:
		case f.amqp && built.MQTT():
			r.say("left out, for over MQTT every refusal is the end of a connection: %s", f.name)
		default:
			list = append(list, f)
		}
	}
	if list == nil {
		r.t.Fatalf("-faults %q: no fault has such a name", *only)
	}
	return list
}

func TestNothingAcknowledgedIsEverLost(t *testing.T) {
	seed := seed(t)
	t.Logf("seed %d: CHAOS_SEED=%d repeats this schedule", seed, seed)
	r := newRig(t, seed, "stored", size{trackers: 100, lines: 100, udpTrackers: 50, meters: 50, rate: "1"})
	t.Logf("over %s; the disk is %s; the clocks of gateway, hub and devices are set", built.Upstream, r.disk.Kind())
	r.schedule(r.began.Add(*duration))
	e := r.finish()
	var out strings.Builder
	e.Write(&out)
	t.Log("\n" + out.String())
	if broken := e.Judge(); len(broken) > 0 {
		t.Errorf("%d promises broken, seed %d", len(broken), seed)
	}
}

// The checker is checked: a gateway that acknowledges what it has merely decoded
// meets one of the faults above, and must be caught.
func TestAGatewayThatAcknowledgesEarlyIsCaught(t *testing.T) {
	r := newRig(t, 1, "decoded", size{trackers: 20, lines: 20, udpTrackers: 10, meters: 10, rate: "5"})
	i := slices.IndexFunc(faults, func(f fault) bool { return strings.Contains(f.name, "nowhere safe") })
	faults[i].run(r)
	e := r.finish()
	broken := strings.Join(e.Judge(), "\n")
	for _, want := range []string{"lost", "acknowledged before safe"} {
		if !strings.Contains(broken, want) {
			t.Errorf("a gateway that acknowledges early is not caught: no %q in %q\n%s", want, broken, e.Table)
		}
	}
	if !strings.Contains(e.Table, "acknowledged and lost") {
		t.Errorf("the table names no loss:\n%s", e.Table)
	}
}
