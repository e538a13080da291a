package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/world"
)

func TestATLSListenerTakesItsCertificateFromTheWorkloadAPI(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0", "listeners": {"lines": {"bind": "tls://127.0.0.1:0",
		"codec": "json", "options": {"id": "/id", "ack": "OK"}, "output": "secure"}}}`)
	g := built.StartGateway(t, sim, world.Workload)
	pem, err := os.ReadFile(sim.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", g.Addr("lines"), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatalf("the device does not trust the listener: %v", err)
	}
	defer func() { _ = conn.Close() }()
	say(t, conn, `{"id":"meter-7","kWh":1.5}`, "OK")
	if m := sim.WaitMessages("meter-7", 1, 10*time.Second)[0]; m.Output != "secure" || string(m.Body) != `{"id":"meter-7","kWh":1.5}` {
		t.Errorf("output %q, body %s", m.Output, m.Body)
	}
}

// say writes a line and expects another one in answer.
func say(t *testing.T, conn net.Conn, line, answer string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatalf("say %s: %v", line, err)
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || strings.TrimSpace(got) != answer {
		t.Fatalf("said %s, got %q, %v, want %q", line, got, err, answer)
	}
}

func TestTheAddressOfTheProxyHeaderIsTheDevices(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0", "listeners": {"lines": {"bind": "tcp://127.0.0.1:0", "codec": "json",
		"options": {"id": "/id", "ack": "OK"}, "allow": ["203.0.113.0/24"],
		"proxyProtocol": {"mode": "require", "trusted": ["127.0.0.0/8"]}}}}`)
	g := built.StartGateway(t, sim, world.ConnectionString)
	addr := g.Addr("lines")
	behind := func(source string) net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprintf(conn, "PROXY TCP4 %s 127.0.0.1 4711 5028\r\n", source); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	say(t, behind("203.0.113.9"), `{"id":"a"}`, "OK")
	if _, payload := sim.Method("getDevice", map[string]any{"deviceId": "a"}); !strings.Contains(string(payload), "203.0.113.9:4711") {
		t.Errorf("the device's address: %s", payload)
	}
	stranger := behind("198.51.100.1")
	_ = stranger.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := stranger.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("an address outside the allow-list stays connected: %v", err)
	}
}

func TestRoutesChooseOutputsAndRefusedMessagesDoNotStopOthers(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, `{"schemaVersion": "1.0", "listeners": {"lines": {"bind": "tcp://127.0.0.1:0", "codec": "json",
		"options": {"id": "/id", "properties": {"kind": "/kind"}, "ack": "OK", "nak": "NO"}}},
		"routes": {"alarms": {"when": "message.properties.kind == 'alarm'", "output": "alarms", "order": 10,
			"properties": {"urgent": "yes"}}}}`)
	g := built.StartGateway(t, sim, world.Workload)
	conn, err := net.Dial("tcp", g.Addr("lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	say(t, conn, `{"id":"a","kind":"alarm"}`, "OK")
	sim.Fault(map[string]any{"refuse": map[string]any{"condition": "amqp:not-allowed"}})
	answer := "NO"
	if built.MQTT() { // which has no word for no: the message is sent again, and taken
		answer = "OK"
	}
	say(t, conn, `{"id":"a","kind":"poison"}`, answer)
	say(t, conn, `{"id":"a","kind":"normal"}`, "OK")
	list := slices.DeleteFunc(sim.WaitMessages("a", 2, 20*time.Second), func(m world.Message) bool {
		return m.Output == "deadletter" || built.MQTT() && m.Properties["kind"] == "poison" // it may be there already
	})
	if len(list) != 2 {
		t.Fatalf("messages in the cloud: %v", list)
	}
	if list[0].Output != "alarms" || list[0].Properties["urgent"] != "yes" || list[0].Properties["listener"] != "lines" {
		t.Errorf("the alarm: output %q, properties %v", list[0].Output, list[0].Properties)
	}
	if list[1].Output != "telemetry" || list[1].Properties["kind"] != "normal" {
		t.Errorf("the other: output %q, properties %v", list[1].Output, list[1].Properties)
	}
}

func TestACommandComesAsAModuleInputAndItsEndLeavesAsAMessage(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	sim.Must("POST", "/inputs/"+world.Module+"/commands", map[string]any{"deviceId": imei, "command": "getver"}, nil)
	if text, err := d.command(20 * time.Second); err != nil || text != "getver" {
		t.Fatalf("the tracker was told %q, %v", text, err)
	}
	d.answer("Ver:2")
	m := sim.WaitMessages(imei, 1, 20*time.Second)[0]
	if m.Output != "results" || !strings.Contains(string(m.Body), "Ver:2") || !strings.Contains(string(m.Body), `"status":200`) {
		t.Errorf("output %q, body %s", m.Output, m.Body)
	}
}

func TestMetricsAndHealthSayWhatGoesOn(t *testing.T) {
	t.Parallel()
	sim := built.StartSimulator(t, trackers)
	g := built.StartGateway(t, sim, world.Workload)
	d := login(t, g.Addr("trackers"), imei)
	d.send(2)
	d.acknowledged(10 * time.Second)
	if status, body := g.Get("/healthz"); status != 200 {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, body := g.Get("/readyz"); status != 200 || !strings.Contains(body, `"hubConnected":true`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	_, metrics := g.Get("/metrics")
	for _, pattern := range []string{
		`(?m)^causeway_messages_total\{.*listener="trackers".*\} 2$`,
		`(?m)^causeway_acks_total\{.*listener="trackers".*\} 1$`,
		`(?m)^causeway_hub_connected\{.*\} 1$`,
		`causeway_links\{edge_device="edge",instance_number="[0-9a-f-]{36}",iothub="causeway.azure-devices.net",` +
			`listener="trackers",module_name="causeway"\} 1`,
	} {
		if !regexp.MustCompile(pattern).MatchString(metrics) {
			t.Errorf("no %s in the metrics", pattern)
		}
	}
	line := regexp.MustCompile(`(?m)^<6> \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+00:00 \[INF\] - edge hub connected$`)
	if !line.MatchString(g.Proc.Output()) {
		t.Error("the log lines do not have the runtime's form")
	}
}
