package authenticate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// noon is the clock of tests that have one.
var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// deps have some variables and files, and stand at noon.
func deps() Deps {
	now := func() time.Time { return noon }
	return Deps{
		Environment: func(name string) (string, bool) {
			v, ok := map[string]string{
				"TOKEN": "a-token-of-24-characters", "SHORT": "short", "EMPTY": "",
				"HMAC": "a secret of thirty-two bytes, or more",
			}[name]
			return v, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/run/secrets/hash" {
				return []byte(hashOfPassword + "\n"), nil
			}
			return nil, fmt.Errorf("open %s: %w", path, os.ErrNotExist)
		},
		Passwords: NewPasswords(nil, now), Now: now,
	}
}

// hashOfPassword is argon2's published one of "password".
const hashOfPassword = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

func made(tb testing.TB, kind, settings string, d Deps) Authenticator {
	tb.Helper()
	a, err := New(kind, json.RawMessage(settings), d)
	if err != nil {
		tb.Fatalf("%s %s: %v", kind, settings, err)
	}
	if c, ok := a.(io.Closer); ok {
		tb.Cleanup(func() { _ = c.Close() })
	}
	return a
}

// verdictCase is one row: a claim, and what is said of it.
type verdictCase struct {
	settings string
	claim    Request
	want     Decision
	reason   string
}

func judgeAll(t *testing.T, kind string, d Deps, cases []verdictCase) {
	t.Helper()
	for _, c := range cases {
		v, err := made(t, kind, c.settings, d).Authenticate(t.Context(), c.claim)
		if err != nil || v.Decision != c.want || c.reason != "" && v.Reason != c.reason {
			t.Errorf("%s, %v: got %+v, %v, want %s %q", c.settings, c.claim, v, err, c.want, c.reason)
		}
	}
}

func TestAPatternIsForTheWholeID(t *testing.T) {
	claim := func(id string) Request { return Request{Device: id} }
	judgeAll(t, "pattern", Deps{}, []verdictCase{
		{`{"match":"[0-9]{15}"}`, claim("356307042441013"), Allow, ""},
		{`{"match":"[0-9]{15}"}`, claim("3563070424410130"), Next, ""},
		{`{"match":"[0-9]{15}"}`, claim("356307042441013\n"), Next, ""},
		{`{"match":"a|b"}`, claim("ab"), Next, ""},
		{`{"match":"(?i)meter-.*"}`, claim("METER-7"), Allow, ""},
		{`{"match":"test-.*","decision":"deny"}`, claim("test-1"), Deny, ""},
		{`{"match":"[0-9]+","otherwise":"deny"}`, claim("x"), Deny, "the id does not match the pattern"},
		{`{"match":".*"}`, claim(strings.Repeat("x", maxDevice+1)), Deny, "the id is too long"},
	})
}

func TestTheFirstListWithTheAddressDecides(t *testing.T) {
	claim := func(addr string) Request { return Request{Remote: netip.MustParseAddr(addr)} }
	const all = `{"deny":["10.1.0.0/16"],"allow":["10.0.0.0/8","2001:db8::/32"],"next":["192.0.2.7"],"otherwise":"deny"}`
	judgeAll(t, "addresses", Deps{}, []verdictCase{
		{all, claim("10.1.2.3"), Deny, "by the address 10.1.2.3"},
		{all, claim("10.2.2.3"), Allow, ""},
		{all, claim("::ffff:10.2.2.3"), Allow, ""},
		{all, claim("2001:db8::1%eth0"), Allow, ""},
		{all, claim("192.0.2.7"), Next, ""},
		{all, claim("192.0.2.8"), Deny, ""},
		{all, Request{}, Deny, "the address is not known"},
		{`{}`, claim("192.0.2.8"), Next, ""},
		{`{"otherwise":"allow"}`, claim("192.0.2.8"), Allow, ""},
	})
}

func TestASecretIsThatOfTheDeviceOrOfItsListener(t *testing.T) {
	sum := sha256.Sum256([]byte("random-token"))
	settings := fmt.Sprintf(`{"devices":{"hashed":{"hash":%q},"file":{"file":"/run/secrets/hash"},
		"token":{"sha256":%q},"text":{"text":"twelve-bytes"}},"listeners":{"trackers":{"env":"TOKEN"}}}`,
		hashOfPassword, hex.EncodeToString(sum[:]))
	claim := func(listener, device, secret string) Request {
		return Request{Listener: listener, Device: device, Secret: secret}
	}
	judgeAll(t, "secret", deps(), []verdictCase{
		{settings, claim("meters", "hashed", "password"), Allow, ""},
		{settings, claim("meters", "hashed", "Password"), Deny, "wrong secret"},
		{settings, claim("meters", "hashed", ""), Deny, "no secret"},
		{settings, claim("meters", "file", "password"), Allow, ""},
		{settings, claim("meters", "token", "random-token"), Allow, ""},
		{settings, claim("meters", "token", "random-tokem"), Deny, ""},
		{settings, claim("meters", "text", "twelve-bytes"), Allow, ""},
		{settings, claim("meters", "other", "a-token-of-24-characters"), Next, ""},
		{settings, claim("trackers", "other", "a-token-of-24-characters"), Allow, ""},
		{settings, claim("trackers", "other", "another"), Deny, ""},
		{settings, claim("trackers", "text", "a-token-of-24-characters"), Deny, "wrong secret"},
		{settings, claim("trackers", "other", strings.Repeat("x", maxSecret+1)), Deny, ""},
	})
}

