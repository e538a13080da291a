package world

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Simulator is the offline IoT Edge as a process, driven through its control API.
type Simulator struct {
	t       testing.TB
	path    string
	env     []string
	args    []string
	state   string
	control string
	// CA is the path of the root certificate, Proc the process that runs or ran last.
	CA   string
	Proc *Process
	// Direct is the host:port of IoT Hub for devices without an edge device, in the protocol
	// that the programs speak, and DirectConnection the connection string of the policy that
	// may connect as any of them.
	Direct, DirectConnection string
	upstream                 string
}

// Module is the name under which the gateway is deployed.
const Module = "causeway"

// StartSimulator starts a simulator whose deployment gives the gateway the desired
// properties. Routes and manifest are read by the simulator itself. The arguments are
// added to the command line.
func (p Programs) StartSimulator(tb testing.TB, desired string, args ...string) *Simulator {
	tb.Helper()
	// Unix socket paths are short, so the state is not in the test's own long path.
	state, err := os.MkdirTemp("", "sim") //nolint:usetesting // tb.TempDir is too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(state) })
	deployment := `{"$schema-template": "4.0.0", "modulesContent": {
		"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}},
			"systemModules": {}, "modules": {"causeway": {"version": "1.0", "type": "docker", "status": "running",
			"restartPolicy": "always", "settings": {"image": "causeway", "createOptions": {}}}}}},
		"$edgeHub": {"properties.desired": {"schemaVersion": "1.1",
			"routes": {"all": "FROM /messages/modules/causeway/outputs/* INTO $upstream",
				"leaves": "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO $upstream"},
			"storeAndForwardConfiguration": {"timeToLiveSecs": 864000}}},
		"causeway": {"properties.desired": ` + desired + `}}}`
	if err := os.WriteFile(filepath.Join(state, "deployment.json"), []byte(deployment), 0o600); err != nil {
		tb.Fatal(err)
	}
	port, err := p.port()
	if err != nil {
		tb.Fatal(err)
	}
	args = append([]string{"-gateway-port", port}, args...)
	s := &Simulator{t: tb, path: p.Simulator, env: p.Clock.environment(), args: args, state: state, upstream: p.Upstream}
	s.Start()
	return s
}

// Start starts the process, again on the same ports and state after a kill.
func (s *Simulator) Start() {
	s.t.Helper()
	ready := filepath.Join(s.state, "up.json")
	_ = os.Remove(ready)
	args := append([]string{
		"up", "-state", filepath.Join(s.state, "s"), "-subscribe-grace", "0s", "-reauth", "1s", "-module", Module,
		"-ready-file", ready, "-journal", filepath.Join(s.state, "journal"),
	}, s.args...)
	s.Proc = Start(s.t, "simulator", s.env, s.path, append(args, filepath.Join(s.state, "deployment.json"))...)
	var up struct {
		Control    string `json:"control"`
		CA         string `json:"ca"`
		Direct     string `json:"direct"`
		DirectMQTT string `json:"directMQTT"`
		DirectWeb  string `json:"directWeb"`
		Policy     string `json:"directConnectionString"`
	}
	Eventually(s.t, 20*time.Second, "simulator is up", func() bool {
		b, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(b, &up) == nil && up.Control != ""
	})
	s.control, s.CA = up.Control, up.CA
	switch s.upstream {
	case "Amqp":
		s.Direct = up.Direct
	case "Mqtt":
		s.Direct = up.DirectMQTT
	default:
		s.Direct = up.DirectWeb
	}
	s.DirectConnection = strings.Replace(up.Policy, up.Direct, s.Direct, 1)
	if !strings.HasPrefix(s.control, "http") {
		s.control = "http://" + s.control
	}
}

// Control is the URL of its control API, as its commands find it in CAUSEWAY_SIMULATOR.
func (s *Simulator) Control() string { return s.control }

// Call makes a request of the control API; any status is returned.
func (s *Simulator) Call(method, path string, body any) (int, []byte) {
	s.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.control+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Close = true // the simulator may be killed between two calls
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, b
}

