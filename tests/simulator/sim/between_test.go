package sim_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// atWebPort asks the port of the WebSocket door for something else.
func atWebPort(t *testing.T, e *sim.Edge, method, path string, headers ...string) (int, string) {
	t.Helper()
	body := strings.NewReader(`{"methodName":"ping","payload":{"x":1},"responseTimeoutInSeconds":20}`)
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+e.WebGateway()+path+"?api-version=2020-09-30", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, e), DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func TestModulesCallEachOtherOnThePortOfTheWebSocketDoor(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m", "n"}, Hub: edge.Options{SubscribeGrace: -1}})
	c := paho.NewClient(pahoOptions(t, e, "wss://"+e.WebGateway()+"/$iothub/websocket"))
	succeed(t, c.Connect())
	defer c.Disconnect(0)
	succeed(t, c.Subscribe("$iothub/methods/POST/#", 0, func(c paho.Client, m paho.Message) {
		_, rid, _ := strings.Cut(m.Topic(), "$rid=")
		c.Publish("$iothub/methods/res/201/?$rid="+rid, 0, false, m.Payload())
	}))
	token, err := e.Hub().Sign(edge.Identity{Device: "edge", Module: "n"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	e.Hub().CutCloud()
	const path = "/twins/edge/modules/m/methods"
	for _, r := range []struct {
		name, method, path, caller, token string
		status                            int
		contains                          string
	}{
		{"a call", "POST", path, "edge/n", token, 200, `{"status":201,"payload":{"x":1}}`},
		{"a call to nobody", "POST", "/twins/edge/modules/n/methods", "edge/n", token, 404, `"message"`},
		{"a call to a device", "POST", "/twins/edge/methods", "edge/n", token, 404, `"message"`},
		{"no caller", "POST", path, "", token, 400, "x-ms-edge-moduleId is missing"},
		{"no token", "POST", path, "edge/n", "", 401, `"message"`},
		{"another's token", "POST", path, "edge/m", token, 401, `"message"`},
		{"not a method", "GET", path, "edge/n", token, 404, `"message"`},
		{"the cloud's registry", "PUT", "/devices/x", "edge/n", token, 404, `"message"`},
		{"the cloud's twins", "GET", "/twins/edge/modules/m", "", token, 404, `"message"`},
	} {
		status, text := atWebPort(t, e, r.method, r.path, "x-ms-edge-moduleId", r.caller, "Authorization", r.token)
		if status != r.status || !strings.Contains(text, r.contains) {
			t.Errorf("%s: got %d %s", r.name, status, text)
		}
	}
}
