package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// passwordScript is a protocol of lines with a login.
const passwordScript = `
module.exports = {
  receive(frame) {
    const w = toText(frame, "utf8").trim().split(" ");
    if (w[0] === "login") return { identity: { device: w[1], secret: w[2] || "", accept: "welcome", refuse: "no" } };
    if (w[0] === "note") return { messages: [{ body: { text: w[1] }, device: w[2] || undefined }], ack: "OK" };
    throw new Malformed("no such word");
  },
};
`

// guardedGateway is a gateway with a listener "tcp" and one "udp" of the protocol, and a
// document's further members. Its devices are acknowledged at once.
type guardedGateway struct {
	*Gateway
	t       *testing.T
	script  string
	version int64
}

func guardedDevices(t *testing.T, g *Gateway, more string) *guardedGateway {
	t.Helper()
	x := &guardedGateway{Gateway: g, t: t, script: filepath.Join(t.TempDir(), "password.js")}
	if err := os.WriteFile(x.script, []byte(passwordScript), 0o600); err != nil {
		t.Fatal(err)
	}
	x.desire(more, "")
	return x
}

// desire applies a document with further members, and members of the listeners.
func (x *guardedGateway) desire(more, listener string) {
	x.t.Helper()
	x.version++
	l := func(transport string) string {
		return `{"bind":"` + transport + `://127.0.0.1:0","codec":"password","ack":"decoded","frame":{"type":"line"}` + listener + `}`
	}
	x.applyDesired(json.RawMessage(`{"listeners":{"tcp":`+l("tcp")+`,"udp":`+l("udp")+`},
		"codecs":{"password":{"kind":"js","source":"file://`+x.script+`"}}`+more+`}`), x.version)
	if x.status.Code != 200 {
		x.t.Fatalf("document: %+v", x.status)
	}
}

// desireOne applies a document with one listener, and further members.
func (x *guardedGateway) desireOne(name, listener, more string) {
	x.t.Helper()
	x.version++
	x.applyDesired(json.RawMessage(`{"listeners":{"`+name+`":`+listener+`},
		"codecs":{"password":{"kind":"js","source":"file://`+x.script+`"}}`+more+`}`), x.version)
	if x.status.Code != 200 {
		x.t.Fatalf("document: %+v", x.status)
	}
}

// call calls a method and decodes its answer.
func (x *guardedGateway) call(name, payload string, status int) map[string]any {
	x.t.Helper()
	a := x.methods.Call(x.t.Context(), name, json.RawMessage(payload))
	if a.Status != status {
		x.t.Fatalf("%s %s: status %d, want %d: %s", name, payload, a.Status, status, a.Payload)
	}
	var answer map[string]any
	if err := json.Unmarshal(a.Payload, &answer); err != nil {
		x.t.Fatal(err)
	}
	return answer
}

// client is a device of the protocol.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (x *guardedGateway) client(listener string) *client {
	x.t.Helper()
	conn := dial(x.t, x.Gateway, listener)
	return &client{t: x.t, conn: conn, in: bufio.NewReader(conn)}
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.conn, line); err != nil {
		c.t.Fatal(err)
	}
}

// say sends a line and expects another one.
func (c *client) say(line, want string) {
	c.t.Helper()
	c.send(line)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	got, err := c.in.ReadString('\n')
	if err != nil || strings.TrimSuffix(got, "\n") != want {
		c.t.Fatalf("said %q, heard %q, %v, want %q", line, got, err, want)
	}
}

// closed expects that the gateway closes the connection.
func (c *client) closed() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	if got, err := c.in.ReadString('\n'); err == nil || os.IsTimeout(err) {
		c.t.Fatalf("the connection stays, heard %q, %v", got, err)
	}
}

const passwords = `,"authentication":{"few":{"kind":"secret","settings":{"devices":{"d-1":{"text":"correct horse"}}}}}`

