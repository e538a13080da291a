package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// The twin names devices for their desired values and keys, too. Where a device has to show
// something its name there is not enough.
func TestANameInTheTwinIsNoCredential(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	g := newGateway(t, environment(t))
	defer run(t, g)()
	const devices = `,"devices":{"d-1":{"desired":{"interval":60}}}`
	const token = `"keys":{"k":{"secret":{"text":"0123456789012345678901234567890123456789"}}}`
	x := guardedDevices(t, g, devices)
	for _, c := range []struct {
		name, chain, unknown string
		in                   bool
	}{
		{"nobody is asked", ``, `reject`, true},
		{"tokens", `"a":{"kind":"jwt","settings":{` + token + `}}`, ``, false},
		{"certificates", `"a":{"kind":"certificate"}`, ``, false},
		{"a database that does not have it", `"a":{"kind":"database"}`, ``, false},
		{"secrets of others", `"a":{"kind":"secret","settings":{"devices":{"d-9":{"text":"correct-horse"}}}}`, ``, false},
		{"a service that does not know it", `"a":{"kind":"http","settings":{"url":"` + service.URL + `","plain":true}}`, ``, false},
		{"tokens behind a pattern", `"a":{"kind":"pattern","settings":{"match":"x.*"}},"b":{"kind":"jwt","settings":{` + token + `}}`, ``, false},
		{"tokens on another listener", `"a":{"kind":"jwt","listeners":{"udp":true},"settings":{` + token + `}}`, `reject`, true},
		{"a pattern that does not match", `"a":{"kind":"pattern","settings":{"match":"x.*"}}`, ``, true},
		{"addresses that are none of its", `"a":{"kind":"addresses","settings":{"deny":["192.0.2.0/24"]}}`, ``, true},
		{"tokens, and unknown devices may come in", `"a":{"kind":"jwt","settings":{` + token + `}}`, `accept`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.t = t
			listener := ""
			if c.unknown != "" {
				listener = `,"unknownDevices":"` + c.unknown + `"`
			}
			x.desire(devices+`,"authentication":{`+c.chain+`}`, listener)
			want := "no"
			if c.in {
				want = "welcome"
			}
			x.client("tcp").say("login d-1", want)
			x.methods.Call(t.Context(), "unban", json.RawMessage(`{"deviceId":"d-1"}`)) // of the cool-down
		})
	}
	x.t = t
	x.desire(devices+`,"authentication":{"a":{"kind":"jwt","settings":{`+token+`}}}`, "")
	x.call("admitDevice", `{"deviceId":"d-1","seconds":60}`, 200)
	x.client("tcp").say("login d-1", "welcome") // somebody has decided
}

func TestAnOpenListenerDoesNotTakeADeviceThatHasShownItsPassword(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, `,"authentication":{"few":{"kind":"secret","listeners":{"tcp":true},
		"settings":{"devices":{"d-1":{"text":"correct-horse"}}}}}`)
	own := x.client("tcp")
	own.say("login d-1 correct-horse", "welcome")
	x.client("udp").say("login d-1", "no")
	own.say("note a", "OK")
	if d := x.call("getDevice", `{"deviceId":"d-1"}`, 200); d["listener"] != "tcp" {
		t.Errorf("the device is %v", d)
	}
	if n := metric(t, g, "causeway_logins_total", `listener="udp"`, `outcome="elsewhere"`); n != 1 {
		t.Errorf("%v logins are counted", n)
	}
	_ = own.conn.Close()
	eventually(t, "it is gone", func() bool {
		_, there := g.Device("d-1")
		return !there
	})
	x.client("udp").say("login d-1", "welcome")
	x.client("tcp").say("login d-1 correct-horse", "welcome")
}

func TestWhatIsBannedOrRemovedIsGoneFromEveryLink(t *testing.T) {
	for _, c := range []struct{ name, method, payload string }{
		{"a ban", "ban", `{"deviceId":"d-1","seconds":60}`},
		{"removal from the database", "removeDevice", `{"deviceId":"d-1"}`},
		{"a rejection", "rejectDevice", `{"deviceId":"d-1","seconds":60}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t, environment(t))
			defer run(t, g)()
			x := guardedDevices(t, g, `,"authentication":{"own":{"kind":"database"}}`)
			for _, id := range []string{"d-1", "gate-1", "gate-2"} {
				x.call("putDevice", `{"deviceId":"`+id+`"}`, 200)
			}
			own, first, second := x.client("tcp"), x.client("tcp"), x.client("tcp")
			own.say("login d-1", "welcome")
			first.say("login gate-1", "welcome")
			second.say("login gate-2", "welcome")
			for _, gate := range []*client{first, second} {
				gate.say("note a d-1", "OK")
			}
			x.call(c.method, c.payload, 200)
			own.closed()
			sent := metric(t, g, "causeway_messages_total", `listener="tcp"`)
			for _, gate := range []*client{first, second} {
				gate.say("note evil d-1", "OK") // such listeners acknowledge what was decoded
			}
			if _, there := g.Device("d-1"); there {
				t.Error("the device is there")
			}
			if n := metric(t, g, "causeway_messages_total", `listener="tcp"`); n != sent {
				t.Errorf("%v messages of it were sent", n-sent)
			}
			first.say("note b", "OK") // the gate itself goes on
		})
	}
}

func TestADeviceIsGoneAtItsExpiryThoughItsLinkGoesOnAsAnother(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	x := guardedDevices(t, g, `,"authentication":{"own":{"kind":"database"}}`)
	x.call("putDevice", `{"deviceId":"d-1","password":"of-d-1","expiresAt":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}`, 200)
	x.call("putDevice", `{"deviceId":"d-2","password":"of-d-2"}`, 200)
	c := x.client("tcp")
	c.say("login d-1 of-d-1", "welcome")
	c.say("login d-2 of-d-2", "welcome")
	x.call("getDevice", `{"deviceId":"d-1"}`, 404)
	x.call("getDevice", `{"deviceId":"d-2"}`, 200)
	c.say("note a", "OK")
}
