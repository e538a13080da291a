package sim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// serve asks the service side with a token made of the connection string.
func serve(t *testing.T, e *sim.Edge, method, path, body string) (int, string) {
	t.Helper()
	fields := map[string]string{}
	for _, part := range strings.Split(e.ServiceConnectionString(), ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	key, err := base64.StdEncoding.DecodeString(fields["SharedAccessKey"])
	if err != nil {
		t.Fatal(err)
	}
	expiry := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(fields["HostName"] + "\n" + expiry))
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+fields["HostName"]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "SharedAccessSignature sr="+fields["HostName"]+"&sig="+
		url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))+"&skn="+fields["SharedAccessKeyName"]+"&se="+expiry)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(t, e), DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestTheServiceSideKeepsItsKeyAndItsDevices(t *testing.T) {
	t.Parallel()
	opts := sim.Options{State: t.TempDir()}
	e, err := sim.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	before := e.ServiceConnectionString()
	if status, body := serve(t, e, "PUT", "/devices/d", `{"status":"disabled","statusReason":"old"}`); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = start(t, opts)
	if after := e.ServiceConnectionString(); after != before {
		t.Fatalf("%s became %s", before, after)
	}
	status, body := serve(t, e, "GET", "/devices/d", "")
	if status != 200 || !strings.Contains(body, `"status":"disabled","statusReason":"old"`) || strings.Contains(body, "deviceScope") {
		t.Fatalf("got %d %s", status, body)
	}
}

func TestTheServiceSideStaysWhenTheHubIsDown(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Modules: []string{"m"}})
	if err := e.Down(true); err != nil {
		t.Fatal(err)
	}
	if status, body := serve(t, e, "GET", "/twins/edge/modules/m", ""); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
}

// clientTLS trusts the simulator's root.
func clientTLS(t *testing.T, e *sim.Edge) *tls.Config {
	t.Helper()
	root, err := os.ReadFile(e.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &tls.Config{RootCAs: pool}
}