func TestAWrongPasswordIsRefusedAndCooledDown(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, passwords+`,"limits":{"failedLogins":2}`)
	x.client("tcp").say("login d-2 whatever", "no") // nobody knows it
	good := x.client("tcp")
	good.say("login d-1 correct,horse", "no")
	good.closed()
	x.client("tcp").say("login d-1 guess", "no")
	x.client("tcp").say("login d-1 correcthorse", "no")
	if n := metric(t, g, "causeway_logins_total", `listener="tcp"`, `outcome="kept-out"`); n != 1 {
		t.Errorf("%v logins were kept out", n)
	}
	if n := metric(t, g, "causeway_cool_downs"); n == 0 {
		t.Error("nobody cools down")
	}
	if list := x.call("listBans", "", 200); len(list["coolingDown"].([]any)) == 0 {
		t.Errorf("listed %v", list)
	}
	x.call("unban", `{"deviceId":"d-1"}`, 200)
	x.call("unban", `{"deviceId":"d-1"}`, 404)
}

func TestTheRightPasswordLetsADeviceIn(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, strings.Replace(passwords, "correct horse", "correct-horse", 1))
	c := x.client("tcp")
	c.say("login d-1 correct-horse", "welcome")
	c.say("note a", "OK")
	if s := x.call("getDevice", `{"deviceId":"d-1"}`, 200); s["admittedBy"] != "few" {
		t.Errorf("status %v", s)
	}
	second := x.client("tcp")
	second.say("login d-1 correct-horse", "welcome")
	c.closed()
	if s := x.call("getDevice", `{"deviceId":"d-1"}`, 200); s["duplicateLogins"] != 1.0 {
		t.Errorf("status %v", s)
	}
	if n := metric(t, g, "causeway_duplicate_logins_total", `listener="tcp"`); n != 1 {
		t.Errorf("%v logins have taken over", n)
	}
	udp := x.client("udp")
	udp.say("login d-1 correct-horse", "welcome")
	udp.say("note b", "OK")
	udp.say("login d-1 wrong", "no") // its address proves nothing
	udp.say("note c", "OK")
	if n := metric(t, g, "causeway_cool_downs"); n != 0 {
		t.Error("datagrams, which can be forged, cool down")
	}
}

func TestAChangeOfAuthenticationCountsFromTheNextLoginOn(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, "")
	c := x.client("tcp")
	c.say("login d-2 whatever", "welcome")
	x.desire(passwords, "")
	c.say("note a", "OK")
	x.client("tcp").say("login d-2 whatever", "no")
	x.desire(passwords, `,"unknownDevices":"accept"`)
	c.say("note b", "OK")
	x.client("tcp").say("login d-3 whatever", "welcome")
	x.client("tcp").say("login d-1 whatever", "no")
	x.call("admitDevice", `{"deviceId":"d-2","seconds":60}`, 200)
	x.desire(passwords, "")
	x.client("tcp").say("login d-2 whatever", "welcome")
	x.client("tcp").say("login d-4 whatever", "no")
}

func TestWhoNeverLogsInIsNobodyWhereAuthenticationIsAsked(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, "")
	x.client("tcp").say("note a", "OK")
	eventually(t, "it is sent", func() bool { return metric(t, g, "causeway_messages_total", `listener="tcp"`) == 1 })
	x.desire(passwords, "")
	c := x.client("tcp")
	c.send("note a")
	c.send("note b")
	eventually(t, "it is refused", func() bool {
		return metric(t, g, "causeway_logins_total", `listener="tcp"`, `outcome="refused"`) == 1 // and not asked for each
	})
	if n := metric(t, g, "causeway_messages_total", `listener="tcp"`); n != 1 {
		t.Errorf("%v messages were sent", n)
	}
}

