package workload_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/pki"
	"github.com/causeway-iot/causeway/tests/simulator/state"
	"github.com/causeway-iot/causeway/tests/simulator/workload"
)

type modules map[string][]byte

func (m modules) Key(module string) ([]byte, error) {
	if key, ok := m[module]; ok {
		return key, nil
	}
	return nil, workload.ErrUnknownModule
}

func (m modules) Modules() []string { return []string{"m"} }

func newAPI(tb testing.TB) (*workload.API, *pki.Authority) {
	tb.Helper()
	folder, err := state.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	authority, err := pki.Open(folder)
	if err != nil {
		tb.Fatal(err)
	}
	api, err := workload.New(modules{"m": []byte("key"), "$edgeHub": []byte("hub")}, authority, "hub.net", "edge", make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return api, authority
}

// ask returns the status and the decoded answer.
func ask(tb testing.TB, api http.Handler, method, path, body string) (int, map[string]any) {
	tb.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		tb.Fatalf("content type %q", got)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		tb.Fatalf("%s: %v", w.Body, err)
	}
	return w.Code, answer
}

const version = "?api-version=2018-06-28"

func TestSignIsTheModulesHMAC(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t)
	data := base64.StdEncoding.EncodeToString([]byte("hello"))
	for path, key := range map[string]string{"/modules/m/genid/1/sign": "key", "/modules/%24edgeHub/genid/any/sign": "hub"} {
		status, answer := ask(t, api, "POST", path+version, `{"keyId":"primary","algo":"HMACSHA256","data":"`+data+`"}`)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte("hello"))
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); status != 200 || answer["digest"] != want {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
}

func TestErrorsAreThoseOfTheDaemon(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t)
	cases := []struct {
		name, method, path, body string
		status                   int
	}{
		{"no version", "GET", "/trust-bundle", "", 400},
		{"an unknown version", "GET", "/trust-bundle?api-version=2017-01-01", "", 400},
		{"a wrong method", "POST", "/trust-bundle" + version, "{}", 400},
		{"an unknown path", "GET", "/else" + version, "", 404},
		{"another module", "POST", "/modules/x/genid/1/sign" + version, `{"data":""}`, 403},
		{"no body", "POST", "/modules/m/genid/1/sign" + version, "", 400},
		{"a body that is no JSON", "POST", "/modules/m/genid/1/sign" + version, "x", 400},
		{"bad base64", "POST", "/modules/m/genid/1/sign" + version, `{"data":"!"}`, 400},
		{"a certificate without a name", "POST", "/modules/m/genid/1/certificate/server" + version, `{"expiration":"2100-01-01T00:00:00Z"}`, 400},
		{"a certificate of the past", "POST", "/modules/m/genid/1/certificate/server" + version,
			`{"commonName":"x","expiration":"2000-01-01T00:00:00Z"}`, 400},
		{"an empty text", "POST", "/modules/m/genid/1/encrypt" + version, `{"plaintext":"","initializationVector":"YQ=="}`, 400},
		{"a broken ciphertext", "POST", "/modules/m/genid/1/decrypt" + version, `{"ciphertext":"YWJj","initializationVector":"YQ=="}`, 500},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, answer := ask(t, api, c.method, c.path, c.body)
			if text, _ := answer["message"].(string); status != c.status || text == "" {
				t.Fatalf("got %d %v", status, answer)
			}
		})
	}
}

func TestEncryptedTextsBelongToOneModuleAndGeneration(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t)
	_, sealed := ask(t, api, "POST", "/modules/m/genid/1/encrypt"+version, `{"plaintext":"aGVsbG8=","initializationVector":"aXY="}`)
	body := `{"ciphertext":"` + sealed["ciphertext"].(string) + `","initializationVector":"aXY="}`
	if status, answer := ask(t, api, "POST", "/modules/m/genid/1/decrypt"+version, body); status != 200 || answer["plaintext"] != "aGVsbG8=" {
		t.Fatalf("got %d %v", status, answer)
	}
	if status, _ := ask(t, api, "POST", "/modules/m/genid/2/decrypt"+version, body); status != 500 {
		t.Fatalf("another generation: %d", status)
	}
}

func TestServerCertificatesAreTrusted(t *testing.T) {
	t.Parallel()
	api, authority := newAPI(t)
	status, answer := ask(t, api, "POST", "/modules/m/genid/1/certificate/server"+version,
		`{"commonName":"gateway.local","expiration":"2031-01-01T00:00:00+00:00"}`)
	if status != 201 {
		t.Fatalf("got %d %v", status, answer)
	}
	key := answer["privateKey"].(map[string]any)
	pair, err := tls.X509KeyPair([]byte(answer["certificate"].(string)), []byte(key["bytes"].(string)))
	if err != nil || key["type"] != "key" {
		t.Fatal(err, key["type"])
	}
	for _, name := range []string{"gateway.local", "m"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: authority.Pool(), DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	status, answer = ask(t, api, "POST", "/modules/m/certificate/identity"+version, "")
	if status != 201 || answer["certificate"] == "" {
		t.Fatalf("identity: %d %v", status, answer)
	}
}

func TestModulesAndBundlesAreListed(t *testing.T) {
	t.Parallel()
	api, authority := newAPI(t)
	for _, path := range []string{"/modules", "/modules/"} {
		status, answer := ask(t, api, "GET", path+version, "")
		if list, _ := answer["modules"].([]any); status != 200 || len(list) != 1 {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if _, answer := ask(t, api, "GET", "/trust-bundle"+version, ""); answer["certificate"] != string(authority.PEM()) {
		t.Errorf("bundle %v", answer)
	}
	if _, answer := ask(t, api, "GET", "/manifest-trust-bundle"+version, ""); answer["certificate"] != "" {
		t.Errorf("bundle %v", answer)
	}
}

func TestAMasterKeyHas32Bytes(t *testing.T) {
	t.Parallel()
	if _, err := workload.New(modules{}, nil, "h", "d", make([]byte, 31)); err == nil || errors.Is(err, workload.ErrUnknownModule) {
		t.Fatalf("got %v", err)
	}
}

func FuzzRequests(f *testing.F) {
	api, _ := newAPI(f)
	f.Add("/modules/m/genid/1/sign", `{"data":"YQ=="}`)
	f.Add("/modules/m/genid/1/encrypt", `{"plaintext":"YQ==","initializationVector":"YQ=="}`)
	f.Add("/modules/m/genid/1/decrypt", `{"ciphertext":"YQ==","initializationVector":"YQ=="}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.URL.Path, r.URL.RawQuery = path, "api-version=2018-06-28"
		if strings.Contains(path, "certificate") {
			return // RSA keys are too slow for a fuzzer
		}
		api.ServeHTTP(httptest.NewRecorder(), r)
	})
}
