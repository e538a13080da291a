package lifecycle

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is when everything here happens.
func at() time.Time { return time.Date(2026, 11, 28, 21, 4, 5, 678_901_234, time.FixedZone("", 3600)) }

// example is the event that docs/operations.md shows.
func example() Event {
	return Event{
		Kind: Disconnected, At: at(), Device: "356307042441013", Listener: "trackers", Codec: "teltonika",
		Transport: "tcp", Remote: "10.20.30.40:51234", Session: 1_873_000_000_000 << 20, Reason: "taken-over", Elsewhere: true,
	}
}

func TestEveryKindHasItsBody(t *testing.T) {
	const head = `{"schemaVersion":"1.0","kind":`
	const link = `,"at":"2026-11-28T20:04:05.678Z","deviceId":"d","listener":"l","codec":"c","transport":"tcp",` +
		`"remote":"1.2.3.4:5","session":"z"`
	for _, c := range []struct {
		word string
		Event
		rest string
	}{
		{"connected", Event{Kind: Connected}, ``},
		{"disconnected", Event{Kind: Disconnected, Reason: "idle"}, `,"reason":"idle"`},
		{"authenticated", Event{Kind: Authenticated}, ``},
		{"refused", Event{Kind: Refused, Reason: "unknown-device"}, `,"reason":"unknown-device"`},
		{"takenOver", Event{Kind: TakenOver, PreviousRemote: "1.2.3.4:4"}, `,"previousRemote":"1.2.3.4:4"`},
		{"quarantined", Event{Kind: Quarantined, Reason: "unknown-device"}, `,"reason":"unknown-device"`},
		{"commandSent", Event{Kind: CommandSent, Command: "getver", CommandID: "7"}, `,"command":"getver","commandId":"7"`},
		{"commandAnswered", Event{Kind: CommandAnswered, Command: "getver"}, `,"command":"getver"`},
		{"commandExpired", Event{Kind: CommandExpired, Command: "getver", Reason: "no-answer"},
			`,"reason":"no-answer","command":"getver"`},
		{"identityAttached", Event{Kind: IdentityAttached}, ``},
		{"identityDetached", Event{Kind: IdentityDetached, Reason: "idle"}, `,"reason":"idle"`},
		{"identityRefused", Event{Kind: IdentityRefused, Reason: "unauthorized"}, `,"reason":"unauthorized"`},
	} {
		e := c.Event
		e.At, e.Device, e.Listener, e.Codec, e.Transport, e.Remote = at(), "d", "l", "c", "tcp", "1.2.3.4:5"
		b, err := e.encode("z", nil)
		if want := head + `"` + c.word + `"` + link + c.rest + `}`; err != nil || string(b) != want {
			t.Errorf("%s is\n%s, %v, want\n%s", c.word, b, err, want)
		}
	}
	if len(Kinds()) != kinds || Kinds()[kinds-1] != IdentityRefused {
		t.Errorf("the kinds are %v", Kinds())
	}
}

func TestOfACommandOnlyItsFirstWordIsTold(t *testing.T) {
	for command, want := range map[string]string{
		"getver": "getver", "setparam 2003:secret": "setparam", "AT+PWD=secret": "AT", "*HQ,secret#": "",
		strings.Repeat("x", 1000): strings.Repeat("x", commandLimit),
	} {
		e := Event{Kind: CommandSent, Command: command}
		b, err := e.encode("", nil)
		var got struct{ Command string }
		if err != nil || json.Unmarshal(b, &got) != nil || got.Command != want || strings.Contains(string(b), "secret") {
			t.Errorf("of %.40q is told %.300s, %v", command, b, err)
		}
	}
}

func TestTheOperatorsPageShowsAnEventAsItIs(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Lifecycle messages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, text, fenced := strings.Cut(section, "```json\n")
	text, _, _ = strings.Cut(text, "```")
	if !found || !fenced {
		t.Fatal("there is no section on events, or no JSON in it")
	}
	var shown, made map[string]any
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatal(err)
	}
	u := &uplink{}
	o := NewOutput(u)
	o.Configure(generous())
	o.miss(Connected)
	o.miss(Connected)
	o.Tell(example())
	if err := json.Unmarshal(u.list[0].Body, &made); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(shown, made) {
		t.Errorf("the page shows\n%v\nand it is\n%v", shown, made)
	}
	for _, k := range Kinds() {
		if !strings.Contains(section, "| `"+k.String()+"` |") {
			t.Errorf("the page does not explain %s", k)
		}
	}
}
