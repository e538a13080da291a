package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codecs"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
)

// planted are secrets that all have this in them.
const planted = "PLANTED"

// shown tells whether text has a planted secret in it, in a usual form.
func shown(text string) string {
	for _, form := range []string{
		planted, hex.EncodeToString([]byte(planted)), strings.ToUpper(hex.EncodeToString([]byte(planted))),
		// Base64 of a text depends on where in it the word begins.
		base64.StdEncoding.EncodeToString([]byte(planted))[:8], base64.StdEncoding.EncodeToString([]byte("x" + planted))[2:9],
		base64.StdEncoding.EncodeToString([]byte("xx" + planted))[3:10],
	} {
		if at := strings.Index(text, form); at >= 0 {
			return text[max(0, at-100):min(len(text), at+100)]
		}
	}
	return ""
}

// loudGateway is a gateway that logs everything into a writer.
func loudGateway(t *testing.T, env config.Environment, out io.Writer) *Gateway {
	t.Helper()
	level, err := observe.NewLevel("verbose")
	if err != nil {
		t.Fatal(err)
	}
	registry, err := codecs.All()
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{
		Environment: env, Version: "1.2.3", Log: observe.NewLogger(out, level), Level: level, Registry: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Secrets are put wherever one can be configured or sent, and everything that the
// gateway says or keeps is looked through for them.
func TestNoSecretIsShownAnywhere(t *testing.T) {
	var asked bytes.Buffer
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(&asked, "%s %s %s\n", r.Header.Get("Authorization"), r.Header.Get("X-Key"), b)
		if strings.Contains(string(b), `"http-1"`) {
			w.WriteHeader(http.StatusOK)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, `{"reason":"wrong: %s"}`, b) // a service that says too much
	}))
	defer service.Close()
	t.Setenv("CAUSEWAY_TEST_KEY", "PLANTED-in-the-environment")
	env := environment(t)
	log := &lines{}
	g := loudGateway(t, env, log)
	stop := run(t, g)

	chain := `,"authentication":{
		"a-few": {"kind":"secret","order":1,"settings":{"devices":{"twin-1":{"text":"PLANTED-in-the-twin"},"env-1":{"env":"CAUSEWAY_TEST_KEY"}}}},
		"b-own": {"kind":"database","order":2},
		"c-token": {"kind":"jwt","order":3,"settings":{"keys":{"k":{"secret":{"text":"PLANTED-key-of-tokens-0123456789abcdef"}}}}},
		"d-ask": {"kind":"http","order":4,"settings":{"url":"` + service.URL + `","plain":true,
			"headers":{"Authorization":"Bearer PLANTED-in-a-header","X-Key":{"env":"CAUSEWAY_TEST_KEY"}}}}}`
	const more = `,"quarantine":{"frames":8}`
	x := guardedDevices(t, g, chain+more)
	x.call("putDevice", `{"deviceId":"own-1","password":"PLANTED-in-the-database"}`, 200)
	x.call("putDevice", `{"deviceId":"own-2","password":["PLANTED-misplaced"]}`, 400)
	x.call("putDevice", `{"deviceId":"own-2","hash":"PLANTED-no-hash"}`, 422)
	x.call("importDevices", `{"devices":[{"id":"own-2","password":"PLANTED-import"}]}`, 422)

	for _, listener := range []string{"tcp", "udp"} {
		for _, id := range []string{"twin-1 PLANTED-in-the-twin", "env-1 PLANTED-in-the-environment", "own-1 PLANTED-in-the-database", "http-1 PLANTED-for-http"} {
			c := x.client(listener)
			c.say("login "+id, "welcome")
			c.say("note a", "OK")
			c.send("garbage with the secret " + strings.Fields(id)[1]) // malformed, after the login
			c.send("garbage without it")
		}
		for _, id := range []string{"twin-1", "own-1", "http-2", "token-1", "nobody"} {
			x.client(listener).say("login "+id+" PLANTED-wrong", "no")
		}
		x.client(listener).say("login token-1 eyJhbGciOiJIUzI1NiJ9.e30.PLANTED", "no")
		x.client(listener).send("logn twin-1 PLANTED-in-a-slip")
	}
	eventually(t, "what may be kept is a dead letter", func() bool { return g.letters.ring.Stats().Count == 8 })

	// Quarantine, of devices that say their secret again and again.
	x.desire(`,"authentication":{"a":{"kind":"pattern","settings":{"match":"none"}}}`+more, `,"unknownDevices":"quarantine"`)
	for _, listener := range []string{"tcp", "udp"} {
		c := x.client(listener)
		c.say("login new-"+listener+" PLANTED-stranger", "welcome")
		c.send("login new-" + listener + " PLANTED-stranger")
		c.send("note " + base64.StdEncoding.EncodeToString([]byte("PLANTED-stranger")))
	}
	eventually(t, "their frames are listed", func() bool {
		b, _ := json.Marshal(x.call("listQuarantine", "", 200))
		return strings.Count(string(b), hex.EncodeToString([]byte("login new"))) == 2
	})

	// Documents with faults, whose secrets are not where they belong.
	for i, bad := range []string{
		`{"authentication":{"a":{"kind":"secret","settings":{"devices":{"d":"PLANTED-misplaced"}}}}}`,
		`{"authentication":{"a":{"kind":"secret","settings":{"devices":{"d":{"text":"PLANTED"}}}}}}`,
		`{"authentication":{"a":{"kind":"jwt","settings":{"keys":{"k":"PLANTED-misplaced"}}}}}`,
		`{"authentication":{"a":{"kind":"http","settings":{"url":"` + service.URL + `","plain":true,"headers":{"A":["PLANTED-misplaced"]}}}}}`,
		`{"authentication":{"a":{"kind":"secret","settings":{"devices":{"d":{"text":"PLANTED-long-enough"}}}},"b":{"kind":"none"}}}`,
		`{"registration":{"url":"` + service.URL + `","plain":true,"headers":{"A":{"text":7}},"body":"PLANTED"}}`,
	} {
		g.applyDesired(json.RawMessage(bad), int64(100+i))
		if g.status.Code != 400 {
			t.Errorf("%s is taken", bad)
		}
		if found := shown(g.status.Description); found != "" {
			t.Errorf("the status of a document shows %s", found)
		}
	}

	x.desire(chain, "") // the one that is kept
	said := sayings(t, g, nil)
	stop()
	said = append(said, "log: "+log.text.String())
	for _, text := range said {
		if found := shown(text); found != "" {
			t.Errorf("%.20s shows %s", text, found)
		}
	}
	if !strings.Contains(log.text.String(), "kind=identity") {
		t.Error("the log says nothing of logins")
	}
	if asked.Len() == 0 || shown(asked.String()) == "" {
		t.Error("the service was not asked")
	}
	lookThrough(t, env.DataDir)
}

// lookThrough reads what is kept on disk. The document has secrets in it, and is for its
// owner only.
func lookThrough(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if kept := d.Name() == "lastgood.json"; kept && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", d.Name(), info.Mode())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := shown(string(b)); (found != "") != (d.Name() == "lastgood.json") {
			t.Errorf("%s shows %q", d.Name(), found)
		}
		return nil
	})
	if err != nil || files < 2 {
		t.Errorf("%d files, %v", files, err)
	}
}
