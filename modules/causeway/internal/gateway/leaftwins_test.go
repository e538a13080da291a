package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/twin"
)

// obedient is a script whose devices log in with "login <id>" and answer the command "ask" with
// "yes" or "no"; nobody answers "tell".
const obedient = `module.exports = {
	receive(f, state) {
		const [word, id] = toText(f).split(" ");
		if (word === "login") return { identity: { device: id, accept: "welcome" } };
		const correlation = state.pending;
		delete state.pending;
		return { results: [word === "yes" ? { correlation, payload: { a: 1 } } : { correlation, error: "the valve is stuck" }] };
	},
	command(c, state) {
		if (c.name === "tell" || c.name === "desired") return { reply: "told", results: [{ correlation: c.correlation, payload: { a: 1 } }] };
		if (c.name === "quiet") return { results: [{ correlation: c.correlation }] };
		if (c.name !== "ask") throw new UnknownCommand(c.name);
		if (state.pending) throw new Busy("the last one is not answered yet");
		state.pending = c.correlation;
		return { reply: "asked" };
	},
};`

// obeying is a gateway with an obedient device of its own identity behind each kind of listener.
func obeying(t *testing.T) (g *Gateway, devices map[string]*obeyer) {
	t.Helper()
	g = newGateway(t, environment(t))
	stop := run(t, g)
	t.Cleanup(stop)
	listener := func(unconfirmed string) string {
		return `{"bind":"tcp://127.0.0.1:0","codec":"own","frame":{"type":"line"},"identity":"device"` + unconfirmed + `}`
	}
	g.applyDesired(json.RawMessage(`{"schemaVersion":"1.0","codecs":{"own":{"kind":"js","source":"file://`+
		source(t, obedient)+`"}},"listeners":{"of-strict":`+listener("")+`,"of-lenient":`+listener(`,"unconfirmed":"complete"`)+`}}`), 1)
	devices = map[string]*obeyer{}
	for _, name := range []string{"strict", "lenient"} {
		conn := dial(t, g, "of-"+name)
		d := &obeyer{conn, bufio.NewReader(conn)}
		devices[name] = d
		d.says("login " + name)
		d.hears(t, "welcome")
	}
	return g, devices
}

// obeyer is an obedient device.
type obeyer struct {
	conn net.Conn
	in   *bufio.Reader
}

func (d *obeyer) says(line string) { _, _ = fmt.Fprintln(d.conn, line) }

func (d *obeyer) hears(t *testing.T, want string) {
	t.Helper()
	_ = d.conn.SetReadDeadline(time.Now().Add(patience))
	if line, err := d.in.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("the device hears %q, %v, want %q", line, err, want)
	}
}

func (d *obeyer) answers(word string) func() { return func() { d.says(word) } }

func TestAMessageFromTheCloudEndsAsItsDeviceSays(t *testing.T) {
	g, devices := obeying(t)
	const unconfirmed = "sent, and the protocol confirms nothing"
	const stuck = `status 422: {"error":"the valve is stuck"}`
	strict, lenient := devices["strict"], devices["lenient"]
	for _, c := range []struct {
		name, device, command, hears string
		then                         func()
		want                         hub.Settlement
	}{
		{"confirmed", "strict", "ask", "asked", strict.answers("yes"), hub.Settlement{Outcome: hub.Completed}},
		{"refused", "strict", "ask", "asked", strict.answers("no"), hub.Settlement{Outcome: hub.Rejected, Reason: stuck}},
		{"unknown", "strict", "fly", "", nil, hub.Settlement{
			Outcome: hub.Rejected, Reason: `fly: unknown command"}`,
		}},
		{"without a command", "strict", "", "", nil, hub.Settlement{Outcome: hub.Rejected, Reason: errNoCommand.Error()}},
		{"sent", "strict", "tell", "told", nil, hub.Settlement{Outcome: hub.Rejected, Reason: unconfirmed}},
		{"not even sent", "strict", "quiet", "", nil, hub.Settlement{Outcome: hub.Rejected, Reason: unconfirmed}},
		{"sent, which suffices", "lenient", "tell", "told", nil, hub.Settlement{Outcome: hub.Completed}},
		{"refused where sending suffices", "lenient", "ask", "asked", lenient.answers("no"),
			hub.Settlement{Outcome: hub.Rejected, Reason: stuck}},
		{"for one that is away", "nobody", "ask", "", nil, hub.Settlement{Outcome: hub.Abandoned}},
		{"for one that leaves", "lenient", "ask", "asked", func() { _ = lenient.conn.Close() }, hub.Settlement{Outcome: hub.Abandoned}},
		{"for one that is silent", "strict", "ask", "asked", nil, hub.Settlement{Outcome: hub.Abandoned}},
		{"for one that is busy", "strict", "ask", "", nil, hub.Settlement{Outcome: hub.Abandoned}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait := patience
			if c.name == "for one that is silent" {
				wait = patience / 20
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			end := make(chan hub.Settlement, 1)
			go func() {
				end <- g.identities.twins.Message(ctx, c.device, hub.CloudMessage{Properties: map[string]string{"command": c.command}})
			}()
			if c.hears != "" {
				devices[c.device].hears(t, c.hears)
			}
			if c.then != nil {
				c.then()
			}
			if got := <-end; got.Outcome != c.want.Outcome || !strings.HasSuffix(got.Reason, c.want.Reason) {
				t.Errorf("settled as %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDesiredValuesThatAreOnlySentAreNotConfirmed(t *testing.T) {
	g, devices := obeying(t)
	values, err := g.pushDesired(t.Context(), "strict", json.RawMessage(`{"a":1}`))
	if values != nil || err == nil || err.Error() != twin.ErrUnconfirmed.Error() {
		t.Errorf("confirmed are %s, %v", values, err)
	}
	devices["strict"].hears(t, "told")
	if values, err := g.pushDesired(t.Context(), "strict", json.RawMessage(`{}`)); len(values) != 0 || err != nil {
		t.Errorf("of nothing are confirmed %s, %v", values, err)
	}
}
