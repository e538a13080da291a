package authenticate

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// web is a service that answers, and remembers what it was asked.
type web struct {
	*httptest.Server
	mu       sync.Mutex
	asked    []*http.Request
	bodies   []string
	requests atomic.Int32
}

func served(tb testing.TB, answer http.HandlerFunc) *web {
	tb.Helper()
	w := &web{}
	w.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.asked, w.bodies = append(w.asked, r), append(w.bodies, string(body))
		w.mu.Unlock()
		answer(rw, r)
	}))
	tb.Cleanup(w.Close)
	return w
}

// settings are those for the service: its URL with a path, its certificate, and more.
func (w *web) settings(path, more string) string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw})
	text, _ := json.Marshal(string(ca))
	return fmt.Sprintf(`{"url":%q,"ca":{"text":%s}%s}`, w.URL+path, text, more)
}

func replies(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnAnswerOfAServiceIsAVerdict(t *testing.T) {
	const js = "application/json; charset=utf-8"
	for _, c := range []struct {
		status     int
		kind, body string
		want       Decision
		reason     string
		fails      bool
	}{
		{200, "", "", Allow, "status 200", false},
		{204, "", "", Allow, "status 204", false},
		{200, "text/plain", "\r\n", Allow, "status 200", false},
		{200, "text/html", "<h1>Log in</h1>", 0, "", true}, // a proxy's, maybe
		{200, "text/plain", "OK", 0, "", true},
		{201, "", "created", 0, "", true},
		{200, "text/plain", `{"result":"deny","reason":"not paid"}`, Deny, "not paid", false},
		{200, "", `{"result":"next"}`, Next, "", false},
		{200, "application/octet-stream", ` {"result":"allow"}`, Allow, "", false},
		{200, js, `null`, 0, "", true},
		{403, "text/plain", `{"reason":"stolen"}`, Deny, "stolen", false},
		{401, "", "", Deny, "status 401", false},
		{403, js, `{"reason":"stolen"}`, Deny, "stolen", false},
		{403, js, `{"result":"allow"}`, Deny, "status 403", false},
		{403, js, `no JSON`, Deny, "status 403", false},
		{404, js, `{"result":"allow"}`, Next, "status 404", false},
		{200, js, `{"result":"deny","reason":"not paid"}`, Deny, "not paid", false},
		{200, js, `{"result":"next"}`, Next, "", false},
		{200, js, `{"more":1}`, Allow, "", false},
		{200, "application/problem+json", `{"result":"deny"}`, Deny, "", false},
		{200, js, `{"result":"Deny"}`, 0, "", true},
		{200, js, `{"result":1}`, 0, "", true},
		{200, js, `["allow"]`, 0, "", true},
		{200, js, `{"result":"deny"`, 0, "", true},
		{200, js, `{"expiresAt":"tomorrow"}`, 0, "", true},
		{200, "", strings.Repeat("x", maxAnswer+1), 0, "", true},
		{302, "", "", 0, "", true},
		{429, "", "", 0, "", true},
		{500, js, `{"result":"allow"}`, 0, "", true},
	} {
		w := served(t, replies(c.status, c.kind, c.body))
		v, err := made(t, "http", w.settings("/", ""), deps()).Authenticate(t.Context(), Request{Device: "d"})
		if (err != nil) != c.fails || v.Proven != (v.Decision == Allow) || v.Decision != c.want || c.reason != "" && v.Reason != c.reason {
			t.Errorf("%d %s %.40q: %+v, %v", c.status, c.kind, c.body, v, err)
		}
	}
}

func TestAClaimIsEscapedAsItsPlaceDemands(t *testing.T) {
	claim := Request{
		Device: `a/b?c&d="{secret}" é`, Listener: "trackers", Secret: "s&cret=\"\\", Remote: netip.MustParseAddr("::ffff:192.0.2.1"),
	}
	w := served(t, replies(200, "", ""))
	settings := w.settings("/v1/{device}/x?l={listener}&s={secret}&d={device}",
		`,"headers":{"X-Device":"id={device}","Authorization":{"env":"TOKEN"}},"body":{"who":["{device}",{"n":1.50}],"from":"at {remote}"}`)
	if v, err := made(t, "http", settings, deps()).Authenticate(t.Context(), claim); err != nil || v.Decision != Allow {
		t.Fatal(v, err)
	}
	r := w.asked[0]
	if want := "/v1/" + url.PathEscape(claim.Device) + "/x"; r.URL.EscapedPath() != want {
		t.Errorf("path %q, want %q", r.URL.EscapedPath(), want)
	}
	q := r.URL.Query()
	if len(q) != 3 || q.Get("l") != "trackers" || q.Get("s") != claim.Secret || q.Get("d") != claim.Device {
		t.Errorf("query %v", q)
	}
	if got := r.Header.Get("X-Device"); got != "id="+claim.Device {
		t.Errorf("header %q", got)
	}
	if got := r.Header.Get("Authorization"); got != "a-token-of-24-characters" {
		t.Errorf("header %q", got)
	}
	var body struct {
		Who  []any
		From string
	}
	if err := json.Unmarshal([]byte(w.bodies[0]), &body); err != nil || body.Who[0] != claim.Device || body.From != "at 192.0.2.1" {
		t.Errorf("body %s, %v", w.bodies[0], err)
	}
	if !strings.Contains(w.bodies[0], "1.50") {
		t.Errorf("a number changed: %s", w.bodies[0])
	}
}

func TestTheUsualBodyHasTheWholeClaim(t *testing.T) {
	w := served(t, replies(200, "", ""))
	claim := Request{Device: "d", Listener: "l", Secret: "s", Remote: netip.MustParseAddr("192.0.2.1")}
	if _, err := made(t, "http", w.settings("", ""), deps()).Authenticate(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if want := `{"device":"d","listener":"l","remote":"192.0.2.1","secret":"s"}`; w.bodies[0] != want {
		t.Errorf("body %s, want %s", w.bodies[0], want)
	}
}

func TestAClaimThatCannotBeSentIsRefusedWithoutARequest(t *testing.T) {
	w := served(t, replies(200, "", ""))
	for _, c := range []struct {
		path, more string
		claim      Request
	}{
		{"/{device}/x", "", Request{Device: ".."}},
		{"/x/.{device}", "", Request{Device: "."}},
		{"/", `,"headers":{"X":"{secret}"}`, Request{Secret: "a\r\nX-Admin: yes"}},
		{"/", "", Request{Device: "bad \xff bytes"}},
		{"/", "", Request{Device: strings.Repeat("x", maxDevice+1)}},
		{"/", "", Request{Secret: strings.Repeat("x", maxSecret+1)}},
	} {
		v, err := made(t, "http", w.settings(c.path, c.more), deps()).Authenticate(t.Context(), c.claim)
		if err != nil || v.Decision != Deny {
			t.Errorf("%s %s %v: %+v, %v", c.path, c.more, c.claim, v, err)
		}
	}
	if w.requests.Load() != 0 {
		t.Errorf("%d requests", w.requests.Load())
	}
}

func TestAVerdictIsKeptForItsTime(t *testing.T) {
	now := noon
	d := deps()
	d.Now = func() time.Time { return now }
	w := served(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("s") {
		case "right":
			replies(200, "", "")(rw, r)
		case "brief":
			replies(200, "application/json", `{"expiresAt":"`+noon.Add(20*time.Second).Format(time.RFC3339)+`"}`)(rw, r)
		case "broken":
			replies(500, "", "")(rw, r)
		default:
			replies(403, "", "")(rw, r)
		}
	})
	a := made(t, "http", w.settings("/?d={device}&s={secret}", `,"method":"GET"`), d)
	ask := func(after time.Duration, secret, listener string, want Decision, requests int32) {
		t.Helper()
		now = noon.Add(after)
		before := w.requests.Load()
		v, _ := a.Authenticate(t.Context(), Request{Device: "d", Secret: secret, Listener: listener})
		if v.Decision != want || w.requests.Load()-before != requests {
			t.Errorf("%s after %s: %+v by %d requests", secret, after, v, w.requests.Load()-before)
		}
	}
	ask(0, "right", "l", Allow, 1)
	ask(299*time.Second, "right", "l", Allow, 0)
	ask(299*time.Second, "right", "other", Allow, 0) // the listener is not sent
	ask(299*time.Second, "righ", "l", Deny, 1)
	ask(300*time.Second, "right", "l", Allow, 1)
	ask(0, "wrong", "l", Deny, 1)
	ask(9*time.Second, "wrong", "l", Deny, 0)
	ask(10*time.Second, "wrong", "l", Deny, 1)
	ask(0, "brief", "l", Allow, 1)
	ask(19*time.Second, "brief", "l", Allow, 0)
	ask(21*time.Second, "brief", "l", Allow, 1)
	ask(0, "broken", "l", Next, 1)
	ask(0, "broken", "l", Next, 1)
}

func TestAServiceThatFailsIsSparedAndTriedAgain(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	w := served(t, func(rw http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			rw.WriteHeader(http.StatusBadGateway)
		}
	})
	a := made(t, "http", w.settings("/", `,"breaker":{"failures":3,"openSeconds":1},"cache":{"allowSeconds":0}`), deps())
	for range 10 {
		if v, err := a.Authenticate(t.Context(), Request{}); err == nil || v.Decision != Next {
			t.Fatal(v, err)
		}
	}
	if n := w.requests.Load(); n != 3 {
		t.Errorf("%d requests to a service that failed 3 times", n)
	}
	broken.Store(false)
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		v, err := a.Authenticate(t.Context(), Request{})
		if err == nil && v.Decision == Allow {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the service was not tried again")
		}
	}
}

