package service_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/service"
)

func newHub(t *testing.T) *edge.Hub {
	t.Helper()
	h, err := edge.New(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	for _, name := range []string{"m", "n"} {
		if err := h.AddIdentity(edge.Identity{Device: "edge", Module: name}, ""); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func ask(api http.Handler, method, path, body string, headers ...string) (status int, text string, header http.Header) {
	r := httptest.NewRequest(method, "https://hub.example"+path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String()), w.Header()
}

func TestTheRegistryAnswersAsTheServiceDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, path, body, match string
		status                          int
		contains                        string
	}{
		{"an edge device has a scope", "GET", "/devices/edge", "", "", 200, `"deviceScope":"ms-azure-iot-edge://edge-`},
		{"a device is created", "PUT", "/devices/d", `{"deviceId":"d"}`, "", 200, `"status":"enabled"`},
		{"unknown fields are ignored", "PUT", "/devices/d", `{"deviceId":"d","new":1}`, "", 200, `"deviceId":"d"`},
		{"a device exists", "PUT", "/devices/edge", `{"deviceId":"edge"}`, "", 409, "ErrorCode:DeviceAlreadyExists;"},
		{"a device is updated", "PUT", "/devices/edge", `{"deviceId":"edge","statusReason":"x"}`, `"*"`, 200, `"statusReason":"x"`},
		{"an etag is old", "PUT", "/devices/edge", `{"deviceId":"edge"}`, `"old"`, 412, "ErrorCode:PreconditionFailed;"},
		{"an update of nobody", "PUT", "/devices/d", `{"deviceId":"d"}`, `"*"`, 404, "ErrorCode:DeviceNotFound;"},
		{"another name in the body", "PUT", "/devices/d", `{"deviceId":"e"}`, "", 400, "the body names e"},
		{"a bad status", "PUT", "/devices/d", `{"status":"off"}`, "", 400, "enabled or disabled"},
		{"one key only", "PUT", "/devices/d", `{"authentication":{"symmetricKey":{"primaryKey":"eA=="}}}`, "", 400, "both keys"},
		{"X.509", "PUT", "/devices/d", `{"authentication":{"type":"selfSigned"}}`, "", 400, "sas only"},
		{"no JSON", "PUT", "/devices/d", `x`, "", 400, "ErrorCode:ArgumentInvalid;body"},
		{"a module of nobody", "PUT", "/devices/d/modules/m", `{}`, "", 404, "ErrorCode:DeviceNotFound;"},
		{"a module is read", "GET", "/devices/edge/modules/m", "", "", 200, `"moduleId":"m"`},
		{"modules are listed", "GET", "/devices/edge/modules", "", "", 200, `"moduleId":"n"`},
		{"modules of nobody", "GET", "/devices/d/modules", "", "", 404, "ErrorCode:DeviceNotFound;"},
		{"devices are listed", "GET", "/devices/", "", "", 200, `[{"deviceId":"edge"`},
		{"devices are listed without a slash", "GET", "/devices?top=5", "", "", 200, `[{"deviceId":"edge"`},
		{"a module is removed", "DELETE", "/devices/edge/modules/m", "", `"*"`, 204, ""},
		{"nobody is removed", "DELETE", "/devices/d", "", `"*"`, 404, "ErrorCode:DeviceNotFound;"},
		{"the edge device stays", "DELETE", "/devices/edge", "", `"*"`, 400, "cannot be removed"},
		{"statistics", "GET", "/statistics/devices", "", "", 200, `{"disabledDeviceCount":0,"enabledDeviceCount":1,"totalDeviceCount":1}`},
		{"a bulk", "POST", "/devices", `[{"id":"a","importMode":"create"},{"id":"b","importMode":"create"}]`, "", 200, `"isSuccessful":true`},
		{
			"a bulk with failures", "POST", "/devices", `[{"id":"edge","importMode":"create"},{"id":"b","importMode":"delete"},
			{"id":"edge","eTag":"old","importMode":"updateIfMatchETag"},{"id":"c","importMode":"burn"}]`, "", 400,
			`"errors":[{"deviceId":"edge","errorCode":409001,`,
		},
		{"an empty bulk", "POST", "/devices", `[]`, "", 400, "1 to 100"},
		{"what is not simulated", "GET", "/configurations", "", "", 404, "ErrorCode:NotFound;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			headers := []string{"If-Match", c.match}
			if c.match == "" {
				headers = nil
			}
			status, body, _ := ask(service.New(newHub(t)), c.method, c.path, c.body, headers...)
			if status != c.status || !strings.Contains(body, c.contains) {
				t.Fatalf("got %d %s", status, body)
			}
		})
	}
}

