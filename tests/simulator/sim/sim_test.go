package sim_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/manifest"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
	"github.com/causeway-iot/causeway/tests/simulator/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, opts sim.Options) *sim.Edge {
	t.Helper()
	e, err := sim.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// connect speaks AMQP as a module: TLS with the root file, a token by CBS.
func connect(t *testing.T, e *sim.Edge, module string) *amqp.Session {
	t.Helper()
	session, err := tryConnect(t.Context(), e, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.conn.Close() })
	return session.Session
}

type moduleSession struct {
	*amqp.Session
	conn *amqp.Conn
}

func tryConnect(ctx context.Context, e *sim.Edge, module string) (*moduleSession, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	root, err := os.ReadFile(e.CAFile())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	conn, err := amqp.Dial(ctx, "amqps://"+e.Gateway(), &amqp.ConnOptions{TLSConfig: &tls.Config{RootCAs: pool}})
	if err != nil {
		return nil, err
	}
	session, err := conn.NewSession(ctx, nil)
	if err == nil {
		err = putToken(ctx, session, e, module)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &moduleSession{session, conn}, nil
}

func putToken(ctx context.Context, session *amqp.Session, e *sim.Edge, module string) error {
	token, err := e.Hub().Sign(edge.Identity{Device: e.Hub().Device(), Module: module}, time.Hour)
	if err != nil {
		return err
	}
	receiver, err := session.NewReceiver(ctx, "$cbs", nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, "$cbs", nil)
	if err != nil {
		return err
	}
	err = sender.Send(ctx, &amqp.Message{
		Properties: &amqp.MessageProperties{MessageID: "1"},
		ApplicationProperties: map[string]any{
			"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": module,
		},
		Value: token,
	}, nil)
	if err != nil {
		return err
	}
	answer, err := receiver.Receive(ctx, nil)
	if err != nil {
		return err
	}
	if code := answer.ApplicationProperties["status-code"]; code != int32(200) {
		return fmt.Errorf("put-token answered %v %v", code, answer.ApplicationProperties["status-description"])
	}
	return receiver.AcceptMessage(ctx, answer)
}

func telemetry(t *testing.T, e *sim.Edge, session *amqp.Session, module string) *amqp.Sender {
	t.Helper()
	address := "/devices/" + e.Hub().Device() + "/modules/" + module + "/messages/events"
	sender, err := session.NewSender(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func outputMessage(output, body string) *amqp.Message {
	m := amqp.NewMessage([]byte(body))
	m.ApplicationProperties = map[string]any{"iothub-outputname": output, "kind": "alarm"}
	return m
}

// request calls the control API and returns the status and body.
func request(t *testing.T, e *sim.Edge, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.Control()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func TestAModulesMessageShowsUpInTheCloud(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	sender := telemetry(t, e, connect(t, e, "m"), "m")
	if err := sender.Send(t.Context(), outputMessage("telemetry", `{"a":1}`), nil); err != nil {
		t.Fatal(err)
	}
	status, body := request(t, e, "GET", "/messages?since=0&wait=10s", "")
	var list []struct {
		Sequence   uint64
		Module     string
		Output     string
		Properties map[string]string
		Body       map[string]int
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	if len(list) != 1 || list[0].Module != "m" || list[0].Output != "telemetry" || list[0].Properties["kind"] != "alarm" || list[0].Body["a"] != 1 {
		t.Fatalf("got %s", body)
	}
}

func TestFaultsOfPublishesReachTheClient(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	sender := telemetry(t, e, connect(t, e, "m"), "m")
	request(t, e, "POST", "/faults", `{"identity":"m","refuse":{"condition":"com.microsoft:device-container-throttled"}}`)
	err := sender.Send(t.Context(), outputMessage("o", "1"), nil)
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Condition != "com.microsoft:device-container-throttled" {
		t.Fatalf("got %v", err)
	}
	request(t, e, "POST", "/faults", `{"delayMs":300}`)
	begun := time.Now()
	if err := sender.Send(t.Context(), outputMessage("o", "2"), nil); err != nil || time.Since(begun) < 300*time.Millisecond {
		t.Fatalf("after %v: %v", time.Since(begun), err)
	}
	request(t, e, "POST", "/faults", `{"drop":true}`)
	if err := sender.Send(t.Context(), outputMessage("o", "3"), nil); err == nil {
		t.Fatal("the connection was not dropped")
	}
	if s := e.Hub().Stats(); s.Upstream != 2 {
		t.Fatalf("%d messages arrived, want the delayed and the dropped one", s.Upstream)
	}
}

func TestTheHubGoesAwayAndComesBackOnItsPort(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "?abrupt=true"} {
		e := start(t, sim.Options{Modules: []string{"m"}, CloseGrace: 100 * time.Millisecond})
		sender := telemetry(t, e, connect(t, e, "m"), "m")
		if status, body := request(t, e, "POST", "/hub/down"+query, ""); status != 200 {
			t.Fatal(body)
		}
		if err := sender.Send(t.Context(), outputMessage("o", "1"), nil); err == nil {
			t.Fatal("sent to a hub that is down")
		}
		var dialer net.Dialer
		if c, err := dialer.DialContext(t.Context(), "tcp", e.Addr()); err == nil {
			_ = c.Close()
			t.Fatal("the hub still listens")
		}
		if status, body := request(t, e, "POST", "/hub/up", ""); status != 200 {
			t.Fatal(body)
		}
		sender = telemetry(t, e, connect(t, e, "m"), "m")
		if err := sender.Send(t.Context(), outputMessage("o", "1"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARestartKeepsPortsTrustKeysTwinsAndMessages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	m, err := manifest.Parse([]byte(`{"modulesContent":{"$edgeHub":{"properties.desired":{"routes":{
		"up":"FROM /messages/modules/m/outputs/* INTO $upstream"}}},"m":{"properties.desired":{"interval":5}}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	opts := sim.Options{State: folder + "/state", Journal: folder + "/journal", Manifest: m}
	first, err := sim.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	before, err := first.Env("m", sim.StyleConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addr()
	sender := telemetry(t, first, connect(t, first, "m"), "m")
	if err := sender.Send(t.Context(), outputMessage("o", "1"), nil); err != nil {
		t.Fatal(err)
	}
	request(t, first, "PATCH", "/twins/edge/modules/m", `{"properties":{"desired":{"interval":7}}}`)
	if _, err := sim.Start(t.Context(), opts); !errors.Is(err, state.ErrInUse) {
		t.Fatalf("a second simulator on the same state: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, opts)
	after, err := again.Env("m", sim.StyleConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	if again.Addr() != addr || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Fatalf("%s became %s, %v became %v", addr, again.Addr(), before, after)
	}
	if _, body := request(t, again, "GET", "/twins/edge/modules/m", ""); !strings.Contains(body, `"interval":7`) || !strings.Contains(body, `"$version":3`) {
		t.Fatalf("twin %s", body)
	}
	if list := again.Hub().Messages(t.Context(), 0, 10, 0); len(list) != 1 || list[0].Sequence != 1 {
		t.Fatalf("messages %+v", list)
	}
	connect(t, again, "m")
}

func TestTheEnvironmentOfAModuleHasBothStyles(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	w, err := e.Env("m", sim.StyleWorkload)
	if err != nil {
		t.Fatal(err)
	}
	if w["IOTEDGE_MODULEID"] != "m" || w["IOTEDGE_GATEWAYHOSTNAME"] != e.Gateway() || w["IOTEDGE_AUTHSCHEME"] != "sasToken" {
		t.Errorf("workload %v", w)
	}
	c, err := e.Env("m", sim.StyleConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c["EdgeHubConnectionString"], "HostName=causeway.azure-devices.net;GatewayHostName=localhost:") {
		t.Errorf("connection string %v", c)
	}
	if _, err := e.Env("stranger", ""); !errors.Is(err, edge.ErrUnknownIdentity) {
		t.Errorf("a stranger got %v", err)
	}
	if _, err := e.Env("m", "other"); err == nil {
		t.Error("an unknown style was taken")
	}
}

func TestTheWorkloadAPIAnswersOnItsSocket(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", strings.TrimPrefix(e.Workload(), "unix://"))
	}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://w/trust-bundle?api-version=2018-06-28", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var bundle struct{ Certificate string }
	if err := json.NewDecoder(response.Body).Decode(&bundle); err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(e.CAFile())
	if err != nil || !bytes.Equal(root, []byte(bundle.Certificate)) {
		t.Fatalf("bundle %q, %v", bundle.Certificate, err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]sim.Options{
		"a control address that is not loopback": {Control: "0.0.0.0:0"},
		"a control address without a port":       {Control: "localhost"},
		"a gateway with a port":                  {Gateway: "localhost:5671"},
		"the port of no protocol":                {GatewayPort: "stomp"},
		"a long socket path":                     {Workload: "/" + strings.Repeat("x", 120)},
		"a bad leaf key":                         {Leaves: map[string]string{"leaf": "!"}},
	} {
		if e, err := sim.Start(t.Context(), opts); err == nil {
			t.Errorf("%s was taken", name)
			_ = e.Close()
		}
	}
}