func TestAnIDThatTheServiceCannotTakeKeepsNoOtherOut(t *testing.T) {
	w := served(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("d") == "odd" {
			rw.WriteHeader(http.StatusUnprocessableEntity)
		}
	})
	a := made(t, "http", w.settings("/?d={device}", `,"breaker":{"failures":1}`), deps())
	for range 3 {
		if v, err := a.Authenticate(t.Context(), Request{Device: "odd"}); err == nil || v.Decision != Next {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if v, err := a.Authenticate(t.Context(), Request{Device: "even"}); err != nil || v.Decision != Allow {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestADeviceThatHangsUpDoesNotSpeakAgainstTheService(t *testing.T) {
	hold := make(chan struct{})
	var once sync.Once
	arrived := make(chan struct{})
	w := served(t, func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(arrived) })
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	a := made(t, "http", w.settings("/", `,"breaker":{"failures":1}`), deps())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := a.Authenticate(ctx, Request{})
		done <- err
	}()
	<-arrived
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(hold)
	if v, err := a.Authenticate(t.Context(), Request{}); err != nil || v.Decision != Allow {
		t.Errorf("the next device: %+v, %v", v, err)
	}
}

func TestACertificateThatCannotBeVerifiedIsNoAnswer(t *testing.T) {
	w := served(t, replies(200, "", ""))
	w.Config.ErrorLog = nil
	v, err := made(t, "http", fmt.Sprintf(`{"url":%q}`, w.URL), deps()).Authenticate(t.Context(), Request{})
	if err == nil || v.Decision != Next || w.requests.Load() != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAPlainServiceHasToBeAllowedByName(t *testing.T) {
	w := httptest.NewServer(replies(200, "", ""))
	defer w.Close()
	a := made(t, "http", fmt.Sprintf(`{"url":%q,"plain":true}`, w.URL), deps())
	if v, err := a.Authenticate(t.Context(), Request{}); err != nil || v.Decision != Allow {
		t.Errorf("%+v, %v", v, err)
	}
}

// echoes sends back what it was sent, in a line that is no answer of HTTP.
func echoes(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, _ := c.Read(b)
			head, _, _ := strings.Cut(string(b[:n]), "\r\n")
			_, _ = io.WriteString(c, head+"\r\n\r\n")
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return "http://" + l.Addr().String()
}
