package edge_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestATokenSpeaksForItsIdentity(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	odd := edge.Identity{Device: "a b+c", Module: "m%d"}
	for _, id := range []edge.Identity{module("m"), {Device: "leaf"}, odd} {
		if err := h.AddIdentity(id, ""); err != nil {
			t.Fatal(err)
		}
		token, err := h.Sign(id, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		got, expires, err := h.CheckToken(token)
		if err != nil || got != id || time.Until(expires) < 59*time.Minute {
			t.Errorf("%s: got %s, %v, %v", id, got, expires, err)
		}
		if err := h.Authenticate(id, token); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if err := h.Authenticate(module("n"), token); !errors.Is(err, edge.ErrUnauthorized) {
			t.Errorf("%s speaks for another: %v", id, err)
		}
	}
}

func TestMalformedTokensAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	good, err := h.Sign(module("m"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, token string }{
		{"an empty token", ""},
		{"another word", strings.Replace(good, "SharedAccessSignature", "sharedaccesssignature", 1)},
		{"a third part", good + " more"},
		{"no fields", "SharedAccessSignature"},
		{"a field without a value", good + "&x"},
		{"a field twice", good + "&se=1"},
		{"no expiry", strings.Split(good, "&se=")[0]},
		{"an expiry in words", strings.Split(good, "&se=")[0] + "&se=soon"},
		{"an audience of another shape", "SharedAccessSignature sr=" + url.QueryEscape("h/things/m") + "&sig=YQ%3D%3D&se=4000000000"},
		{"an audience without ids", "SharedAccessSignature sr=" + url.QueryEscape("h/devices/") + "&sig=YQ%3D%3D&se=4000000000"},
		{"a signature that is no base64", "SharedAccessSignature sr=" + url.QueryEscape("h/devices/d") + "&sig=%21&se=4000000000"},
		{"a huge token", good + strings.Repeat("x", 10000)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := h.CheckToken(c.token); !errors.Is(err, edge.ErrUnauthorized) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestTheSignatureIsJudgedLater(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{Gateway: "gate"})
	other := newHub(t, edge.Options{Gateway: "gate"})
	forged, err := other.Sign(module("m"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.CheckToken(forged); err != nil {
		t.Fatalf("CBS looked at the signature: %v", err)
	}
	if err := h.Authenticate(module("m"), forged); !errors.Is(err, edge.ErrUnauthorized) {
		t.Fatalf("got %v", err)
	}
	stranger, err := newHub(t, edge.Options{IoTHub: "elsewhere"}).Sign(module("m"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(module("m"), stranger); err == nil || !strings.Contains(err.Error(), "audience") {
		t.Fatalf("got %v", err)
	}
}

func TestTheDevicesKeyIsGoodForItsModules(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	device, err := h.Known(edge.Identity{Device: "edge"})
	if err != nil {
		t.Fatal(err)
	}
	signer := newHub(t, edge.Options{})
	if err := signer.AddIdentity(module("m"), device.Key); err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(module("m"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(module("m"), token); err != nil {
		t.Fatal(err)
	}
}

func TestTokensOutliveTheirExpiryByTheSkew(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHub(t, edge.Options{Now: func() time.Time { return now }})
	for life, valid := range map[time.Duration]bool{-4 * time.Minute: true, -6 * time.Minute: false} {
		token, err := h.Sign(module("m"), life)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Authenticate(module("m"), token); (err == nil) != valid {
			t.Errorf("expired since %v: %v", -life, err)
		}
	}
}

func TestTokensInUseCanBeExpired(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	token, err := h.Sign(module("m"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(module("m"), token); err != nil {
		t.Fatal(err)
	}
	c := newClient()
	defer h.Connect(module("m"), c)()
	if n := h.ExpireTokens(nil, true); n != 1 || len(c.reasons()) != 1 {
		t.Fatalf("expired %d, closed %v", n, c.reasons())
	}
	if _, _, err := h.CheckToken(token); !errors.Is(err, edge.ErrUnauthorized) {
		t.Fatalf("got %v", err)
	}
	fresh, err := h.Sign(module("m"), 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(module("m"), fresh); err != nil {
		t.Fatal(err)
	}
}

func FuzzCheckToken(f *testing.F) {
	h, err := edge.New(edge.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(h.Close)
	good, err := h.Sign(edge.Identity{Device: "edge"}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("SharedAccessSignature sr=h%2Fdevices%2Fa%252Bb%2Fmodules%2Fm&sig=YQ==&se=4000000000&skn=x")
	f.Fuzz(func(t *testing.T, token string) {
		id, _, err := h.CheckToken(token)
		if err != nil && !errors.Is(err, edge.ErrUnauthorized) {
			t.Fatalf("error is no ErrUnauthorized: %v", err)
		}
		if err == nil && id.Device == "" {
			t.Fatal("a token of nobody was taken")
		}
		if token != good && h.Authenticate(edge.Identity{Device: "edge"}, token) == nil && !strings.Contains(token, "sig=") {
			t.Fatal("a forged token was taken")
		}
	})
}
