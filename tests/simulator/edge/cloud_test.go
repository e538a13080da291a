package edge_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/state"
)

// policyToken signs as a shared access policy does.
func policyToken(tb testing.TB, h *edge.Hub, audience, policy string, life time.Duration) string {
	tb.Helper()
	key, err := base64.StdEncoding.DecodeString(h.PolicyKey(policy))
	if err != nil {
		tb.Fatal(err)
	}
	raw, expiry := url.QueryEscape(audience), strconv.FormatInt(time.Now().Add(life).Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(raw + "\n" + expiry))
	return "SharedAccessSignature sr=" + raw + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) +
		"&se=" + expiry + "&skn=" + policy
}

func TestTheCloudTakesTokensOfAPolicyThatMayConnect(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	cloud, err := edge.NewCloud(h, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Register(edge.Entry{KnownIdentity: edge.KnownIdentity{Identity: edge.Identity{Device: "stranger"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddLeaves("leaf", ""); err != nil {
		t.Fatal(err)
	}
	stranger := edge.Identity{Device: "stranger"}
	own, err := h.Sign(stranger, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	hub := h.IoTHub()
	for _, c := range []struct {
		name, token string
		put, attach bool
	}{
		{"the device's own key, no child of the edge device", own, true, true},
		{"the policy for the device", policyToken(t, h, hub+"/devices/stranger", "device", time.Hour), true, true},
		{"the policy for the hub", policyToken(t, h, hub, "device", time.Hour), true, true},
		{"the policy for the hub by its address", policyToken(t, h, "127.0.0.1:5671", "device", time.Hour), true, true},
		{"the owner's policy", policyToken(t, h, hub, "iothubowner", time.Hour), true, true},
		{"the policy for another device", policyToken(t, h, hub+"/devices/leaf", "device", time.Hour), true, false},
		{"a policy that may not connect", policyToken(t, h, hub, "service", time.Hour), false, false},
		{"that policy for the device", policyToken(t, h, hub+"/devices/stranger", "service", time.Hour), false, false},
		{"a policy that there is not", policyToken(t, h, hub, "mine", time.Hour), false, false},
		{"an expired one", policyToken(t, h, hub, "device", -time.Hour), false, false},
		{"one of another hub", policyToken(t, h, "else.example", "device", time.Hour), false, false},
		{"a wrong signature", strings.Replace(policyToken(t, h, hub, "device", time.Hour), "sig=", "sig=AAAA", 1), false, false},
		{"the hub without a policy", strings.Split(policyToken(t, h, hub, "device", time.Hour), "&skn")[0], false, false},
	} {
		_, _, err := cloud.CheckToken(c.token)
		if (err == nil) != c.put || err != nil && !errors.Is(err, edge.ErrUnauthorized) {
			t.Errorf("%s: put: %v", c.name, err)
		}
		if err := cloud.Authenticate(stranger, c.token); (err == nil) != c.attach || err != nil && !errors.Is(err, edge.ErrUnauthorized) {
			t.Errorf("%s: attach: %v", c.name, err)
		}
		if err := h.Authenticate(stranger, c.token); err == nil {
			t.Errorf("%s: the edge hub takes it", c.name)
		}
	}
	hubWide := policyToken(t, h, hub, "device", time.Hour)
	if err := cloud.Authenticate(edge.Identity{Device: "nobody"}, hubWide); err == nil {
		t.Error("a device that is not registered is let in")
	}
	if err := h.SetDisabled(stranger, true); err != nil {
		t.Fatal(err)
	}
	if err := cloud.Authenticate(stranger, hubWide); err == nil {
		t.Error("a disabled device is let in")
	}
}

func TestWhatIsSentToTheCloudTakesNoRoute(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{Admission: edge.Admission{Clients: 1}})
	setRoutes(t, h, `FROM /messages/* INTO BrokeredEndpoint("/modules/m/inputs/i")`)
	cloud, err := edge.NewCloud(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		id := edge.Identity{Device: name}
		cloud.Connect(id, newClient())
		if err := cloud.Subscribe(id, edge.TopicMethods); err != nil {
			t.Error(err)
		}
		if err := cloud.Publish(t.Context(), id, []edge.Message{{Body: []byte(name)}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(arrived(t, h), " "); got != "a b" || h.Waiting(module("m")) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestPoliciesAreKept(t *testing.T) {
	t.Parallel()
	kept, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keys := func() string {
		h := newHub(t, edge.Options{Keep: kept})
		return h.PolicyKey("iothubowner") + h.PolicyKey("device") + h.PolicyKey("service")
	}
	before := keys()
	if after := keys(); after != before || before == "" {
		t.Errorf("%s became %s", before, after)
	}
}
