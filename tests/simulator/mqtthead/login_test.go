package mqtthead

import (
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestLoginsAreJudgedByTheirThreeTexts(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	stranger := credentials(t, h, leaf)
	cases := []struct {
		name  string
		spoil func(*packets.ConnectParams)
		want  byte
	}{
		{"as it should be", func(*packets.ConnectParams) {}, 0},
		{"another client id", func(c *packets.ConnectParams) { c.ClientIdentifier = "edge/other" }, 5},
		{"a client id of another case", func(c *packets.ConnectParams) { c.ClientIdentifier = "Edge/gw" }, 5},
		{"another's token", func(c *packets.ConnectParams) { c.Password = stranger.Password }, 5},
		{"no token", func(c *packets.ConnectParams) { c.PasswordFlag, c.Password = false, nil }, 5},
		{"no api-version", func(c *packets.ConnectParams) { c.Username = []byte("hub/edge/gw/?x=1") }, 3},
		{"no user name", func(c *packets.ConnectParams) { c.UsernameFlag, c.Username = false, nil }, 3},
		{"any host", func(c *packets.ConnectParams) { c.Username = []byte("any/edge/gw/?api-version=x") }, 0},
	}
	for _, c := range cases {
		params := credentials(t, h, gateway)
		c.spoil(&params)
		p := dial(t, addr)
		code, _ := p.login(params)
		if code != c.want {
			t.Errorf("%s: CONNACK %d, want %d", c.name, code, c.want)
		}
		if code != 0 {
			p.over()
		}
	}
}

func TestALoginIsRefusedOrWaitsAsTheHubSays(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{Admission: edge.Admission{Clients: 1, Connects: 2}})
	addr, _ := serve(t, h, Options{})
	fault := edge.Fault{Attach: &edge.Refusal{Condition: edge.ConditionNotAllowed}}
	if err := h.AddFault(edge.FaultRule{Identity: &leaf, Fault: fault}); err != nil {
		t.Fatal(err)
	}
	p := dial(t, addr)
	if code, _ := p.login(credentials(t, h, leaf)); code != 3 {
		t.Errorf("CONNACK %d", code)
	}
	p.over()
	begun := time.Now()
	for _, id := range []edge.Identity{gateway, gateway, leaf} {
		enter(t, addr, h, id, true)
	}
	if took := time.Since(begun); took < 250*time.Millisecond {
		t.Errorf("three logins at two a second took %v", took)
	}
	if !h.Connected(gateway) || h.Connected(leaf) {
		t.Error("the wrong one is present")
	}
	stats := h.Stats().Admission
	if stats.Attaches.Total != 4 || stats.Throttled != 1 {
		t.Errorf("got %+v", stats)
	}
}

func TestWhatIsNoLoginEndsTheConnection(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{ConnectTimeout: 50 * time.Millisecond})
	for _, first := range []string{
		"\xc0\x00",                               // a ping
		"\x10\x0c\x00\x06MQIsdp\x03\x02\x00\x00", // MQTT 3.1
		"\x10\x0a\x00\x04MQTT\x05\x02\x00\x00",   // MQTT 5
		"\x10\xff\xff\xff\xff\x7f",               // a length of five bytes
		"GET / HTTP/1.1\r\n\r\n",
		"", // nothing, until the time is over
	} {
		p := dial(t, addr)
		if _, err := p.conn.Write([]byte(first)); err != nil {
			t.Fatal(err)
		}
		p.over()
	}
	if h.Connected(gateway) {
		t.Error("somebody is connected")
	}
}

func TestTheNewestConnectionWins(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	older := enter(t, addr, h, gateway, true)
	other := enter(t, addr, h, leaf, true)
	newer := enter(t, addr, h, gateway, true)
	older.over()
	for _, p := range []*peer{other, newer} {
		p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
		p.next(packets.Pingresp)
	}
}

func TestASecondConnectAndOtherWrongPacketsEndTheConnection(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	for _, bytes := range []string{
		"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", // CONNECT
		"\x62\x02\x00\x01",           // PUBREL
		"\x34\x06\x00\x01a\x00\x01x", // PUBLISH of quality 2
		"\x32\x05\x00\x01a\x00\x00",  // PUBLISH without an id
		"\x82\x02\x00\x01",           // SUBSCRIBE to nothing
		"\x30\x81\x80\x10",           // 262,145 bytes
	} {
		p := enter(t, addr, h, gateway, true)
		if _, err := p.conn.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		p.over()
	}
}

func TestAnExpiredTokenEndsTheConnectionAtTheNextCheck(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{Reauth: 10 * time.Millisecond})
	addr, _ := serve(t, h, Options{})
	p := enter(t, addr, h, gateway, true)
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	p.next(packets.Pingresp)
	if n := h.ExpireTokens(&gateway, false); n != 1 {
		t.Fatalf("%d tokens expired", n)
	}
	p.over()
}

func TestASilentClientIsCutOffAfterHalfAsMuchAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	params := credentials(t, h, gateway)
	params.Keepalive, params.Clean = 1, true
	p := dial(t, addr)
	p.login(params)
	start := time.Now()
	p.over()
	if took := time.Since(start); took < 1400*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSubscriptionsOutliveAConnectionThatIsNotClean(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	addr, _ := serve(t, h, Options{})
	login := func(clean bool) (*peer, bool) {
		p, params := dial(t, addr), credentials(t, h, gateway)
		params.Clean = clean
		code, present := p.login(params)
		if code != 0 {
			t.Fatalf("CONNACK %d", code)
		}
		return p, present
	}
	p, present := login(false)
	if present {
		t.Error("a session is present before the first")
	}
	granted := p.subscribe(2, "$iothub/methods/POST/#", "$iothub/twin/res/#", "what/ever")
	if string(granted) != "\x01\x01\x01" {
		t.Errorf("granted % x", granted)
	}
	p, present = login(false)
	p.publish("$iothub/twin/GET/?$rid=1", "", 0, 0)
	if got := p.next(packets.Publish); !present || got.TopicName != "$iothub/twin/res/200/?$rid=1" {
		t.Errorf("present %v, %s", present, got.TopicName)
	}
	if !h.Subscribed(gateway, edge.TopicMethods) {
		t.Error("methods are not subscribed to again")
	}
	p, present = login(true)
	if present || h.Subscribed(gateway, edge.TopicMethods) {
		t.Error("a clean session is not clean")
	}
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	p.over()
	if _, present = login(false); present {
		t.Error("a clean session does not end the kept one")
	}
}
