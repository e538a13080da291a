package control_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/control"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// power remembers what it was told.
type power struct {
	mu    sync.Mutex
	calls []string
	ended func() // what a cut ends, in its own time
}

func (p *power) note(call string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
}

func (p *power) Down(abrupt bool) error {
	p.note(map[bool]string{true: "abrupt", false: "down"}[abrupt])
	return nil
}
func (p *power) Up() error { p.note("up"); return nil }
func (p *power) DropAll() int {
	p.note("drop")
	go p.ended()
	return 3
}
func (p *power) Env(module, style string) (map[string]string, error) {
	if style == "bad" {
		return nil, errors.New("unknown style")
	}
	return map[string]string{"M": module}, nil
}

// answering is a session that answers every method and remembers patches. Like a real one it
// leaves some time after it was closed.
type answering struct {
	hub     *edge.Hub
	id      edge.Identity
	silent  bool
	desired chan string
	closed  chan string
	leave   atomic.Pointer[func()]
}

func (a *answering) connect() {
	leave := a.hub.Connect(a.id, a)
	a.leave.Store(&leave)
}

func (a *answering) end() { (*a.leave.Load())() }

func (a *answering) Close(reason string) {
	a.closed <- reason
	go a.end()
}

func (a *answering) Reset() { a.Close("reset") }

func (a *answering) Desired(patch json.RawMessage) { a.desired <- string(patch) }
func (a *answering) Input(d edge.Delivery)         { d.Settle(edge.Accepted) }
func (a *answering) Method(c edge.MethodCall) (taken bool) {
	if !a.silent {
		a.hub.AnswerMethod(a.id, c.Correlation, 201, json.RawMessage(`{"name":"`+c.Name+`","got":`+string(c.Payload)+`}`))
	}
	return true
}

