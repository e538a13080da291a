package service_test

import (
	"net/http"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/service"
)

// FuzzRequests sends any body to the places that read one: a wrong one is the caller's
// mistake, and never the server's. Methods are left out, since they may wait for minutes.
func FuzzRequests(f *testing.F) {
	places := []struct{ method, path string }{
		{"PUT", "/devices/d"}, {"PUT", "/devices/edge/modules/m"}, {"POST", "/devices"}, {"POST", "/devices/query"},
		{"PATCH", "/twins/edge/modules/m"}, {"PUT", "/twins/edge"},
	}
	for i, body := range []string{
		`{"deviceId":"d","status":"disabled","authentication":{"symmetricKey":{"primaryKey":""}}}`, `{"managedBy":"x"}`,
		`[{"id":"a","importMode":"create"},{"id":"a","importMode":"delete","eTag":"x"}]`,
		`{"query":"SELECT * FROM devices WHERE deviceId = 'a'"}`, `{"tags":{"a":null},"properties":{"desired":{"b":[1]}}}`,
		`{"properties":{}}`, `[`, `null`,
	} {
		f.Add(uint8(i), body, "*")
	}
	f.Fuzz(func(t *testing.T, place uint8, body, match string) {
		p := places[int(place)%len(places)]
		headers := []string{"If-Match", match}
		if match == "" {
			headers = nil
		}
		status, text, _ := ask(service.New(newHub(t)), p.method, p.path, body, headers...)
		if status >= http.StatusInternalServerError {
			t.Fatalf("%s %s of %q: %d %s", p.method, p.path, body, status, text)
		}
	})
}
