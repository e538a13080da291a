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
			Key: testKey, CACertificateFile: "/ca.pem", UpstreamProtocol: "Amqp",
		}
		if got.Hub != want || got.Hub.Host() != "gw" {
			t.Errorf("%s gives %+v", name, got.Hub)
		}
	}
}

func TestWithoutAGatewayTheModuleTalksToIoTHub(t *testing.T) {
	for _, variable := range []string{"IOTEDGE_GATEWAYHOSTNAME=", "CAUSEWAY_HUB=iothub"} {
		setEnvironment(t, workload(variable))
		got, err := LoadEnvironment()
		if err != nil || !got.Hub.Direct() || got.Hub.Host() != "h.azure-devices.net" {
			t.Errorf("%s: host is %q, %v", variable, got.Hub.Host(), err)
		}
	}
}

func TestAConnectionStringSaysWhoTheGatewayIsAndWhere(t *testing.T) {
	device := HubEnvironment{
		Style: StyleConnectionString, IoTHubHostName: "h.net", DeviceID: "d", Key: testKey, UpstreamProtocol: "Amqp",
	}
	with := func(change func(h *HubEnvironment)) HubEnvironment {
		h := device
		change(&h)
		return h
	}
	module := with(func(h *HubEnvironment) { h.ModuleID = "m" })
	behind := with(func(h *HubEnvironment) { h.ModuleID, h.GatewayHostName = "m", "gw:15671" })
	byPolicy := with(func(h *HubEnvironment) { h.Policy = "device" })
	for name, c := range map[string]struct {
		hub, text string
		want      HubEnvironment
	}{
		"a module behind an edge hub": {
			"edgehub", connectionString("HostName=h.net", "GatewayHostName=gw:15671", "DeviceId=d", "ModuleId=m"), behind,
		},
		"in another order and case": {
			"edgehub", "sharedaccesskey=" + testKey + "; MODULEID=m;deviceid=d;gatewayHostName=gw:15671;hostName=h.net;", behind,
		},
		"a module past its edge hub": {
			"iothub", connectionString("HostName=h.net", "GatewayHostName=gw", "DeviceId=d", "ModuleId=m"), module,
		},
		"a module without an edge hub": {"edgehub", connectionString("HostName=h.net", "DeviceId=d", "ModuleId=m"), module},
		"a device":                     {"edgehub", connectionString("HostName=h.net", "DeviceId=d"), device},
		"a device past an edge hub":    {"iothub", connectionString("HostName=h.net", "GatewayHostName=gw", "DeviceId=d"), device},
		"a device by a policy":         {"edgehub", connectionString("HostName=h.net", "DeviceId=d", "SharedAccessKeyName=device"), byPolicy},
		"a policy past an edge hub": {
			"iothub", connectionString("HostName=h.net", "GatewayHostName=gw", "DeviceId=d", "SharedAccessKeyName=device"), byPolicy,
		},
		"a module by a policy": {
			"iothub", connectionString("HostName=h.net", "DeviceId=d", "ModuleId=m", "SharedAccessKeyName=device"),
			with(func(h *HubEnvironment) { h.ModuleID, h.Policy = "m", "device" }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, map[string]string{"CAUSEWAY_HUB": c.hub, "EdgeHubConnectionString": c.text})
			got, err := LoadEnvironment()
			if err != nil || got.Hub != c.want || got.Hub.Direct() != (c.want.GatewayHostName == "") {
				t.Errorf("gives %+v, %v\nwant %+v", got.Hub, err, c.want)
			}
		})
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
		{workload("CAUSEWAY_HUB=cloud"), `CAUSEWAY_HUB is "cloud", must be edgehub or iothub`},
		{workload(secret + connectionString("HostName=h", "GatewayHostName=gw", "DeviceId=d")),
			"EdgeHubConnectionString: has no ModuleId, but behind an edge hub the gateway must be a module"},
		{workload(secret + connectionString("HostName=h", "GatewayHostName=gw", "DeviceId=d", "ModuleId=m",
			"SharedAccessKeyName=device")), "has SharedAccessKeyName, but no edge hub takes the key of a policy"},
		{workload(secret + connectionString("DeviceId=d", "ModuleId=m")), "has no HostName"},
		{workload(secret + connectionString("HostName=h", "SharedAccessKeyName=device")), "has no DeviceId"},
		{workload(secret + "HostName=h;DeviceId=d"), "has no SharedAccessKey, must"},
		{workload(secret + "HostName=h;DeviceId=d;SharedAccessKey=;"), "has no SharedAccessKey, must"},
		{workload(secret + "HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=" + testKey + "!"), "must be base64"},
		{workload(secret + connectionString("HostName=h") + "|" + connectionString("HostName=h")), "several modules"},
		{workload(secret + testKey), "has a part without ="},
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
	all := fmt.Sprintf("%v %+v %#v %s %q", e, e, e, e.Hub.Key, e.Hub.Key) + string(text)
	if strings.Contains(all, testKey) {
		t.Errorf("the key is printed: %s", all)
	}
	if e.Hub.Key.Reveal() != testKey {
		t.Error("the key is lost")
	}
}

func FuzzConnectionStringErrorsNeverQuoteIt(f *testing.F) {
	f.Add("HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=zzzzzzzz-not-base64")
	f.Add("HostName=h;GatewayHostName=g;DeviceId=d;SharedAccessKeyName=device;SharedAccessKey=" + testKey)
	f.Add("a|b")
	f.Fuzz(func(t *testing.T, text string) {
		for _, direct := range []bool{false, true} {
			h, err := parseConnectionString(text, direct)
			if err != nil && len(text) > 32 && strings.Contains(err.Error(), text) {
				t.Errorf("%q is quoted by %v", text, err)
			}
			switch {
			case err != nil:
			case h.IoTHubHostName == "" || h.DeviceID == "" || h.Key == "", !h.Direct() && (h.ModuleID == "" || h.Policy != ""):
				t.Errorf("%q is taken as %+v", text, h)
			case direct && !h.Direct():
				t.Errorf("%q leads to the edge hub", text)
			}
		}
	})
}