func newAPI(t *testing.T) (*control.API, *edge.Hub, *power, *answering) {
	t.Helper()
	h, err := edge.New(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	id := edge.Identity{Device: "edge", Module: "m"}
	for _, name := range []string{"m", "n"} {
		if err := h.AddIdentity(edge.Identity{Device: "edge", Module: name}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.SetRoutes([]edge.Route{{Name: "r", Text: "FROM /* INTO $upstream"}}, 0); err != nil {
		t.Fatal(err)
	}
	a := &answering{hub: h, id: id, desired: make(chan string, 10), closed: make(chan string, 10)}
	a.connect()
	for _, topic := range []edge.Topic{edge.TopicDesired, edge.TopicMethods, edge.TopicInputs} {
		h.Subscribe(id, topic)
	}
	p := &power{ended: a.end}
	return control.New(h, p), h, p, a
}

func ask(t *testing.T, api http.Handler, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:1"+path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestRequestsAndAnswers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, method, path, body string
		status                   int
		contains                 string
	}{
		{"health names the device", "GET", "/healthz", "", 200, `"device":"edge"`},
		{"stats", "GET", "/stats", "", 200, `"cloudCut":false`},
		{"routes", "GET", "/routes", "", 200, `"route":"FROM /* INTO $upstream"`},
		{"identities without keys", "GET", "/identities", "", 200, `{"device":"edge","module":"n"`},
		{"a leaf device", "POST", "/identities", `{"device":"leaf","key":"a2V5"}`, 200, `"key":"a2V5"`},
		{"a leaf device that is barred", "POST", "/identities", `{"device":"leaf","disabled":true}`, 200, `"device":"leaf"`},
		{"a derived key", "POST", "/identities", `{"device":"leaf","key":"derived:m"}`, 200, `"key":"`},
		{"a key derived of nobody", "POST", "/identities", `{"device":"leaf","key":"derived:x"}`, 404, "not known"},
		{"many leaf devices", "POST", "/leaves", `{"id":"d-[8-10]"}`, 200, `["d-8","d-9","d-10"]`},
		{"a bad pattern", "POST", "/leaves", `{"id":"d-[8]"}`, 400, "meter-[001-300]"},
		{"stats of identities", "GET", "/stats", "", 200, `"identities":{"edge/m":{"tokens":0,"attaches":0`},
		{"peaks", "DELETE", "/stats/peaks", "", 200, "true"},
		{"what became of messages", "GET", "/feedback", "", 200, "[]"},
		{"a bad wait", "GET", "/feedback?wait=1h", "", 400, "0s to 300s"},
		{"attaches are refused", "POST", "/faults", `{"attach":{},"identity":"leaf/"}`, 200, `"attach":{"condition":"amqp:not-allowed"`},
		{"a fault of two kinds", "POST", "/faults", `{"attach":{},"drop":true}`, 400, "attach is about links"},
		{"a bad key", "POST", "/identities", `{"device":"leaf","key":"!"}`, 400, "base64"},
		{"a removed module", "DELETE", "/identities?identity=n", "", 200, "true"},
		{"the edge device stays", "DELETE", "/identities?identity=edge/", "", 400, "cannot be removed"},
		{"a removed stranger", "DELETE", "/identities?identity=x", "", 404, "not known"},
		{"environment", "GET", "/env/m", "", 200, `{"M":"m"}`},
		{"environment of a bad style", "GET", "/env/m?style=bad", "", 400, "unknown style"},
		{"an unknown field", "POST", "/faults", `{"delay":1}`, 400, "delay"},
		{"an empty fault", "POST", "/faults", `{}`, 400, "must be set"},
		{"a fault of a bad identity", "POST", "/faults", `{"drop":true,"identity":"a/b/c"}`, 400, "identity"},
		{"a refusing fault", "POST", "/faults", `{"refuse":{},"count":2}`, 200, `"condition":"amqp:internal-error"`},
		{"a bad flag", "POST", "/hub/down?abrupt=maybe", "", 400, "abrupt"},
		{"a bad limit", "GET", "/messages?limit=0", "", 400, "limit"},
		{"a bad wait", "GET", "/messages?wait=1h", "", 400, "wait"},
		{"a bad since", "GET", "/messages?since=x", "", 400, "since"},
		{"no messages", "GET", "/messages", "", 200, "[]"},
		{"an input", "POST", "/inputs/m/in?a=b", `{"x":1}`, 200, "true"},
		{"an input of a stranger", "POST", "/inputs/x/in", `1`, 404, "not known"},
		{"a message to a device", "POST", "/devices/edge/messages/devicebound?a=b", `x`, 200, "true"},
		{"a message to a stranger", "POST", "/devices/x/messages/devicebound", `x`, 404, "not known"},
		{"an unknown path", "GET", "/else", "", 404, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api, _, _, _ := newAPI(t)
			status, body := ask(t, api, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(body, c.contains) {
				t.Fatalf("got %d %s", status, body)
			}
		})
	}
}

func TestForeignNamesAreTurnedAway(t *testing.T) {
	t.Parallel()
	api, _, _, _ := newAPI(t)
	for host, want := range map[string]int{"evil.example": 403, "127.0.0.1:99": 200, "localhost": 200, "[::1]:5": 200, "10.0.0.1": 403} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if api.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}

func TestMessagesAreShownWithTheirBodies(t *testing.T) {
	t.Parallel()
	api, h, _, a := newAPI(t)
	err := h.Publish(t.Context(), a.id, []edge.Message{
		{Output: "o", Body: []byte(`{"a":1}`), Properties: map[string]string{"p": "q"}}, {Body: []byte{0xff, 0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, body := ask(t, api, "GET", "/messages?since=0&limit=10", "")
	var list []control.Message
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 2 {
		t.Fatal(body, err)
	}
	if string(list[0].Body) != `{"a":1}` || list[0].Output != "o" || list[0].Properties["p"] != "q" || string(list[1].BodyBase64) != "\xff\x00" {
		t.Fatalf("got %s", body)
	}
	_, lines := ask(t, api, "GET", "/messages?format=ndjson&raw=true", "")
	if parts := strings.Split(lines, "\n"); len(parts) != 2 || !strings.Contains(parts[0], `"bodyBase64":"eyJhIjoxfQ=="`) {
		t.Fatalf("got %s", lines)
	}
}

func TestSwitchesReachTheHub(t *testing.T) {
	t.Parallel()
	api, h, p, a := newAPI(t)
	ask(t, api, "POST", "/cloud/cut", "")
	if !h.CloudCut() {
		t.Fatal("the cloud is not cut")
	}
	ask(t, api, "POST", "/cloud/restore", "")
	if h.CloudCut() {
		t.Fatal("the cloud is still cut")
	}
	for _, c := range []struct{ query, reason string }{
		{"?identity=m", "reset"}, {"?identity=m&polite=true", "dropped by request"}, {"?polite=true", "dropped by request"},
	} {
		if _, body := ask(t, api, "POST", "/connections/drop"+c.query, ""); body != `{"dropped":1}` || len(a.closed) != 1 {
			t.Fatalf("%s: got %s", c.query, body)
		}
		if got := <-a.closed; got != c.reason {
			t.Errorf("%s: closed for %q", c.query, got)
		}
		a.connect()
	}
	if _, body := ask(t, api, "POST", "/connections/drop?identity=n", ""); body != `{"dropped":0}` {
		t.Errorf("got %s", body)
	}
	if _, body := ask(t, api, "POST", "/connections/drop", ""); body != `{"dropped":3}` || h.Connected(a.id) {
		t.Fatalf("got %s, and the hub still holds what was cut: %v", body, h.Connected(a.id))
	}
	for _, path := range []string{"/hub/down", "/hub/down?abrupt=true", "/hub/up"} {
		ask(t, api, "POST", path, "")
	}
	if got := strings.Join(p.calls, " "); got != "drop down abrupt up" {
		t.Fatalf("power was told %q", got)
	}
	if _, body := ask(t, api, "POST", "/tokens/expire", ""); body != `{"expired":0}` {
		t.Fatalf("got %s", body)
	}
	if _, body := ask(t, api, "DELETE", "/faults", ""); body != `{"cleared":0}` {
		t.Fatalf("got %s", body)
	}
}

func TestTwinsOfTheServiceAPI(t *testing.T) {
	t.Parallel()
	api, _, _, a := newAPI(t)
	status, body := ask(t, api, "PATCH", "/twins/edge/modules/m?api-version=2021-04-12", `{"properties":{"desired":{"a":1}},"tags":{"t":"u"}}`)
	if status != 200 || !strings.Contains(body, `"tags":{"t":"u"}`) || !strings.Contains(body, `"connectionState":"Connected"`) {
		t.Fatalf("got %d %s", status, body)
	}
	if got := <-a.desired; got != `{"$version":2,"a":1}` {
		t.Fatalf("the module got %s", got)
	}
	if status, body = ask(t, api, "PUT", "/twins/edge/modules/m", `{"properties":{"desired":{"b":1,"$version":9}}}`); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	if got := <-a.desired; got != `{"$version":3,"a":null,"b":1}` {
		t.Fatalf("the module got %s", got)
	}
	for _, c := range []struct {
		method, path, body, etag string
		status                   int
		contains                 string
	}{
		{"GET", "/twins/edge/modules/x", "", "", 404, "ErrorCode:DeviceNotFound"},
		{"GET", "/twins/edge", "", "", 200, `"deviceId":"edge"`},
		{"PATCH", "/twins/edge/modules/m", `{"properties":{"desired":{"a b":1}}}`, "", 400, "ErrorCode:ArgumentInvalid"},
		{"PATCH", "/twins/edge/modules/m", `{"properties":1}`, "", 400, "properties must be an object"},
		{"PATCH", "/twins/edge/modules/m", `{`, "", 400, "body"},
		{"PATCH", "/twins/edge/modules/m", `{}`, `"v1"`, 412, "ErrorCode:PreconditionFailed"},
		{"PATCH", "/twins/edge/modules/m", `{}`, `*`, 200, `"$version":3`},
	} {
		if status, body := ask(t, api, c.method, c.path, c.body, "If-Match", c.etag); status != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s %s %s: got %d %s", c.method, c.path, c.body, status, body)
		}
	}
}

func TestMethodsOfTheServiceAPI(t *testing.T) {
	t.Parallel()
	api, h, _, _ := newAPI(t)
	status, body := ask(t, api, "POST", "/twins/edge/modules/m/methods", `{"methodName":"ping","payload":{"x":[1]}}`)
	if status != 200 || body != `{"status":201,"payload":{"name":"ping","got":{"x":[1]}}}` {
		t.Fatalf("got %d %s", status, body)
	}
	token, err := h.Sign(edge.Identity{Device: "edge", Module: "n"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ping := `{"methodName":"ping","payload":null}`
	for _, c := range []struct {
		name, path, body, caller, token string
		status                          int
		contains                        string
	}{
		{"a module that is not connected", "/twins/edge/modules/n/methods", ping, "", "", 404, "404103"},
		{"a stranger", "/twins/edge/modules/x/methods", ping, "", "", 404, "DeviceNotFound"},
		{"a bad timeout", "/twins/edge/modules/m/methods", `{"methodName":"x","responseTimeoutInSeconds":4}`, "", "", 400, "ArgumentInvalid"},
		{"a timeout of zero", "/twins/edge/modules/m/methods", `{"methodName":"x","responseTimeoutInSeconds":0}`, "", "", 400, "5 to 300"},
		{"no JSON", "/twins/edge/modules/m/methods", `x`, "", "", 400, "body"},
		{"another module's call", "/twins/edge/modules/m/methods", ping, "edge/n", token, 200, "201"},
		{"a call without a token", "/twins/edge/modules/m/methods", ping, "edge/n", "", 401, `"message"`},
		{"a call from elsewhere", "/twins/edge/modules/m/methods", ping, "other/n", token, 401, `"message"`},
		{"a malformed caller", "/twins/edge/modules/m/methods", ping, "n", token, 400, `"message"`},
		{"a call to nobody", "/twins/edge/modules/n/methods", ping, "edge/n", token, 404, `"message"`},
	} {
		status, body := ask(t, api, "POST", c.path, c.body, "x-ms-edge-moduleId", c.caller, "Authorization", c.token)
		if status != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s: got %d %s", c.name, status, body)
		}
	}
	h.CutCloud()
	if status, body := ask(t, api, "POST", "/twins/edge/modules/m/methods", ping); status != 404 || !strings.Contains(body, "404103") {
		t.Errorf("with the cloud cut: %d %s", status, body)
	}
	if status, _ := ask(t, api, "POST", "/twins/edge/modules/m/methods", ping, "x-ms-edge-moduleId", "edge/n", "Authorization", token); status != 200 {
		t.Errorf("on the device with the cloud cut: %d", status)
	}
}

func TestASilentModuleTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, _, _, a := newAPI(t)
		a.silent = true
		begun := time.Now()
		status, body := ask(t, api, "POST", "/twins/edge/modules/m/methods", `{"methodName":"x","responseTimeoutInSeconds":5}`)
		if status != 504 || !strings.Contains(body, "504101") || time.Since(begun) != 5*time.Second {
			t.Fatalf("after %v: %d %s", time.Since(begun), status, body)
		}
	})
}

func TestOtherWebPagesChangeNothing(t *testing.T) {
	t.Parallel()
	api, h, _, _ := newAPI(t)
	for _, c := range []struct {
		name, header, value string
		status              int
	}{
		{"another site", "Sec-Fetch-Site", "cross-site", 403},
		{"an older browser on another site", "Origin", "https://example.com", 403},
		{"the portal", "Sec-Fetch-Site", "same-origin", 200},
		{"no browser", "Accept", "*/*", 200},
	} {
		if status, body := ask(t, api, "POST", "/cloud/cut", "", c.header, c.value); status != c.status {
			t.Errorf("%s: got %d %s", c.name, status, body)
		}
		if cut := h.CloudCut(); cut != (c.status == 200) {
			t.Errorf("%s: cut is %v", c.name, cut)
		}
		if err := h.RestoreCloud(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFaultIsTakenBackByItsNumber(t *testing.T) {
	t.Parallel()
	api, h, _, _ := newAPI(t)
	ask(t, api, "POST", "/faults", `{"withhold":true,"count":-1}`)
	if _, body := ask(t, api, "POST", "/faults", `{"drop":true,"count":-1}`); !strings.Contains(body, `{"id":2,"count":-1,"drop":true}`) {
		t.Fatalf("got %s", body)
	}
	if status, body := ask(t, api, "DELETE", "/faults?id=x", ""); status != 400 {
		t.Errorf("got %d %s", status, body)
	}
	if _, body := ask(t, api, "DELETE", "/faults?id=1", ""); body != `{"cleared":1}` || len(h.Faults()) != 1 {
		t.Errorf("got %s", body)
	}
}
