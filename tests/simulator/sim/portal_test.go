package sim_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

func TestThePortalIsServedBesideTheControlAPI(t *testing.T) {
	t.Parallel()
	e, err := sim.Start(t.Context(), sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(url, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	for _, url := range []string{e.Portal(), e.Control(), e.Control() + "/"} {
		if status, body := get(url, ""); status != http.StatusOK || !strings.Contains(body, "<title>") {
			t.Errorf("%s: got %d", url, status)
		}
	}
	if status, _ := get(e.Portal(), "rebound.example"); status != http.StatusForbidden {
		t.Errorf("by another name: got %d", status)
	}
	if _, body := get(e.Portal()+"overview", ""); !strings.Contains(body, `"listening":true`) {
		t.Errorf("got %s", body)
	}
	if err := e.Down(false); err != nil {
		t.Fatal(err)
	}
	if _, body := get(e.Portal()+"overview", ""); !strings.Contains(body, `"listening":false`) {
		t.Errorf("with the hub down: %s", body)
	}
}