func TestQueriesArePaged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, name := range []string{"a", "b"} {
		if err := h.AddIdentity(edge.Identity{Device: name}, ""); err != nil {
			t.Fatal(err)
		}
	}
	api := service.New(h)
	for _, c := range []struct {
		query   string
		headers []string
		status  int
		names   string
		more    string
	}{
		{"SELECT * FROM devices", nil, 200, "a b edge", ""},
		{"select * from Devices", []string{"x-ms-max-item-count", "2"}, 200, "a b", "2"},
		{"SELECT * FROM devices", []string{"x-ms-max-item-count", "2", "x-ms-continuation", "2"}, 200, "edge", ""},
		{"SELECT * FROM devices.modules", nil, 200, "edge/m edge/n", ""},
		{"SELECT * FROM devices WHERE deviceId = 'b'", nil, 200, "b", ""},
		{`SELECT * FROM devices.modules WHERE moduleId="n"`, nil, 200, "edge/n", ""},
		{"SELECT deviceId FROM devices", nil, 400, "", ""},
		{"SELECT * FROM devices", []string{"x-ms-max-item-count", "0"}, 400, "", ""},
		{"SELECT * FROM devices", []string{"x-ms-continuation", "9"}, 400, "", ""},
	} {
		body, _ := json.Marshal(map[string]string{"query": c.query})
		status, text, header := ask(api, "POST", "/devices/query", string(body), c.headers...)
		var list []edge.ServiceTwin
		if status == 200 {
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
		}
		var names []string
		for _, twin := range list {
			names = append(names, edge.Identity{Device: twin.DeviceID, Module: twin.ModuleID}.String())
		}
		if got := strings.Join(names, " "); status != c.status || got != c.names || header.Get("x-ms-continuation") != c.more {
			t.Errorf("%s %v: got %d %q continue %q", c.query, c.headers, status, got, header.Get("x-ms-continuation"))
		}
	}
}

// sign makes a service token by hand.
func sign(h *edge.Hub, audience, policy string, life time.Duration) string {
	expiry := strconv.FormatInt(time.Now().Add(life).Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(h.PolicyKey(edge.PolicyName))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(audience + "\n" + expiry))
	return "SharedAccessSignature sr=" + audience + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) +
		"&skn=" + policy + "&se=" + expiry
}

func TestTheGuardAsksForATokenOfTheHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	caller, err := h.Sign(edge.Identity{Device: "edge", Module: "n"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(h, "hub.example", "iothubowner", time.Hour)
	for _, c := range []struct {
		name, method, path, token, caller string
		status                            int
	}{
		{"the name that was dialled", "GET", "/devices/edge", good, "", 200},
		{"the hub's own name", "GET", "/devices/edge", sign(h, h.IoTHub(), "iothubowner", time.Hour), "", 200},
		{"encoded", "GET", "/devices/edge", sign(h, "hub%2Eexample", "iothubowner", time.Hour), "", 200},
		{"with a port", "GET", "/devices/edge", sign(h, "hub.example:443", "iothubowner", time.Hour), "", 200},
		{"no token", "GET", "/devices/edge", "", "", 401},
		{"another hub's", "GET", "/devices/edge", sign(h, "else.example", "iothubowner", time.Hour), "", 401},
		{"another policy", "GET", "/devices/edge", sign(h, "hub.example", "device", time.Hour), "", 401},
		{"expired", "GET", "/devices/edge", sign(h, "hub.example", "iothubowner", -time.Hour), "", 401},
		{"a wrong signature", "GET", "/devices/edge", strings.Replace(good, "sig=", "sig=AAAA", 1), "", 401},
		{"a device's token", "GET", "/devices/edge", caller, "", 401},
		{"a module's call", "POST", "/twins/edge/modules/m/methods", caller, "edge/n", 404}, // m is not connected
		{"a module's call with the hub's token", "POST", "/twins/edge/modules/m/methods", good, "edge/n", 401},
		{"a module that reads", "GET", "/devices/edge", caller, "edge/n", 401},
		{"a module that posts elsewhere", "POST", "/devices/query", caller, "edge/n", 401},
	} {
		status, body, _ := ask(service.New(h).Guarded(), c.method, c.path, `{"methodName":"x","query":"SELECT * FROM devices"}`,
			"Authorization", c.token, "x-ms-edge-moduleId", c.caller)
		if status != c.status {
			t.Errorf("%s: got %d %s", c.name, status, body)
		}
	}
}
