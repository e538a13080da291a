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

func testKeyText() string { return base64.StdEncoding.EncodeToString([]byte(testKey)) }

func TestConnectionStringSaysWhoAndWhere(t *testing.T) {
	const start = "HostName=h.azure-devices.net;"
	cases := []struct {
		name, text string
		want       Identity
	}{
		{"through the edge device", start + "GatewayHostName=edge;DeviceId=d;ModuleId=m;SharedAccessKey=" + testKeyText(),
			Identity{HubName: "h.azure-devices.net", Gateway: "edge", Device: "d", Module: "m"}},
		{"straight to the hub", start + "DeviceId=d;ModuleId=m;SharedAccessKey=" + testKeyText() + ";",
			Identity{HubName: "h.azure-devices.net", Gateway: "h.azure-devices.net", Device: "d", Module: "m"}},
		{"in another order, with a port", "SharedAccessKey=" + testKeyText() + ";ModuleId=m;DeviceId=d;GatewayHostName=e:15671;" + start,
			Identity{HubName: "h.azure-devices.net", Gateway: "e:15671", Device: "d", Module: "m"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			id, signer, err := ParseConnectionString(c.text)
			if err != nil || id != c.want {
				t.Fatalf("got %+v, %v; want %+v", id, err, c.want)
			}
			if _, err := signer.Sign(t.Context(), []byte("data")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadConnectionStringIsRefusedWithoutShowingTheKey(t *testing.T) {
	key := testKeyText()
	const start = "HostName=h;DeviceId=d;ModuleId=m;"
	for name, text := range map[string]string{
		"empty":                 "",
		"no key":                start,
		"empty key":             start + "SharedAccessKey=",
		"key is no base64":      start + "SharedAccessKey=!" + key,
		"no host":               "DeviceId=d;ModuleId=m;SharedAccessKey=" + key,
		"no device":             "HostName=h;ModuleId=m;SharedAccessKey=" + key,
		"no module":             "HostName=h;DeviceId=d;SharedAccessKey=" + key,
		"a part without a sign": start + "SharedAccessKey" + key + ";SharedAccessKey=" + key,
		"two strings in one":    start + "SharedAccessKey=" + key + "|" + start + "SharedAccessKey=" + key,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ParseConnectionString(text)
			if !errors.Is(err, ErrCredentials) {
				t.Fatalf("got %v, want ErrCredentials", err)
			}
			if shown := err.Error(); strings.Contains(shown, strings.TrimRight(key, "=")) || strings.Contains(shown, testKey) {
				t.Errorf("the error shows the key: %s", shown)
			}
		})
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
	for _, id := range []Identity{
		{HubName: "h.azure-devices.net", Device: "edge-1", Module: "causeway"},
		{HubName: "h.azure-devices.net", Device: "a+b:c%d_#*?!(),=@;$'", Module: "$edgeHub"},
	} {
		token, err := newToken(t.Context(), id, Credential{Signer: keySigner(testKey)}, expiry)
		if err != nil {
			t.Fatal(err)
		}
		audience := percent(id.HubName + "/devices/" + percent(id.Device) + "/modules/" + percent(id.Module))
		mac := hmac.New(sha256.New, []byte(testKey))
		mac.Write([]byte(audience + "\n1767225600"))
		digest := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if want := "SharedAccessSignature sr=" + audience + "&sig=" + percent(digest) + "&se=1767225600"; token != want {
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
