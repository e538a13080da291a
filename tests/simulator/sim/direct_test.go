package sim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// policyToken signs for an audience as the policy of a connection string.
func policyToken(t *testing.T, connection, audience string) string {
	t.Helper()
	fields := map[string]string{}
	for _, part := range strings.Split(connection, ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	key, err := base64.StdEncoding.DecodeString(fields["SharedAccessKey"])
	if err != nil {
		t.Fatal(err)
	}
	expiry := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	raw := url.QueryEscape(fields["HostName"] + audience)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(raw + "\n" + expiry))
	return "SharedAccessSignature sr=" + raw + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) +
		"&se=" + expiry + "&skn=" + fields["SharedAccessKeyName"]
}

func TestDevicesReachIoTHubWithoutAnEdgeDevice(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Leaves: map[string]string{"meter-[1-3]": ""}})
	h := e.Hub()
	if _, err := h.Register(edge.Entry{KnownIdentity: edge.KnownIdentity{Identity: edge.Identity{Device: "stranger"}}}); err != nil {
		t.Fatal(err)
	}
	if err := h.SetRoutes(nil, 0); err != nil { // routes are the edge hub's
		t.Fatal(err)
	}
	s := dialShardAt(t, e, e.Direct())
	for token, want := range map[string]int32{
		policyToken(t, strings.Replace(e.DeviceConnectionString(), "=device;", "=service;", 1), ""): 401,
		policyToken(t, e.DeviceConnectionString(), "/devices/meter-1"):                              200,
		policyToken(t, e.DeviceConnectionString(), "/devices/stranger"):                             200,
	} {
		if status := s.put(token); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	s.send(s.events("meter-1"), "by a token for it")
	s.send(s.events("stranger"), "no child of the edge device")
	_, err := s.tryEvents("meter-2")
	refused(t, "no token for it", err, amqp.ErrCondNotAllowed)
	if status := s.put(policyToken(t, e.DeviceConnectionString(), "")); status != 200 {
		t.Fatalf("a token for the hub: %d", status)
	}
	s.send(s.events("meter-2"), "by a token for all")
	if n := h.Stats().Sequence; n != 3 {
		t.Errorf("%d messages in the cloud", n)
	}
	edgeShard := dialShard(t, e)
	if status := edgeShard.put(policyToken(t, e.DeviceConnectionString(), "")); status != 400 {
		t.Errorf("the edge hub takes a token for the hub: %d", status)
	}
}

func TestDevicesReachIoTHubOverMQTTAndWebSocket(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Leaves: map[string]string{"leaf": ""}})
	token := policyToken(t, e.DeviceConnectionString(), "/devices/leaf")
	options := func(url string) *paho.ClientOptions {
		return paho.NewClientOptions().AddBroker(url).SetClientID("leaf").SetTLSConfig(trust(t, e)).SetPassword(token).
			SetUsername(e.Hub().IoTHub() + "/leaf/?api-version=2021-04-12").SetProtocolVersion(4).
			SetAutoReconnect(false).SetConnectTimeout(20 * time.Second)
	}
	for n, url := range []string{"ssl://" + e.DirectMQTT(), "wss://" + e.DirectWeb() + "/$iothub/websocket"} {
		lost := make(chan error, 1)
		c := paho.NewClient(options(url).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err }))
		succeed(t, c.Connect())
		succeed(t, c.Publish("devices/leaf/messages/events/output=o", 1, false, "x"))
		if got := e.Hub().Stats().Sequence; got != uint64(n+1) {
			t.Errorf("%s: %d messages", url, got)
		}
		c.Publish("devices/other/messages/events/", 1, false, "in another's name") // ends the connection
		<-lost
	}
	stranger := paho.NewClient(options("ssl://" + e.DirectMQTT()).SetPassword(
		policyToken(t, strings.Replace(e.DeviceConnectionString(), "=device;", "=service;", 1), "/devices/leaf")))
	if token := stranger.Connect(); !token.WaitTimeout(20*time.Second) || token.Error() == nil {
		t.Error("a policy that may not connect is good enough")
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, e)}}
	ws, _, err := websocket.Dial(bounded(t), "wss://"+e.DirectWeb()+"/$iothub/websocket", &websocket.DialOptions{
		HTTPClient: web, Subprotocols: []string{"AMQPWSB10"},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := amqp.NewConn(bounded(t), websocket.NetConn(t.Context(), ws, websocket.MessageBinary), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestTheCloudWantsTheResourceOfATwinRequest(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Leaves: map[string]string{"leaf": ""}})
	s := dialShardAt(t, e, e.Direct())
	s.login("leaf")
	sender, receiver := pair(t, s.session, "/devices/leaf/twin", "twin")
	ask := func(operation, resource, body string) any {
		m := amqp.NewMessage([]byte(body))
		m.Properties = &amqp.MessageProperties{CorrelationID: operation}
		m.Annotations = amqp.Annotations{"operation": operation}
		if resource != "" {
			m.Annotations["resource"] = resource
		}
		if err := sender.Send(bounded(t), m, nil); err != nil {
			t.Fatal(err)
		}
		return receive(t, receiver).Annotations["status"]
	}
	if h := e.Hub(); h.Subscribed(edge.Identity{Device: "leaf"}, edge.TopicDesired) {
		t.Error("desired properties are subscribed to without a request")
	}
	for _, c := range []struct {
		operation, resource, body string
		status                    int32
	}{
		{"GET", "", "", 200},
		{"PATCH", "", `{"a":1}`, 400},
		{"PATCH", "/properties/reported", `{"a":1}`, 204},
		{"PUT", "", "", 400},
		{"PUT", "/notifications/twin/properties/desired", "", 200},
	} {
		if got := ask(c.operation, c.resource, c.body); got != c.status {
			t.Errorf("%s %s: %v", c.operation, c.resource, got)
		}
	}
	if status, text := request(t, e, "PATCH", "/twins/leaf", `{"properties":{"desired":{"b":2}}}`); status != 200 {
		t.Fatal(text)
	}
	if got := string(receive(t, receiver).GetData()); !strings.Contains(got, `"b":2`) {
		t.Errorf("got %s", got)
	}
}

func TestAModuleDerivesTheKeyOfADevice(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"gw"}, Leaves: map[string]string{"meter-[001-300]": "derived:gw"}})
	body := `{"keyId":"primary","algo":"HMACSHA256","data":"` + base64.StdEncoding.EncodeToString([]byte("meter-217")) + `"}`
	answer := workload(t, e, "/modules/gw/genid/1/sign", body)
	var signed struct{ Digest string }
	if err := json.Unmarshal([]byte(answer), &signed); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	k, err := e.Hub().Known(edge.Identity{Device: "meter-217"})
	if err != nil || k.Key != signed.Digest {
		t.Errorf("the registry has %s, the module %s: %v", k.Key, signed.Digest, err)
	}
	if status, text := request(t, e, "POST", "/identities", `{"device":"late","key":"derived:gw"}`); status != 200 {
		t.Error(text)
	}
	status, text := request(t, e, "POST", "/leaves", `{"id":"more-[1-2]","key":"derived:gw"}`)
	if status != 200 || strings.TrimSpace(text) != `{"devices":["more-1","more-2"]}` {
		t.Error(text)
	}
	if status, text := request(t, e, "POST", "/leaves", `{"id":"more-[1-2]","key":"derived:nobody"}`); status != 404 {
		t.Error(text)
	}
}
