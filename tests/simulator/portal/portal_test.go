package portal_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/portal"
)

func text(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheFilesOfThePage(t *testing.T) {
	t.Parallel()
	_, url := serve(t, portal.Options{})
	for path, kind := range map[string]string{
		"/portal/": "text/html", "/portal/page.css": "text/css", "/portal/page.js": "text/javascript", "/portal/icon.svg": "image/svg",
	} {
		answer := get(t, url+path)
		if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: got %d %s", path, answer.StatusCode, answer.Header.Get("Content-Type"))
		}
		policy := answer.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %v", path, answer.Header)
		}
	}
	if answer := get(t, url+"/"); answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != "/portal/" {
		t.Errorf("the root: got %d", answer.StatusCode)
	}
}

// The policy would stop these in a browser; here they are found before.
func TestThePageHasNothingInlineAndNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	_, url := serve(t, portal.Options{})
	forbidden := map[string]*regexp.Regexp{
		"/portal/":         regexp.MustCompile(`(?i)https?://|\son[a-z]+=|\sstyle=|<script>|<style|javascript:`),
		"/portal/page.css": regexp.MustCompile(`(?i)https?://|@import|url\(`),
		"/portal/page.js":  regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://`),
	}
	for path, pattern := range forbidden {
		if found := pattern.FindString(text(t, get(t, url+path))); found != "" {
			t.Errorf("%s holds %q", path, found)
		}
	}
}

func TestTheOverview(t *testing.T) {
	t.Parallel()
	h, url := serve(t, portal.Options{})
	publish(t, h, module("m"), edge.Message{Output: "o", Body: []byte("x")})
	if err := h.SetDisabled(module("m"), true); err != nil {
		t.Fatal(err)
	}
	var o struct {
		IoTHub     string `json:"iothub"`
		Listening  bool   `json:"listening"`
		Unlisted   int    `json:"unlisted"`
		Identities []struct {
			Device, Module string
			Connected      bool
			Disabled       bool
			LastSeen       string `json:"lastSeen"`
		} `json:"identities"`
		Routes []struct {
			Name  string `json:"name"`
			Taken int    `json:"taken"`
		} `json:"routes"`
		Stats struct {
			Upstream int `json:"upstream"`
		} `json:"stats"`
	}
	body := text(t, get(t, url+"/portal/overview"))
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		t.Fatal(err)
	}
	if !o.Listening || o.IoTHub != edge.DefaultIoTHub || o.Stats.Upstream != 1 || o.Routes[0].Taken != 1 || len(o.Identities) != 4 {
		t.Fatalf("got %s", body)
	}
	if m := o.Identities[1]; m.Module != "m" || m.LastSeen == "" || m.Connected || o.Identities[2].LastSeen != "" ||
		!m.Disabled || o.Identities[2].Disabled {
		t.Errorf("got %s", body)
	}
	if key, _ := h.Known(module("m")); strings.Contains(body, key.Key) {
		t.Error("the overview tells a key")
	}
	for i := range 600 {
		if err := h.AddIdentity(edge.Identity{Device: "leaf" + strings.Repeat("x", i)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal([]byte(text(t, get(t, url+"/portal/overview"))), &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Identities) != 500 || o.Unlisted != 103 {
		t.Errorf("%d identities, %d unlisted", len(o.Identities), o.Unlisted)
	}
}
