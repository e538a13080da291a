package authenticate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// keyring has a key of each kind, made once.
type keyring struct {
	rsa, small *rsa.PrivateKey
	p256, p384 *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
}

var keys = sync.OnceValue(func() keyring {
	k := keyring{}
	var err [5]error
	k.rsa, err[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.small, err[1] = rsa.GenerateKey(rand.Reader, 1024)
	k.p256, err[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, err[3] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, k.ed, err[4] = ed25519.GenerateKey(rand.Reader)
	for _, e := range err {
		if e != nil {
			panic(e)
		}
	}
	return k
})

func publicText(tb testing.TB, public crypto.PublicKey) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// signed makes a token; kid "" for none.
func signed(tb testing.TB, method jwt.SigningMethod, private any, kid string, claims jwt.MapClaims) string {
	tb.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(private)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var hmacKey = []byte("a secret of thirty-two bytes, or more")

// good are claims that are good for the device d.
func good(more jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{"sub": "d", "exp": noon.Add(time.Hour).Unix()}
	for name, value := range more {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func TestATokenIsItsDevices(t *testing.T) {
	k := keys()
	text := func(public crypto.PublicKey) string {
		quoted, _ := json.Marshal(publicText(t, public))
		return string(quoted)
	}
	all := fmt.Sprintf(`{"keys":{"h":{"secret":{"env":"HMAC"}},"r":{"public":{"text":%s}},"e":{"public":{"text":%s}},"o":{"public":{"text":%s}}}`,
		text(k.rsa.Public()), text(k.p256.Public()), text(k.ed.Public()))
	h := func(more jwt.MapClaims) string { return signed(t, jwt.SigningMethodHS256, hmacKey, "h", good(more)) }
	pemOfRSA := []byte(publicText(t, k.rsa.Public()))
	none := signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", good(nil))
	valid := h(nil)
	for _, c := range []struct {
		name, more, secret string
		want               Decision
		reason             string
	}{
		{"HMAC", "", valid, Allow, "by token"},
		{"RSA", "", signed(t, jwt.SigningMethodRS256, k.rsa, "r", good(nil)), Allow, ""},
		{"PSS", "", signed(t, jwt.SigningMethodPS384, k.rsa, "r", good(nil)), Allow, ""},
		{"ECDSA", "", signed(t, jwt.SigningMethodES256, k.p256, "e", good(nil)), Allow, ""},
		{"Ed25519", "", signed(t, jwt.SigningMethodEdDSA, k.ed, "o", good(nil)), Allow, ""},
		{"no key id", "", signed(t, jwt.SigningMethodES256, k.p256, "", good(nil)), Allow, ""},
		{"the key id of another key", "", signed(t, jwt.SigningMethodES256, k.p256, "r", good(nil)), Deny, "the token is signed with an unknown key"},
		{"an unknown key id", "", signed(t, jwt.SigningMethodES256, k.p256, "x", good(nil)), Deny, "the token is signed with an unknown key"},
		{"none", "", none, Deny, "the token is signed with an unknown key"},
		{"a public key as a secret", "", signed(t, jwt.SigningMethodHS256, pemOfRSA, "r", good(nil)), Deny, "the token is signed with an unknown key"},
		{"a public key as a secret, no key id", "", signed(t, jwt.SigningMethodHS256, pemOfRSA, "", good(nil)), Deny, "the token's signature is wrong"},
		{"another curve", "", signed(t, jwt.SigningMethodES384, k.p384, "e", good(nil)), Deny, ""},
		{"an algorithm that is not allowed", `,"algorithms":["ES256"]`, valid, Deny, "the token's signature is wrong"},
		{"another secret", "", signed(t, jwt.SigningMethodHS256, []byte("another"), "h", good(nil)), Deny, "the token's signature is wrong"},
		{"a byte changed", "", valid[:len(valid)-3] + "AAA", Deny, "the token's signature is wrong"},
		{"claims changed", "", strings.Replace(valid, ".", ".e30", 1), Deny, ""},
		{"no token", "", "password", Next, ""},
		{"no secret", "", "", Next, ""},
		{"dots", "", "a.b.c", Next, ""},
		{"four parts", "", valid + ".x", Next, ""},
		{"no token where there has to be one", `,"otherwise":"deny"`, "a.b.c", Deny, "no token"},
		{"claims that are no JSON", "", b64([]byte(`{"alg":"HS256","kid":"h"}`)) + ".eA.eA", Deny, "the token is malformed"},
		{"too long", "", strings.Repeat("x", maxSecret+1), Deny, ""},
		{"another device", "", h(jwt.MapClaims{"sub": "e"}), Deny, "the token is another device's"},
		{"no device", "", h(jwt.MapClaims{"sub": nil}), Deny, "the token is another device's"},
		{"a number for a device", "", h(jwt.MapClaims{"sub": nil, "id": 7}), Deny, ""},
		{"a list", `,"claim":"ids"`, h(jwt.MapClaims{"ids": []string{"c", "d"}}), Allow, ""},
		{"another list", `,"claim":"ids"`, h(jwt.MapClaims{"ids": []string{"c", "dd"}}), Deny, ""},
		{"a template", `,"match":"device:{device}"`, h(jwt.MapClaims{"sub": "device:d"}), Allow, ""},
		{"expired", "", h(jwt.MapClaims{"exp": noon.Add(-time.Minute).Unix()}), Deny, "the token is expired"},
		{"expired within the leeway", "", h(jwt.MapClaims{"exp": noon.Add(-59 * time.Second).Unix()}), Allow, ""},
		{"no expiry", "", h(jwt.MapClaims{"exp": nil}), Deny, "the token lacks a claim, or never expires"},
		{"no expiry where it may be", `,"endless":true`, h(jwt.MapClaims{"exp": nil}), Allow, ""},
		{"not yet", "", h(jwt.MapClaims{"nbf": noon.Add(2 * time.Minute).Unix()}), Deny, "the token is not valid yet"},
		{"from the future", "", h(jwt.MapClaims{"iat": noon.Add(2 * time.Minute).Unix()}), Deny, "the token is from the future"},
		{"issuer", `,"issuer":"me"`, h(jwt.MapClaims{"iss": "me"}), Allow, ""},
		{"another issuer", `,"issuer":"me"`, h(jwt.MapClaims{"iss": "you"}), Deny, "the token is of another issuer"},
		{"no issuer", `,"issuer":"me"`, valid, Deny, ""},
		{"audience", `,"audience":["a","b"]`, h(jwt.MapClaims{"aud": []string{"c", "b"}}), Allow, ""},
		{"another audience", `,"audience":["a"]`, h(jwt.MapClaims{"aud": "b"}), Deny, "the token is for another audience"},
		{"an expiry that is no time", "", h(jwt.MapClaims{"exp": "soon"}), Deny, ""},
	} {
		v, err := made(t, "jwt", all+c.more+"}", deps()).Authenticate(t.Context(), Request{Device: "d", Secret: c.secret})
		if err != nil || v.Decision != c.want || c.reason != "" && v.Reason != c.reason {
			t.Errorf("%s: %+v, %v, want %s %q", c.name, v, err, c.want, c.reason)
		}
	}
	v, _ := made(t, "jwt", all+"}", deps()).Authenticate(t.Context(), Request{Device: "d", Secret: valid})
	if want := noon.Add(time.Hour + time.Minute); !v.Expires.Equal(want) {
		t.Errorf("the admission ends at %s, want %s, the leeway included", v.Expires, want)
	}
	if v, _ := made(t, "jwt", all+"}", deps()).Authenticate(t.Context(), Request{Secret: h(jwt.MapClaims{"sub": ""})}); v.Decision != Deny {
		t.Errorf("a device without an id: %+v", v)
	}
}

func TestAPublicKeyComesInOneOfThreeForms(t *testing.T) {
	k := keys()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	private, _ := x509.MarshalPKCS8PrivateKey(k.ed)
	small, _ := x509.MarshalPKIXPublicKey(k.small.Public())
	c := clientCertificate(t, "issuer", noon, noon.Add(time.Hour))
	for _, p := range []struct {
		name, text string
		usable     int
	}{
		{"PKIX", publicText(t, k.p384.Public()), 1},
		{"PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)), 6},
		{"a certificate", block("CERTIFICATE", c.Raw), 1},
		{"a private key", block("PRIVATE KEY", private), 0},
		{"a small key", block("PUBLIC KEY", small), 0},
		{"another key under the name", block("RSA PUBLIC KEY", small), 0},
		{"no certificate", block("CERTIFICATE", small), 0},
		{"no key", block("PUBLIC KEY", c.Raw), 0},
	} {
		if got := verifies(publicPEM([]byte(p.text))); len(got) != p.usable {
			t.Errorf("%s: %v", p.name, got)
		}
	}
}

// set writes keys as a JWKS.
func set(list ...map[string]any) string {
	text, _ := json.Marshal(map[string]any{"keys": list})
	return string(text)
}

func rsaJWK(kid string, k *rsa.PublicKey) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func ecJWK(kid, curve string, k *ecdsa.PublicKey) map[string]any {
	point, _ := k.Bytes()
	half := (len(point) - 1) / 2
	return map[string]any{"kty": "EC", "kid": kid, "crv": curve, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
}

func edJWK(kid string, k ed25519.PublicKey) map[string]any {
	return map[string]any{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(k)}
}

// with returns a key with a member changed.
func with(k map[string]any, name string, value any) map[string]any {
	k[name] = value
	return k
}

func TestKeysThatAreNotForSignaturesArePassedOver(t *testing.T) {
	k := keys()
	ed, _ := k.ed.Public().(ed25519.PublicKey)
	list, err := parseKeySet([]byte(set(
		with(rsaJWK("r", &k.rsa.PublicKey), "use", "sig"),
		ecJWK("e", "P-256", &k.p256.PublicKey),
		ecJWK("e3", "P-384", &k.p384.PublicKey),
		with(edJWK("o", ed), "key_ops", []string{"verify"}),
		with(rsaJWK("PS", &k.rsa.PublicKey), "alg", "PS256"),
		with(rsaJWK("encryption", &k.rsa.PublicKey), "use", "enc"),
		with(rsaJWK("signing", &k.rsa.PublicKey), "key_ops", []string{"sign"}),
		with(rsaJWK("algorithm", &k.rsa.PublicKey), "alg", "ES256"),
		with(rsaJWK("even", &k.rsa.PublicKey), "e", b64([]byte{4})),
		with(rsaJWK("one", &k.rsa.PublicKey), "e", b64([]byte{1})),
		with(rsaJWK("large", &k.rsa.PublicKey), "n", strings.Repeat("_", 4000)),
		rsaJWK("small", &k.small.PublicKey),
		ecJWK("curve", "P-384", &k.p256.PublicKey),
		with(ecJWK("point", "P-256", &k.p256.PublicKey), "x", b64(make([]byte, 32))),
		with(edJWK("short", ed), "x", "AAAA"),
		with(edJWK("curve", ed), "crv", "X25519"),
		map[string]any{"kty": "oct", "kid": "secret", "k": b64(hmacKey)},
		map[string]any{"kty": 7},
	)))
	var got []string
	for _, k := range list {
		got = append(got, k.id+":"+strings.Join(k.algorithms, "+"))
	}
	const want = "r:RS256+RS384+RS512+PS256+PS384+PS512 e:ES256 e3:ES384 o:EdDSA PS:PS256"
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
	for _, body := range []string{``, `[]`, `{}`, `{"keys":[]}`, `{"keys":{}}`, set(make([]map[string]any, maxKeys+1)...)} {
		if list, err := parseKeySet([]byte(body)); err == nil {
			t.Errorf("%.30s: %v", body, list)
		}
	}
}

// issuer publishes keys that a test changes.
type issuer struct {
	*web
	mu     sync.Mutex
	status int
	body   string
}

func (i *issuer) publish(status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, body
}

func issues(tb testing.TB, body string) *issuer {
	tb.Helper()
	i := &issuer{status: http.StatusOK, body: body}
	i.web = served(tb, func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		w.WriteHeader(i.status)
		_, _ = w.Write([]byte(i.body))
	})
	return i
}

func TestFetchedKeysAreKeptAndRenewedWithinBounds(t *testing.T) {
	k := keys()
	var mu sync.Mutex
	now := noon
	d := deps()
	d.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	one, two := ecJWK("1", "P-256", &k.p256.PublicKey), rsaJWK("2", &k.rsa.PublicKey)
	i := issues(t, set(one))
	a := made(t, "jwt", `{"jwks":`+i.settings("/keys", "")+`}`, d)
	far := jwt.MapClaims{"sub": "d", "exp": noon.Add(1000 * time.Hour).Unix()}
	first, second := signed(t, jwt.SigningMethodES256, k.p256, "1", far), signed(t, jwt.SigningMethodRS256, k.rsa, "2", far)
	fetches := int32(0)
	step := func(what string, after time.Duration, secret string, want Decision, fails bool, more int32) {
		t.Helper()
		mu.Lock()
		now = noon.Add(after)
		mu.Unlock()
		v, err := a.Authenticate(t.Context(), Request{Device: "d", Secret: secret})
		if s := a.(*tokens).fetched; s != nil {
			s.runs.Wait() // what was begun for the next token
		}
		fetches += more
		if (err != nil) != fails || v.Decision != want || i.requests.Load() != fetches {
			t.Fatalf("%s: %+v, %v, after %d fetches, want %d", what, v, err, i.requests.Load(), fetches)
		}
	}
	i.publish(500, "")
	step("the issuer is away", 0, first, Next, true, 1)
	i.publish(200, set(one))
	step("too early for another try", 4*time.Second, first, Next, true, 0)
	step("it is back", 5*time.Second, first, Allow, false, 1)
	step("the keys are known", 6*time.Second, first, Allow, false, 0)
	step("an unknown key within the interval", 10*time.Second, second, Deny, false, 0)
	step("an unknown key", 66*time.Second, second, Deny, false, 1)
	i.publish(200, set(one, two))
	step("it is published within the interval", 100*time.Second, second, Deny, false, 0)
	step("the interval is over", 126*time.Second, second, Allow, false, 1)
	step("both are known", 127*time.Second, first, Allow, false, 0)
	step("they are old, and still used", 2*time.Hour, first, Allow, false, 1)
	i.publish(500, "")
	step("old again, and the issuer is away", 4*time.Hour, first, Allow, false, 1)
	step("an unknown key may be a new one", 4*time.Hour+time.Minute, signed(t, jwt.SigningMethodES256, k.p256, "3", far), Next, true, 1)
	step("known ones are kept", 25*time.Hour, first, Allow, false, 1)
	step("for a day", 26*time.Hour, first, Next, true, 1)
	i.publish(200, set(two))
	step("a key is withdrawn", 27*time.Hour, first, Deny, false, 1)
	if err := a.(*tokens).Close(); err != nil {
		t.Error(err)
	}
}

func FuzzToken(f *testing.F) {
	k := keys()
	for _, secret := range []string{
		"", "a.b.c", "....", signed(f, jwt.SigningMethodHS256, hmacKey, "h", good(nil)),
		signed(f, jwt.SigningMethodES256, k.p256, "", good(nil)),
		signed(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", good(nil)),
		b64([]byte(`{"alg":"HS256"}`)) + "." + b64([]byte(`{"exp":1e400}`)) + ".",
	} {
		f.Add(secret)
	}
	quoted, _ := json.Marshal(publicText(f, k.p256.Public()))
	a := made(f, "jwt", `{"keys":{"h":{"secret":{"env":"HMAC"}},"e":{"public":{"text":`+string(quoted)+`}}}}`, deps())
	f.Fuzz(func(t *testing.T, secret string) { // the good ones are another device's
		v, err := a.Authenticate(t.Context(), Request{Device: "other", Secret: secret})
		if err != nil || v.Decision == Allow {
			t.Errorf("%q: %+v, %v", secret, v, err)
		}
		if v.Decision == Deny && len(secret) > 100 && strings.Contains(v.Reason, secret) {
			t.Errorf("the reason shows the token: %s", v.Reason)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	k := keys()
	ed, _ := k.ed.Public().(ed25519.PublicKey)
	f.Add(set(rsaJWK("r", &k.rsa.PublicKey), ecJWK("e", "P-256", &k.p256.PublicKey), edJWK("o", ed)))
	f.Add(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		list, err := parseKeySet([]byte(body))
		if (err == nil) != (len(list) > 0) || len(list) > maxKeys {
			t.Fatal(len(list), err)
		}
		for _, k := range list {
			if len(k.algorithms) == 0 || k.value == nil {
				t.Errorf("%+v", k)
			}
			if _, secret := k.value.([]byte); secret {
				t.Error("a symmetric key was taken")
			}
		}
	})
}

// Signatures are checked by the workers that compare passwords, and what waits is bounded.
func TestSignaturesAreCheckedInBoundedWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deps()
		w := NewWorkers(WorkersOptions{Parallel: 1, Queue: 1, Wait: time.Minute})
		d.Passwords = NewPasswords(w, d.Now)
		a := made(t, "jwt", `{"keys":{"h":{"secret":{"env":"HMAC"}}}}`, d)
		claim := Request{Device: "d", Secret: signed(t, jwt.SigningMethodHS256, hmacKey, "h", good(nil))}
		release := make(chan struct{})
		go func() { _ = w.Do(t.Context(), func() { <-release }) }() // a hash
		synctest.Wait()
		answer := make(chan Verdict)
		go func() {
			v, _ := a.Authenticate(t.Context(), claim)
			answer <- v
		}()
		synctest.Wait()
		if v, err := a.Authenticate(t.Context(), claim); !errors.Is(err, ErrBusy) {
			t.Errorf("one more than may wait: %+v, %v", v, err)
		}
		for _, secret := range []string{"", "a password"} { // these cost nothing
			if v, err := a.Authenticate(t.Context(), Request{Device: "d", Secret: secret}); err != nil || v.Decision != Next {
				t.Errorf("%q: %+v, %v", secret, v, err)
			}
		}
		close(release)
		if v := <-answer; v.Decision != Allow {
			t.Errorf("the one that waited: %+v", v)
		}
	})
}
