package portal_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/portal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type heads bool

func (h heads) Listening() bool { return bool(h) }

func module(name string) edge.Identity { return edge.Identity{Device: "edge", Module: name} }

// serve starts a hub with the modules m and n, and its portal.
func serve(t *testing.T, opts portal.Options) (*edge.Hub, string) {
	t.Helper()
	h, err := edge.New(edge.Options{KeepMessages: 50_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	for _, id := range []edge.Identity{module("m"), module("n"), {Device: "leaf"}} {
		if err := h.AddIdentity(id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.SetRoutes([]edge.Route{{Name: "all", Text: "FROM /* INTO $upstream"}}, 0); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(portal.New(h, heads(true), opts))
	s.Config.ReadTimeout = time.Second // a feed outlives it
	s.Start()
	t.Cleanup(s.Close)
	return h, s.URL
}

func publish(t *testing.T, h *edge.Hub, from edge.Identity, messages ...edge.Message) {
	t.Helper()
	if err := h.Publish(t.Context(), from, messages); err != nil {
		t.Fatal(err)
	}
}

func many(n int) []edge.Message {
	list := make([]edge.Message, n)
	for i := range list {
		list[i] = edge.Message{Output: "o", Body: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return list
}

// event is what the page reads; written down here, since the page depends on the names.
type event struct {
	Rows []struct {
		Sequence   uint64            `json:"sequence"`
		Module     string            `json:"module"`
		Output     string            `json:"output"`
		Preview    string            `json:"preview"`
		Binary     bool              `json:"binary"`
		Size       int               `json:"size"`
		Properties map[string]string `json:"properties"`
	} `json:"rows"`
	Scanned  uint64 `json:"scanned"`
	Matched  uint64 `json:"matched"`
	Passed   uint64 `json:"passed"`
	Sequence uint64 `json:"sequence"`
}

type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	// size is that of the last event, in bytes.
	size int
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func watch(t *testing.T, url string) *stream {
	t.Helper()
	answer := get(t, url)
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("got %d %s", answer.StatusCode, kind)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	return &stream{t: t, lines: lines}
}

// next returns the next event.
func (s *stream) next() event {
	s.t.Helper()
	for s.lines.Scan() {
		if text, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			var e event
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				s.t.Fatal(err)
			}
			s.size = len(text)
			return e
		}
	}
	s.t.Fatalf("the stream ended: %v", s.lines.Err())
	return event{}
}
