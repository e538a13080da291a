package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

type health struct {
	stuck    atomic.Bool
	notReady atomic.Bool
	details  any
}

func (h *health) Alive() error {
	if h.stuck.Load() {
		return errors.New("main loop stands still for 30s")
	}
	return nil
}

func (h *health) Ready() (bool, any) { return !h.notReady.Load(), h.details }

func serve(t *testing.T, h Health) (*Server, string) {
	t.Helper()
	s, err := Serve(t.Context(), "127.0.0.1:0", testMetrics(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestHealthAndReadinessSayWhatTheGatewaySays(t *testing.T) {
	h := &health{details: map[string]any{"hub": map[string]any{"connected": false}}}
	_, url := serve(t, h)
	expect := func(path string, status int, body string) {
		t.Helper()
		if s, b := get(t, url+path); s != status || !strings.Contains(b, body) {
			t.Errorf("%s gives %d %s, want %d %s", path, s, b, status, body)
		}
	}
	expect("/healthz", 200, `{"alive":true}`)
	expect("/readyz", 200, `{"details":{"hub":{"connected":false}},"ready":true}`)
	h.stuck.Store(true)
	h.notReady.Store(true)
	expect("/healthz", 503, `main loop stands still`)
	expect("/readyz", 503, `"ready":false`)
	expect("/metrics", 200, "causeway_build_info")
	expect("/other", 404, "")
}

func TestDetailsThatDoNotEncodeAreAnError(t *testing.T) {
	_, url := serve(t, &health{details: func() {}})
	if status, _ := get(t, url+"/readyz"); status != 500 {
		t.Errorf("status %d", status)
	}
}

func TestCheckPassesOnlyOn200(t *testing.T) {
	h := new(health)
	s, url := serve(t, h)
	if err := Check(t.Context(), url+"/healthz"); err != nil {
		t.Error(err)
	}
	h.stuck.Store(true)
	if err := Check(t.Context(), url+"/healthz"); err == nil || !strings.Contains(err.Error(), "main loop stands still") {
		t.Errorf("error is %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), url+"/healthz"); err == nil {
		t.Error("a closed server is healthy")
	}
	for _, bad := range []string{"://", "http://127.0.0.1:0/"} {
		if err := Check(t.Context(), bad); err == nil {
			t.Errorf("%s is healthy", bad)
		}
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	var config net.ListenConfig
	silent, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts by the backlog, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Check(ctx, "http://"+silent.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestAnAddressThatIsTakenIsAnErrorThatNamesIt(t *testing.T) {
	s, _ := serve(t, new(health))
	again, err := Serve(t.Context(), s.Addr().String(), testMetrics(), new(health))
	if err == nil || !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("server %v, error %v", again, err)
	}
}

func TestCloseDoesNotWaitForASlowRequestForever(t *testing.T) {
	s, _ := serve(t, new(health))
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: "); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // within closeTime, or the test binary's timeout says so
		t.Error(err)
	}
}
