package identity

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// service is an HTTP server for the test's length, and the source that asks it.
func service(t *testing.T, more string, handler http.HandlerFunc) Source {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return source(t, `{"kind":"http","url":"`+server.URL+`/devices/{device}?code=planted-code"`+more+`}`,
		surroundings(map[string]string{"TOKEN": "Bearer planted-token"}, nil))
}

func TestAKeyIsLookedUpOverHTTP(t *testing.T) {
	chain, private := certificate(t, "a", time.Now().Add(time.Hour))
	pair, err := json.Marshal(map[string]string{"certificate": chain, "privateKey": private})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status int
		answer string
		kind   string
		err    error
		why    string
	}{
		"a key":              {200, `{"key":"` + planted + `","more":1}`, "symmetric key", nil, ""},
		"a certificate":      {200, string(pair), "certificate", nil, ""},
		"no such device":     {404, `{"key":"` + planted + `"}`, "", ErrUnknown, ""},
		"both":               {200, strings.Replace(string(pair), "{", `{"key":"`+planted+`",`, 1), "", ErrUnavailable, "either key"},
		"neither":            {200, `{}`, "", ErrUnavailable, "either key"},
		"half a pair":        {200, `{"certificate":"x"}`, "", ErrUnavailable, "either key"},
		"no object":          {200, `["` + planted + `"]`, "", ErrUnavailable, "no JSON object"},
		"no text":            {200, `{"key":5}`, "", ErrUnavailable, "no JSON object"},
		"no JSON":            {200, planted, "", ErrUnavailable, "no JSON object"},
		"no base64":          {200, `{"key":"` + planted + `!"}`, "", ErrUnavailable, "not base64"},
		"no certificate":     {200, `{"certificate":"` + planted + `","privateKey":"` + planted + `"}`, "", ErrUnavailable, "the certificate"},
		"too much":           {200, `{"key":"` + strings.Repeat(planted, 2000) + `"}`, "", ErrUnavailable, "more than 65536"},
		"a redirection":      {302, `{"key":"` + planted + `"}`, "", ErrUnavailable, "status 302"},
		"not allowed":        {401, planted, "", ErrUnavailable, "status 401"},
		"broken":             {500, planted, "", ErrUnavailable, "status 500"},
		"too many questions": {429, planted, "", ErrUnavailable, "status 429"},
	} {
		t.Run(name, func(t *testing.T) {
			s := service(t, "", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere/"+planted)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			})
			got, err := s.Credential(t.Context(), "a")
			wraps(t, err, c.err)
			if err == nil && got.String() != c.kind {
				t.Errorf("it is a %v", got)
			}
			if err != nil && (!strings.Contains(err.Error(), c.why) || showsPlanted(err.Error())) {
				t.Errorf("error is %v, want it to say %q and to show nothing planted", err, c.why)
			}
		})
	}
}

func TestTheRequestHasTheIdEscapedAndItsHeaders(t *testing.T) {
	var seen []string
	s := service(t, `,"headers":{"Authorization":{"env":"TOKEN"},"X-Site":{"text":"north"}}`,
		func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.URL.Path, " ",
				r.Header.Get("Authorization"), " ", r.Header.Get("X-Site")))
			http.NotFound(w, r)
		})
	for _, device := range []string{"a", "a+b#c?d%e@f"} {
		_, err := s.Credential(t.Context(), device)
		wraps(t, err, ErrUnknown)
	}
	want := []string{
		"GET /devices/a?code=planted-code /devices/a Bearer planted-token north",
		"GET /devices/a%2Bb%23c%3Fd%25e%40f?code=planted-code /devices/a+b#c?d%e@f Bearer planted-token north",
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("asked %q\nwant %q", seen, want)
	}
}

func TestAnswersAreKeptSoThatATokenDoesNotCostAQuestion(t *testing.T) {
	var asked atomic.Int32
	s := service(t, "", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"key":"` + planted + `"}`))
	})
	for range 3 {
		if _, err := s.Credential(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAServiceThatFailsIsLeftAloneForAWhile(t *testing.T) {
	var asked atomic.Int32
	s := service(t, "", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	var err error
	for i := range 3 * maxFailures {
		_, err = s.Credential(t.Context(), fmt.Sprint("device-", i))
		wraps(t, err, ErrUnavailable)
	}
	if n := asked.Load(); n != maxFailures {
		t.Errorf("asked %d times", n)
	}
	wraps(t, err, ErrUnavailable, "asked again after 30s")
}

// What is wrong with one device is no fault of the service.
func TestAnswersThatAreWrongDoNotBreakTheCircuit(t *testing.T) {
	var asked atomic.Int32
	s := service(t, "", func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%2 == 0 {
			http.NotFound(w, r)
		}
	})
	for i := range 3 * maxFailures {
		if _, err := s.Credential(t.Context(), fmt.Sprint("device-", i)); err == nil {
			t.Error("no error")
		}
	}
	if n := asked.Load(); n != 3*maxFailures {
		t.Errorf("asked %d times", n)
	}
}

func TestASilentServiceCostsItsTimeoutOnly(t *testing.T) {
	released := make(chan struct{})
	s := service(t, `,"timeoutSeconds":1`, func(http.ResponseWriter, *http.Request) { <-released })
	defer close(released)
	begun := time.Now()
	_, err := s.Credential(t.Context(), "a")
	if wraps(t, err, ErrUnavailable); time.Since(begun) < time.Second || showsPlanted(err.Error()) {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}

func TestAServiceThatIsNotThereIsUnavailableAndItsAddressIsNotShown(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	s := source(t, `{"kind":"http","url":"`+server.URL+`/{device}?code=planted-code"}`, surroundings(nil, nil))
	_, err := s.Credential(t.Context(), "a")
	if wraps(t, err, ErrUnavailable, "refused"); showsPlanted(err.Error()) {
		t.Errorf("shows the address: %v", err)
	}
}

// The questions that are under way are bounded; the rest waits as long as its context.
func TestLookupsAtATimeAreBounded(t *testing.T) {
	const many = maxLookups + 4
	arrived, released := make(chan struct{}, many), make(chan struct{})
	s := service(t, "", func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-released
		http.NotFound(w, r)
	})
	ended := make(chan error, many)
	for i := range maxLookups {
		go func() { _, err := s.Credential(t.Context(), fmt.Sprint("device-", i)); ended <- err }()
	}
	for range maxLookups {
		<-arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Credential(ctx, "one-more")
	wraps(t, err, ErrUnavailable, "canceled")
	close(released)
	for range maxLookups {
		wraps(t, <-ended, ErrUnknown)
	}
	if len(arrived) != 0 {
		t.Error("one more was asked for")
	}
}

func TestAServiceOverTLSIsTrustedByItsOwnCA(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"key":"` + planted + `"}`))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake that is refused is no news
	server.StartTLS()
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	with := surroundings(nil, map[string]string{"/certs/ca.pem": string(ca)})
	url := `"kind":"http","url":"` + server.URL + `/{device}"`
	c, err := source(t, `{`+url+`,"ca":"/certs/ca.pem"}`, with).Credential(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, c, planted)
	_, err = source(t, `{`+url+`}`, with).Credential(t.Context(), "a")
	wraps(t, err, ErrUnavailable, "certificate")
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"key":"` + planted + `"}`))
	f.Add([]byte(`{"certificate":"-----BEGIN CERTIFICATE-----","privateKey":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseAnswer(body)
		if (err == nil) != (c.Sign != nil || c.Certificate != nil) || c.Sign != nil && c.Certificate != nil {
			t.Fatalf("%v, %v", c, err)
		}
	})
}
