package sim_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// trust is a client's TLS with the root file, and a certificate of its own when one is given.
func trust(t *testing.T, e *sim.Edge, own ...tls.Certificate) *tls.Config {
	t.Helper()
	root, err := os.ReadFile(e.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &tls.Config{RootCAs: pool, Certificates: own, MinVersion: tls.VersionTLS12}
}

// workload asks the workload API.
func workload(t *testing.T, e *sim.Edge, path, body string) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(e.Workload(), "unix://"))
	}}
	answer, err := (&http.Client{Transport: transport}).Post(
		"http://workload"+path+"?api-version=2020-07-07", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// identityCertificate asks the workload API for the module's.
func identityCertificate(t *testing.T, e *sim.Edge, module string) tls.Certificate {
	t.Helper()
	var issued struct {
		PrivateKey  struct{ Bytes string }
		Certificate string
	}
	if err := json.Unmarshal([]byte(workload(t, e, "/modules/"+module+"/certificate/identity", "{}")), &issued); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(issued.Certificate), []byte(issued.PrivateKey.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// pahoOptions are the login of module m at the URL; without a certificate by token.
func pahoOptions(t *testing.T, e *sim.Edge, url string, own ...tls.Certificate) *paho.ClientOptions {
	t.Helper()
	o := paho.NewClientOptions().AddBroker(url).SetClientID("edge/m").SetTLSConfig(trust(t, e, own...)).
		SetUsername(e.Hub().IoTHub() + "/edge/m/?api-version=2021-04-12").SetProtocolVersion(4).
		SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(20 * time.Second)
	if len(own) == 0 {
		token, err := e.Hub().Sign(edge.Identity{Device: "edge", Module: "m"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		o.SetPassword(token)
	}
	return o
}

func succeed(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(20*time.Second) || token.Error() != nil {
		t.Fatalf("mqtt: %v", token.Error())
	}
}

const mqttEvents = "devices/edge/modules/m/messages/events/%24.on=o"

func TestMQTTComesByTLSWebSocketAndCertificate(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	certificate := identityCertificate(t, e, "m")
	ways := []*paho.ClientOptions{
		pahoOptions(t, e, "ssl://"+e.MQTTGateway()),
		pahoOptions(t, e, "wss://"+e.WebGateway()+"/$iothub/websocket"),
		pahoOptions(t, e, "ssl://"+e.MQTTGateway(), certificate),
		pahoOptions(t, e, "wss://"+e.WebGateway()+"/$iothub/websocket?iothub-no-client-cert=true", certificate),
	}
	for i, o := range ways {
		c := paho.NewClient(o)
		succeed(t, c.Connect())
		succeed(t, c.Publish(mqttEvents, 1, false, "x"))
		c.Disconnect(1000)
		if n := e.Hub().Stats().Sequence; n != uint64(i+1) {
			t.Fatalf("way %d: %d messages", i, n)
		}
	}
	stranger := pahoOptions(t, e, "ssl://"+e.MQTTGateway()).SetPassword("")
	c := paho.NewClient(stranger)
	if token := c.Connect(); !token.WaitTimeout(20*time.Second) || token.Error() == nil {
		t.Error("neither token nor certificate is good enough")
	}
}

func TestAMQPComesByWebSocketAndCertificate(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	certificate := identityCertificate(t, e, "m")
	dialTLS := func() (*amqp.Conn, error) {
		return amqp.Dial(ctx, "amqps://"+e.Gateway(), &amqp.ConnOptions{TLSConfig: trust(t, e, certificate)})
	}
	dialWeb := func() (*amqp.Conn, error) {
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, e, certificate)}}
		ws, _, err := websocket.Dial(ctx, "wss://"+e.WebGateway()+"/$iothub/websocket", &websocket.DialOptions{
			HTTPClient: web, Subprotocols: []string{"AMQPWSB10"},
		})
		if err != nil {
			return nil, err
		}
		nc := websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
		return amqp.NewConn(ctx, nc, &amqp.ConnOptions{HostName: "localhost"})
	}
	for _, dial := range []func() (*amqp.Conn, error){dialTLS, dialWeb} {
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		session, err := conn.NewSession(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		sender, err := session.NewSender(ctx, "/devices/edge/modules/m/messages/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.Send(ctx, amqp.NewMessage([]byte("x")), nil); err != nil {
			t.Error(err)
		}
		if _, err := session.NewSender(ctx, "/devices/edge/modules/other/messages/events", nil); err == nil {
			t.Error("the certificate speaks for another module")
		}
		_ = conn.Close()
	}
}

func TestAnIdentityIsOnOneConnectionWhateverTheProtocol(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	lost := make(chan error, 1)
	o := pahoOptions(t, e, "ssl://"+e.MQTTGateway()).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err })
	c := paho.NewClient(o)
	succeed(t, c.Connect())
	session := connect(t, e, "m")
	sender, err := session.NewSender(t.Context(), "/devices/edge/modules/m/messages/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	<-lost
	succeed(t, c.Connect())
	if err := sender.Send(t.Context(), amqp.NewMessage([]byte("x")), nil); err == nil {
		t.Error("the AMQP connection is not ended by the newer one of MQTT")
	}
	c.Disconnect(1000)
}

func TestModulesAreGivenThePortOfTheirProtocol(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}, GatewayPort: "mqtt"})
	env, err := e.Env("m", sim.StyleWorkload)
	if err != nil || env["IOTEDGE_GATEWAYHOSTNAME"] != e.MQTTGateway() || !strings.HasPrefix(e.MQTTGateway(), "localhost:") {
		t.Errorf("%v, %v", env, err)
	}
	c := paho.NewClient(pahoOptions(t, e, "ssl://"+env["IOTEDGE_GATEWAYHOSTNAME"]))
	succeed(t, c.Connect())
	c.Disconnect(1000)
}

func TestMQTTSessionsOutliveTheHub(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	for _, url := range []string{"ssl://" + e.MQTTGateway(), "wss://" + e.WebGateway() + "/"} {
		for _, abrupt := range []bool{false, true} {
			lost := make(chan error, 1)
			answers := make(chan string, 10)
			o := pahoOptions(t, e, url).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err }).
				SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { answers <- m.Topic() })
			c := paho.NewClient(o)
			succeed(t, c.Connect())
			succeed(t, c.Subscribe("$iothub/twin/res/#", 0, nil))
			if err := e.Down(abrupt); err != nil {
				t.Fatal(err)
			}
			<-lost
			if err := e.Up(); err != nil {
				t.Fatal(err)
			}
			succeed(t, c.Connect())
			succeed(t, c.Publish("$iothub/twin/GET/?$rid=1", 1, false, ""))
			if got := <-answers; got != "$iothub/twin/res/200/?$rid=1" {
				t.Errorf("answer %s", got)
			}
			if n := e.DropAll(); n != 1 {
				t.Errorf("%d connections were cut", n)
			}
			<-lost
			c.Disconnect(0)
		}
	}
}
