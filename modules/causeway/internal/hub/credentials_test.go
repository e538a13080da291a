package hub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// testKey is no secret of anybody; testKeyText is what a connection string has.
const testKey = "a key that must never be shown"

func TestAKeySignsAndABadOneIsRefusedWithoutBeingShown(t *testing.T) {
	text := base64.StdEncoding.EncodeToString([]byte(testKey))
	signer, err := NewKey(text)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := keySigner(testKey).Sign(t.Context(), []byte("data"))
	if got, err := signer.Sign(t.Context(), []byte("data")); got != want || err != nil {
		t.Errorf("signed as %s, %v", got, err)
	}
	for _, bad := range []string{"", "!" + text} {
		if _, err := NewKey(bad); !errors.Is(err, ErrCredentials) || strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// percent escapes as RFC 3986 says, independently of net/url.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// TestTokenIsWhatTheHubComputes follows the algorithm that the SDKs and the hub
// share: the audience with escaped ids, escaped as a whole; the signature over it
// and the expiry.
func TestTokenIsWhatTheHubComputes(t *testing.T) {
	expiry := time.Unix(1_767_225_600, 0)
	for _, c := range []struct {
		id             Identity
		policy, behind string
	}{
		{Identity{HubName: "h.azure-devices.net", Device: "edge-1", Module: "causeway"}, "", ""},
		{Identity{HubName: "h.azure-devices.net", Device: "a+b:c%d_#*?!(),=@;$'", Module: "$edgeHub"}, "", ""},
		{Identity{HubName: "h.azure-devices.net", Device: "gateway"}, "", ""},
		{Identity{HubName: "h.azure-devices.net", Device: "gateway"}, "device", "&skn=device"},
		{Identity{HubName: "h.azure-devices.net", Device: "edge-1", Module: "causeway"}, "a&b", "&skn=a%26b"},
	} {
		token, err := newToken(t.Context(), c.id, Credential{Signer: keySigner(testKey), Policy: c.policy}, expiry)
		if err != nil {
			t.Fatal(err)
		}
		resource := c.id.HubName + "/devices/" + percent(c.id.Device)
		if c.id.Module != "" {
			resource += "/modules/" + percent(c.id.Module)
		}
		audience := percent(resource)
		mac := hmac.New(sha256.New, []byte(testKey))
		mac.Write([]byte(audience + "\n1767225600"))
		digest := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if want := "SharedAccessSignature sr=" + audience + "&sig=" + percent(digest) + "&se=1767225600" + c.behind; token != want {
			t.Errorf("token\n %s, want\n %s", token, want)
		}
	}
}

func TestLinkAddressEscapesTheIDs(t *testing.T) {
	id := Identity{Device: "a+b/c d", Module: "$m"}
	if got, want := id.address("/twin"), "/devices/a%2Bb%2Fc%20d/modules/%24m/twin"; got != want {
		t.Errorf("address %s, want %s", got, want)
	}
}

// refusingSigner cannot sign.
type refusingSigner struct{}

func (refusingSigner) Sign(context.Context, []byte) (string, error) { return "", ErrWorkload }

func TestTokenTellsWhySigningFailed(t *testing.T) {
	if _, err := newToken(t.Context(), Identity{}, Credential{Signer: refusingSigner{}}, time.Now()); !errors.Is(err, ErrWorkload) {
		t.Errorf("got %v", err)
	}
}