// Must is call for a request that has to succeed; the answer is decoded into v.
func (s *Simulator) Must(method, path string, body, v any) {
	s.t.Helper()
	status, b := s.Call(method, path, body)
	if status/100 != 2 {
		s.t.Fatalf("%s %s: status %d: %s", method, path, status, b)
	}
	if v != nil {
		if err := json.Unmarshal(b, v); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
}

// Message is one message that reached the cloud.
type Message struct {
	Sequence uint64 `json:"sequence"`
	// Device and Module are the identity that sent it; a leaf device has no module, and its
	// messages no output.
	Device     string            `json:"device"`
	Module     string            `json:"module,omitempty"`
	Output     string            `json:"output"`
	Properties map[string]string `json:"properties"`
	System     map[string]string `json:"system"`
	Body       json.RawMessage   `json:"body"`
	BodyBase64 []byte            `json:"bodyBase64"`
}

// Messages are those in the cloud after a sequence number, whoever sent them.
func (s *Simulator) Messages(since uint64) (list []Message) {
	s.t.Helper()
	s.Must("GET", fmt.Sprintf("/messages?since=%d&limit=100000", since), nil, &list)
	return list
}

// WaitMessages waits until a device has n messages in the cloud and returns them.
func (s *Simulator) WaitMessages(device string, n int, limit time.Duration) (list []Message) {
	s.t.Helper()
	Eventually(s.t, limit, fmt.Sprintf("%d messages of %s in the cloud", n, device), func() bool {
		list = nil
		for _, m := range s.Messages(0) {
			if m.Properties["deviceId"] == device {
				list = append(list, m)
			}
		}
		return len(list) >= n
	})
	return list
}

// Method calls a direct method as the cloud does; the status is the module's own.
func (s *Simulator) Method(name string, payload any) (int, json.RawMessage) {
	s.t.Helper()
	var answer struct {
		Status  int             `json:"status"`
		Payload json.RawMessage `json:"payload"`
	}
	s.Must("POST", "/twins/edge/modules/"+Module+"/methods", map[string]any{
		"methodName": name, "payload": payload, "responseTimeoutInSeconds": 60, "connectTimeoutInSeconds": 30,
	}, &answer)
	return answer.Status, answer.Payload
}

// Patch changes desired properties.
func (s *Simulator) Patch(desired any) {
	s.t.Helper()
	s.Must("PATCH", "/twins/edge/modules/"+Module, map[string]any{
		"properties": map[string]any{"desired": desired},
	}, nil)
}

// Twin is what the tests look at of the twin.
type Twin struct {
	Properties struct {
		Desired struct {
			Version int64 `json:"$version"`
		} `json:"desired"`
		Reported struct {
			LastDesiredVersion int64 `json:"lastDesiredVersion"`
			LastDesiredStatus  struct {
				Code        int    `json:"code"`
				Description string `json:"description"`
			} `json:"lastDesiredStatus"`
			Listeners map[string]struct {
				State string `json:"state"`
				Bind  string `json:"bind"`
				Error string `json:"error"`
			} `json:"listeners"`
			Devices map[string]struct {
				Reported json.RawMessage `json:"reported"`
				Error    string          `json:"error"`
			} `json:"devices"`
		} `json:"reported"`
	} `json:"properties"`
}

// Twin fetches the gateway's twin.
func (s *Simulator) Twin() (t Twin) {
	s.t.Helper()
	s.Must("GET", "/twins/edge/modules/"+Module, nil, &t)
	return t
}

// Decided waits until the gateway has judged the newest desired properties.
func (s *Simulator) Decided() (t Twin) {
	s.t.Helper()
	Eventually(s.t, 20*time.Second, "the gateway reports what it made of the desired properties", func() bool {
		t = s.Twin()
		return t.Properties.Reported.LastDesiredVersion == t.Properties.Desired.Version
	})
	return t
}

// Fault makes the hub misbehave towards the next publishes.
func (s *Simulator) Fault(f map[string]any) {
	s.t.Helper()
	s.Must("POST", "/faults", f, nil)
}

// Env is the environment of the module in a style: workload or connectionstring.
func (s *Simulator) Env(style string) (list []string) {
	s.t.Helper()
	var env map[string]string
	s.Must("GET", "/env/"+Module+"?style="+url.QueryEscape(style), nil, &env)
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}
