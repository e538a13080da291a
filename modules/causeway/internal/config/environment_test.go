package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const testKey = "c2VjcmV0LWtleS1vZi10aGUtbW9kdWxl"

func connectionString(parts ...string) string {
	return strings.Join(append(parts, "SharedAccessKey="+testKey), ";")
}

// setEnvironment leaves exactly these variables of ours set.
func setEnvironment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, v := range environmentVariables() {
		if _, set := os.LookupEnv(v.name); set {
			t.Setenv(v.name, "") // restores it after the test
			if err := os.Unsetenv(v.name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func workload(more ...string) map[string]string {
	env := map[string]string{
		"IOTEDGE_WORKLOADURI":        "unix:///var/run/iotedge/workload.sock",
		"IOTEDGE_IOTHUBHOSTNAME":     "h.azure-devices.net",
		"IOTEDGE_GATEWAYHOSTNAME":    "edge",
		"IOTEDGE_DEVICEID":           "dev",
		"IOTEDGE_MODULEID":           "causeway",
		"IOTEDGE_MODULEGENERATIONID": "gen",
		"IOTEDGE_AUTHSCHEME":         "SasToken",
		"IOTEDGE_APIVERSION":         "2022-08-03",
	}
	for _, pair := range more {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

func TestTheRuntimesEnvironmentIsEnough(t *testing.T) {
	setEnvironment(t, workload())
	got, err := LoadEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	want := Environment{
		DataDir: "/var/lib/causeway", MetricsAddr: ":9600", LogLevel: "info",
		Shutdown: 8 * time.Second, TokenTTL: time.Hour,
		HubBatchBytes: 60000, HubBatchesInFlight: 32, HubQueueBytes: 4 << 20, HubLinger: 5 * time.Millisecond,
		Hub: HubEnvironment{
			Style: StyleWorkload, IoTHubHostName: "h.azure-devices.net", GatewayHostName: "edge",
			DeviceID: "dev", ModuleID: "causeway", WorkloadURI: "unix:///var/run/iotedge/workload.sock",
			GenerationID: "gen", AuthScheme: "SasToken", APIVersion: "2022-08-03", UpstreamProtocol: "Amqp",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheConnectionStringComesFirst(t *testing.T) {
	for _, name := range []string{"EdgeHubConnectionString", "IotHubConnectionString"} {
		text := connectionString("HostName=h.net", "GatewayHostName=gw", "DeviceId=d", "ModuleId=m")
		setEnvironment(t, workload(name+"="+text, "EdgeModuleCACertificateFile=/ca.pem", "UpstreamProtocol=amqp"))
		got, err := LoadEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		want := HubEnvironment{
			Style: StyleConnectionString, IoTHubHostName: "h.net", GatewayHostName: "gw", DeviceID: "d", ModuleID: "m",
			ConnectionString: Secret(text), CACertificateFile: "/ca.pem", UpstreamProtocol: "Amqp",
		}
		if got.Hub != want || got.Hub.Host() != "gw" {
			t.Errorf("%s gives %+v", name, got.Hub)
		}
	}
}

func TestWithoutAGatewayTheModuleTalksToIoTHub(t *testing.T) {
	setEnvironment(t, workload("IOTEDGE_GATEWAYHOSTNAME="))
	got, err := LoadEnvironment()
	if err != nil || got.Hub.Host() != "h.azure-devices.net" {
		t.Errorf("host is %q, %v", got.Hub.Host(), err)
	}
}

func TestOurOwnVariablesAreRead(t *testing.T) {
	setEnvironment(t, workload("CAUSEWAY_DATA_DIR=/d", "CAUSEWAY_METRICS_ADDR=OFF", "CAUSEWAY_LOG_LEVEL=Debug",
		"CAUSEWAY_CONFIG=/c.json", "CAUSEWAY_SHUTDOWN_SECONDS=20", "CAUSEWAY_TOKEN_TTL_SECONDS=60",
		"CAUSEWAY_HUB_BATCH_BYTES=1024", "CAUSEWAY_HUB_BATCHES_IN_FLIGHT=1", "CAUSEWAY_HUB_QUEUE_BYTES=65536",
		"CAUSEWAY_HUB_LINGER_MS=0", "RuntimeLogLevel=error", "CAUSEWAY_DATADIR=x", "CAUSEWAY_A=y"))
	got, err := LoadEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	got.Hub = HubEnvironment{}
	want := Environment{
		DataDir: "/d", LogLevel: "debug", ConfigFile: "/c.json", Shutdown: 20 * time.Second, TokenTTL: time.Minute,
		HubBatchBytes: 1024, HubBatchesInFlight: 1, HubQueueBytes: 65536,
		Unknown: []string{"CAUSEWAY_A", "CAUSEWAY_DATADIR"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheRuntimesLogLevelIsReadAsTheRuntimeDoes(t *testing.T) {
	for text, want := range map[string]string{
		"": "info", "Verbose": "verbose", "information": "info", "warning,mqtt=debug": "warning", "loud": "info",
	} {
		setEnvironment(t, workload("RuntimeLogLevel="+text))
		if got, err := LoadEnvironment(); err != nil || got.LogLevel != want {
			t.Errorf("RuntimeLogLevel %q gives %q, %v", text, got.LogLevel, err)
		}
	}
}

func TestABadEnvironmentSaysWhichVariableAndWhatIsAllowed(t *testing.T) {
	secret := "EdgeHubConnectionString="
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{}, "nothing says how to reach the edge hub"},
		{workload("IOTEDGE_DEVICEID=", "IOTEDGE_MODULEGENERATIONID="),
			"IOTEDGE_DEVICEID, IOTEDGE_MODULEGENERATIONID must be set"},
		{workload("IOTEDGE_AUTHSCHEME=x509"), `IOTEDGE_AUTHSCHEME is "x509", must be sasToken`},
		{workload("IOTEDGE_WORKLOADURI=ftp://x"), "must be unix:///path or http://host:port"},
		{workload("UpstreamProtocol=Quic"), `UpstreamProtocol is "Quic", must be Amqp, AmqpWs, Mqtt or MqttWs`},
		{workload("CAUSEWAY_LOG_LEVEL=loud"), `CAUSEWAY_LOG_LEVEL is "loud", must be one of verbose, debug`},
		{workload("CAUSEWAY_SHUTDOWN_SECONDS=soon"), `CAUSEWAY_SHUTDOWN_SECONDS is "soon", must be a whole number`},
		{workload("CAUSEWAY_SHUTDOWN_SECONDS=0"), `CAUSEWAY_SHUTDOWN_SECONDS is 0, must be from 1 to 600`},
		{workload("CAUSEWAY_HUB_BATCH_BYTES=262144", "CAUSEWAY_HUB_QUEUE_BYTES=65536"),
			"must be at least CAUSEWAY_HUB_BATCH_BYTES (262144)"},
		{workload("CAUSEWAY_DATA_DIR="), "CAUSEWAY_DATA_DIR is empty"},
		{workload(secret + connectionString("HostName=h", "DeviceId=d")), "EdgeHubConnectionString: has no ModuleId"},
		{workload(secret + connectionString("DeviceId=d", "ModuleId=m")), "has no HostName"},
		{workload(secret + "HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=" + testKey + "!"), "must be base64"},
		{workload(secret + connectionString("HostName=h") + "|" + connectionString("HostName=h")), "several modules"},
		{workload(secret + testKey), "has no HostName"},
	} {
		t.Run(c.want, func(t *testing.T) {
			setEnvironment(t, c.env)
			_, err := LoadEnvironment()
			if !errors.Is(err, ErrEnvironment) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), testKey) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	setEnvironment(t, map[string]string{
		"EdgeHubConnectionString": connectionString("HostName=h.net", "DeviceId=d", "ModuleId=m"),
	})
	e, err := LoadEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %q", e, e, e, e.Hub.ConnectionString, e.Hub.ConnectionString) + string(text)
	if strings.Contains(all, testKey) {
		t.Errorf("the key is printed: %s", all)
	}
	if !strings.Contains(e.Hub.ConnectionString.Reveal(), testKey) {
		t.Error("the key is lost")
	}
}

func FuzzConnectionStringErrorsNeverQuoteIt(f *testing.F) {
	f.Add("HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=zzzzzzzz-not-base64")
	f.Add("a|b")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseConnectionString(text)
		if err != nil && len(text) > 32 && strings.Contains(err.Error(), text) {
			t.Errorf("%q is quoted by %v", text, err)
		}
	})
}