func TestADeviceInQuarantineIsAdmittedFromThePortal(t *testing.T) {
	env := environment(t)
	g := newGateway(t, env)
	stop := run(t, g)
	x := guardedDevices(t, g, `,"quarantine":{"frames":2}`)
	x.desire(`,"quarantine":{"frames":2}`, `,"unknownDevices":"quarantine"`)
	c := x.client("tcp")
	c.say("login d-1 sesame", "welcome")
	c.send("note a")
	c.send("note b")
	var listed string
	eventually(t, "its frames are listed", func() bool {
		b, _ := json.Marshal(x.call("listQuarantine", "", 200))
		listed = string(b)
		return strings.Contains(listed, `"frames":["6e6f74652061","6e6f74652062"]`)
	})
	x.call("getDevice", `{"deviceId":"d-1"}`, 404)
	if n := metric(t, g, "causeway_messages_total", `listener="tcp"`) + metric(t, g, "causeway_acks_total"); n != 0 {
		t.Error("a device in quarantine is heard")
	}
	x.call("admitDevice", `{"deviceId":"d-1","seconds":3600}`, 200)
	for range 2 {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		if got, err := c.in.ReadString('\n'); got != "OK\n" {
			t.Fatalf("heard %q, %v", got, err)
		}
	}
	c.say("note c", "OK")
	if s := x.call("getDevice", `{"deviceId":"d-1"}`, 200); s["admittedBy"] != "operator" {
		t.Errorf("status %v", s)
	}
	other := x.client("tcp")
	other.say("login d-2", "welcome")
	x.call("rejectDevice", `{"deviceId":"d-2","seconds":3600}`, 200)
	other.say("note a", "no")
	other.closed()
	x.client("tcp").say("login d-2", "no")
	stop()

	again := newGateway(t, env) // both are kept
	defer run(t, again)()
	y := &guardedGateway{Gateway: again, t: t}
	y.client("tcp").say("login d-1", "welcome")
	y.call("getDevice", `{"deviceId":"d-1"}`, 200)
	y.client("tcp").say("login d-2", "no")
	y.call("rejectDevice", `{"deviceId":"d-1"}`, 200)
	y.call("rejectDevice", `{"deviceId":"d-1"}`, 404)
	y.client("tcp").say("login d-1", "welcome")
	if total := y.call("listQuarantine", "", 200)["total"]; total != 1.0 {
		t.Errorf("%v devices in quarantine", total)
	}
}

func TestAnUnknownDeviceIsRegisteredByAService(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Device string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusInternalServerError)
		case in.Device == "stranger":
			w.WriteHeader(http.StatusForbidden)
		case in.Device == "later":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer service.Close()
	g := newGateway(t, environment(t))
	defer run(t, g)()
	registration := `,"registration":{"url":"` + service.URL + `/devices","plain":true}`
	x := guardedDevices(t, g, registration)
	x.desire(registration, `,"unknownDevices":"register"`)
	c := x.client("tcp")
	c.say("login d-1", "welcome")
	c.say("note a", "OK")
	if s := x.call("getDevice", `{"deviceId":"d-1"}`, 200); s["admittedBy"] != "registration" {
		t.Errorf("status %v", s)
	}
	x.client("udp").say("login d-2", "welcome")
	x.client("tcp").say("login stranger", "no")
	later := x.client("tcp")
	later.send("login later") // no refusal: it is not about the device
	later.closed()
}

func TestABanKeepsOutAndClosesWhatIsOpen(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, "")
	one, two := x.client("tcp"), x.client("udp")
	one.say("login d-1", "welcome")
	two.say("login d-2", "welcome")
	x.desire(`,"bans":{"thief":{"device":"d-1","reason":"stolen"}}`, "")
	one.closed()
	x.client("tcp").say("login d-1", "no")
	two.say("note a", "OK")
	x.call("unban", `{"deviceId":"d-1"}`, 404) // it is the twin's
	x.desire("", "")
	x.client("tcp").say("login d-1", "welcome")

	if a := x.call("ban", `{"deviceId":"d-2","seconds":3600,"reason":"noisy"}`, 200); a["closed"] != 1.0 {
		t.Errorf("answer %v", a)
	}
	eventually(t, "the link of a peer is gone", func() bool {
		_, there := g.Device("d-2")
		return !there
	})
	x.client("udp").say("login d-2", "no")
	b, _ := json.Marshal(x.call("listBans", "", 200))
	if !strings.Contains(string(b), `"by":"method","deviceId":"d-2","reason":"noisy"`) {
		t.Errorf("listed %s", b)
	}
	x.call("unban", `{"deviceId":"d-2"}`, 200)
	x.client("udp").say("login d-2", "welcome")

	x.call("ban", `{"addresses":"127.0.0.0/8"}`, 200)
	eventually(t, "connections of the address are refused", func() bool {
		conn := dial(t, g, "tcp")
		return !alive(conn) && metric(t, g, "causeway_links_refused_total", `reason="banned"`) > 0
	})
	x.call("unban", `{"addresses":"127.0.0.0/8"}`, 200)
	x.client("tcp").say("login d-1", "welcome")
}