// certificate makes a client certificate with all kinds of names.
func clientCertificate(t *testing.T, name string, from, to time.Time) *x509.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		DNSNames: []string{"other", name + ".fleet.example"}, EmailAddresses: []string{name + "@example.com"},
		URIs: []*url.URL{{Scheme: "urn", Opaque: "dev:" + name}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACertificateIsItsDevices(t *testing.T) {
	c := clientCertificate(t, "d1", noon.Add(-time.Hour), noon.Add(time.Hour))
	old := clientCertificate(t, "d1", noon.Add(-time.Hour), noon.Add(-time.Minute))
	sum := sha256.Sum256(c.Raw)
	print := strings.ToUpper(hex.EncodeToString(sum[:]))
	table := fmt.Sprintf(`{"fingerprints":{"p1":["%s:%s"],"d1":["%064d"]}}`, print[:2], print[2:], 0)
	both := strings.Replace(table, "{", `{"match":"{device}",`, 1)
	claim := func(device string, c *x509.Certificate) Request { return Request{Device: device, Certificate: c} }
	judgeAll(t, "certificate", deps(), []verdictCase{
		{`{}`, claim("d1", c), Allow, "by cn"},
		{`{}`, claim("D1", c), Deny, "the client certificate is not this device's"},
		{`{}`, claim("", c), Deny, ""},
		{`{}`, claim("d1", nil), Next, ""},
		{`{"missing":"deny"}`, claim("d1", nil), Deny, "no client certificate"},
		{`{}`, claim("d1", old), Deny, "the client certificate is not valid now"},
		{`{"match":"{device}.fleet.example","in":["cn","dns"]}`, claim("d1", c), Allow, "by dns"},
		{`{"match":"{device}.fleet.example"}`, claim("d1", c), Deny, ""},
		{`{"match":"urn:dev:{device}","in":["uri"]}`, claim("d1", c), Allow, "by uri"},
		{`{"match":"{device}@example.com","in":["email"]}`, claim("d1", c), Allow, "by email"},
		{`{"match":"{device}@example.com","in":["email"]}`, claim("d2", c), Deny, ""},
		{table, claim("p1", c), Allow, "by fingerprint"},
		{table, claim("d1", c), Deny, "the client certificate has another fingerprint"},
		{table, claim("d2", c), Next, ""},
		{both, claim("d1", c), Deny, ""},
		{both, claim("d2", c), Deny, ""},
	})
	v, err := made(t, "certificate", `{}`, deps()).Authenticate(t.Context(), claim("d1", c))
	if err != nil || !v.Expires.Equal(c.NotAfter) {
		t.Errorf("the admission ends at %s, the certificate at %s; %v", v.Expires, c.NotAfter, err)
	}
}

func TestSettingsAreJudgedStrictlyAndFaultsShowNoSecret(t *testing.T) {
	d := deps()
	for _, c := range []struct{ kind, settings, pointer string }{
		{"magic", `{}`, ""},
		{"database", `{}`, ""}, // there is none
		{"database", `{"x":1}`, "/x"},
		{"pattern", `{}`, "/match"},
		{"pattern", `{"match":"("}`, "/match"},
		{"pattern", `{"match":")|("}`, "/match"},
		{"pattern", `{"match":"a","decision":"next"}`, "/decision"},
		{"pattern", `{"match":"a","otherwise":"allow"}`, "/otherwise"},
		{"pattern", `{"match":"` + strings.Repeat("a", maxPattern+1) + `"}`, "/match"},
		{"pattern", `{"match":"(a{1000}){1000}"}`, "/match"},
		{"pattern", `{"Match":"a"}`, "/Match"},
		{"addresses", `{"deny":["10.0.0.0/8","x"]}`, "/deny/1"},
		{"addresses", `{"deny":["::ffff:10.0.0.0/104"]}`, "/deny/0"},
		{"addresses", `{"otherwise":"maybe"}`, "/otherwise"},
		{"addresses", `{"allow":[` + strings.Repeat(`"10.0.0.1",`, maxRanges) + `"10.0.0.1"]}`, "/allow"},
		{"secret", `{}`, ""},
		{"secret", `{"devices":{"a/b":"planted"}}`, "/devices/a~1b"},
		{"secret", `{"devices":{"d":{"text":4711}}}`, "/devices/d/text"},
		{"secret", `{"devices":{"d":{"text":"planted"}}}`, "/devices/d"}, // too short
		{"secret", `{"devices":{"d":{"env":"SHORT"}}}`, "/devices/d"},
		{"secret", `{"devices":{"d":{"env":"EMPTY"}}}`, "/devices/d"},
		{"secret", `{"devices":{"d":{"env":"NONE"}}}`, "/devices/d/env"},
		{"secret", `{"devices":{"d":{"file":"/none"}}}`, "/devices/d/file"},
		{"secret", `{"devices":{"d":{"hash":"planted"}}}`, "/devices/d/hash"},
		{"secret", `{"devices":{"d":{"sha256":"planted"}}}`, "/devices/d/sha256"},
		{"secret", `{"devices":{"d":{"text":"planted-planted","env":"TOKEN"}}}`, "/devices/d"},
		{"secret", `{"listeners":{"l":{}}}`, "/listeners/l"},
		{"certificate", `{"match":"x"}`, "/match"},
		{"certificate", `{"match":"{device}{device}"}`, "/match"},
		{"certificate", `{"in":[]}`, "/in"},
		{"certificate", `{"in":["cn","ip"]}`, "/in"},
		{"certificate", `{"fingerprints":{"d":[]}}`, "/fingerprints/d"},
		{"certificate", `{"fingerprints":{"d":["12"]}}`, "/fingerprints/d"},
		{"certificate", `{"missing":"allow"}`, "/missing"},
		{"http", `{}`, "/url"},
		{"http", `{"url":"http://h/?key=planted"}`, "/url"},
		{"http", `{"url":"ftp://h"}`, "/url"},
		{"http", `{"url":"https:///x"}`, "/url"},
		{"http", `{"url":"https://me:planted@h/x"}`, "/url"},
		{"http", `{"url":"https://{device}.h/x"}`, "/url"},
		{"http", `{"url":"https://h/../x"}`, "/url"},
		{"http", `{"url":"https://h/x#y"}`, "/url"},
		{"http", `{"url":"https://h/{dev}"}`, "/url"},
		{"http", `{"url":"https://h:port/{device}"}`, "/url"},
		{"http", `{"url":"https://h","method":"TRACE"}`, "/method"},
		{"http", `{"url":"https://h","headers":{"A b":"x"}}`, "/headers/A b"},
		{"http", `{"url":"https://h","headers":{"A":"x\ny"}}`, "/headers/A"},
		{"http", `{"url":"https://h","headers":{"A":4711}}`, "/headers/A"},
		{"http", `{"url":"https://h","headers":{"A":{"env":"NONE"}}}`, "/headers/A/env"},
		{"http", `{"url":"https://h","body":{"x":["{nobody}"]}}`, "/body"},
		{"http", `{"url":"https://h","timeoutSeconds":0}`, "/timeoutSeconds"},
		{"http", `{"url":"https://h","concurrency":1000}`, "/concurrency"},
		{"http", `{"url":"https://h","cache":{"entries":0}}`, "/cache/entries"},
		{"http", `{"url":"https://h","breaker":{"failures":0}}`, "/breaker/failures"},
		{"http", `{"url":"https://h","ca":{"text":"planted"}}`, "/ca"},
		{"jwt", `{}`, "/keys"},
		{"jwt", `{"keys":{"k":{}}}`, "/keys/k"},
		{"jwt", `{"keys":{"k":"planted"}}`, "/keys/k"},
		{"jwt", `{"keys":{"k":{"secret":{"text":"planted"}}}}`, "/keys/k/secret"},
		{"jwt", `{"keys":{"k":{"public":{"text":"planted"}}}}`, "/keys/k/public"},
		{"jwt", `{"keys":{"k":{"secret":{"env":"HMAC"}}},"algorithms":["none"]}`, "/algorithms"},
		{"jwt", `{"keys":{"k":{"secret":{"env":"HMAC"}}},"algorithms":["RS256"]}`, "/algorithms"},
		{"jwt", `{"keys":{"k":{"secret":{"env":"HMAC"}}},"claim":""}`, "/claim"},
		{"jwt", `{"keys":{"k":{"secret":{"env":"HMAC"}}},"match":"x"}`, "/match"},
		{"jwt", `{"keys":{"k":{"secret":{"env":"HMAC"}}},"leewaySeconds":601}`, "/leewaySeconds"},
		{"jwt", `{"keys":{"k":{"secret":{"env":"HMAC"}}},"otherwise":"allow"}`, "/otherwise"},
		{"jwt", `{"jwks":{"url":"http://h/keys"}}`, "/jwks/url"},
		{"jwt", `{"jwks":{"url":"https://h/keys","refreshSeconds":-1}}`, "/jwks/refreshSeconds"},
		{"jwt", `{"jwks":{"url":"https://h/keys","keepSeconds":10}}`, "/jwks/keepSeconds"},
		{"jwt", `{"jwks":{"url":"https://h/keys","ca":{"env":"NONE"}}}`, "/jwks/ca/env"},
	} {
		a, err := New(c.kind, json.RawMessage(c.settings), d)
		fault, ok := errors.AsType[*codec.OptionError](err)
		if a != nil || !ok || fault.Pointer != c.pointer {
			t.Errorf("%s %s: got %v, %v, want a fault at %q", c.kind, c.settings, a, err, c.pointer)
			continue
		}
		if text := err.Error(); strings.Contains(text, "planted") || strings.Contains(text, "4711") || len(text) > 400 {
			t.Errorf("%s %s: %v", c.kind, c.settings, err)
		}
	}
}