func TestTheDatabaseIsKeptByMethods(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, `,"authentication":{"own":{"kind":"database","order":1,"listeners":{"tcp":true}}}`)
	x.client("udp").say("login d-1", "welcome") // it is not for that listener
	x.call("putDevice", `{"deviceId":"d-1","password":"sesame"}`, 200)
	c := x.client("tcp")
	c.say("login d-1 wrong", "no")
	c = x.client("tcp")
	c.say("login d-1 sesame", "welcome")
	short := x.client("tcp")
	x.call("putDevice", `{"deviceId":"d-2","password":"sesame","expiresAt":"`+time.Now().Add(4*time.Second).UTC().Format(time.RFC3339Nano)+`"}`, 200)
	short.say("login d-2 sesame", "welcome")
	short.closed()
	eventually(t, "the link is closed for that", func() bool {
		return metric(t, g, "causeway_links_closed_total", `reason="expired"`) == 1
	})
	list, _ := json.Marshal(x.call("listAuthDevices", `{"limit":1}`, 200))
	if !strings.Contains(string(list), `"next":"d-1"`) || !strings.Contains(string(list), `"protected":true`) ||
		strings.Contains(string(list), "argon2") {
		t.Errorf("listed %s", list)
	}
	exported, _ := json.Marshal(x.call("exportDevices", "", 200)["devices"])
	x.call("removeDevice", `{"deviceId":"d-1"}`, 200)
	c.closed()
	x.client("tcp").say("login d-1 sesame", "no")
	if a := x.call("importDevices", `{"devices":`+string(exported)+`}`, 200); a["added"] != 1.0 || a["replaced"] != 1.0 {
		t.Errorf("imported %v", a)
	}
	x.client("tcp").say("login d-1 sesame", "welcome")
	x.call("putDevice", `{"deviceId":"d-1","keepPassword":true,"disabled":true}`, 200)
	eventually(t, "a disabled device loses its link", func() bool {
		_, there := g.Device("d-1")
		return !there
	})
	x.client("tcp").say("login d-1 sesame", "no")
}

func TestFaultsOfAuthenticationHaveTheirPlaceAndShowNoSecret(t *testing.T) {
	g := newGateway(t, environment(t))
	defer g.observers.close()
	for name, c := range map[string]struct{ document, pointer string }{
		"short secret": {`{"authentication":{"few":{"kind":"secret","settings":{"devices":{"d":{"text":"hunter2"}}}}}}`, "/authentication/few/settings/devices/d"},
		"unknown":      {`{"authentication":{"few":{"kind":"secret","settings":{"device":{"d":{"text":"hunter2"}}}}}}`, "/authentication/few/settings/device"},
		"not a source": {`{"authentication":{"few":{"kind":"secret","settings":{"devices":{"d":"hunter2"}}}}}`, "/authentication/few/settings/devices/d"},
		"registration": {`{"registration":{"urll":"http://hunter2"}}`, "/registration/urll"},
	} {
		t.Run(name, func(t *testing.T) {
			p, faults := g.compile(t.Context(), []byte(c.document), changed)
			if p != nil || len(faults) != 1 || !strings.HasPrefix(faults[0].Pointer, c.pointer) {
				t.Fatalf("plan %v, faults %v", p, faults)
			}
			if strings.Contains(faults[0].String(), "hunter2") {
				t.Errorf("fault %v", faults[0])
			}
		})
	}
}
