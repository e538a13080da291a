package authenticate

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
)

// TestAPlantedSecretIsNowhere sends claims with secrets through every kind, good and
// bad, and looks for them in everything that people come to see.
func TestAPlantedSecretIsNowhere(t *testing.T) {
	const word = `planted "s&cret"/+é`
	forms := []string{
		word, "planted", url.QueryEscape(word), url.PathEscape(word), hex.EncodeToString([]byte(word)),
		base64.StdEncoding.EncodeToString([]byte(word)), base64.RawURLEncoding.EncodeToString([]byte(word)),
	}
	d := deps()
	d.Database = database(t, t.TempDir(), 0)
	put(t, d.Database, Device{ID: "d"}, Password{Plain: word})
	put(t, d.Database, Device{ID: "e"}, Password{Plain: "another"})
	busy := d
	busy.Passwords = NewPasswords(NewWorkers(WorkersOptions{}), nil)
	busy.Passwords.workers.Close()
	echo := func(status int, form func(string) string) string {
		return served(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"reason": "wrong: " + form(word)})
		}).settings("/?s={secret}", "")
	}
	same := func(s string) string { return s }
	token := signed(t, jwt.SigningMethodHS256, hmacKey, "h", good(jwt.MapClaims{"planted": word}))
	const jwtKey = `{"keys":{"h":{"secret":{"env":"HMAC"}}}`
	var text bytes.Buffer
	log := zerolog.New(&text)
	for _, c := range []struct {
		kind, settings, secret string
		with                   Deps
	}{
		{"database", `{}`, word, d},
		{"database", `{}`, word + "x", d},
		{"secret", fmt.Sprintf(`{"devices":{"d":{"hash":%q},"e":{"text":"planted-otherwise"}}}`, hashOfPassword), word, d},
		{"secret", fmt.Sprintf(`{"devices":{"d":{"hash":%q}}}`, hashOfPassword), word, busy},
		{"http", echo(200, same), word, d},
		{"http", echo(403, same), word, d},
		{"http", echo(403, url.QueryEscape), word, d},
		{"http", echo(403, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }), word, d},
		{"http", echo(500, same), word, d},
		{"http", fmt.Sprintf(`{"url":"%s/{secret}?s={secret}","method":"GET","plain":true}`, echoes(t)), word, d},
		{"http", `{"url":"http://127.0.0.1:1/{secret}","plain":true}`, word, d},
		{"http", `{"url":"https://127.0.0.1:1/","headers":{"X":"{secret}"}}`, word + "\n", d},
		{"jwt", jwtKey + `}`, word, d},
		{"jwt", jwtKey + `}`, token, d},
		{"jwt", jwtKey + `}`, token[:len(token)-2] + "AA", d},
		{"jwt", jwtKey + `}`, b64([]byte(`{"alg":"planted","kid":"planted"}`)) + "." + b64([]byte(`{"exp":"planted"}`)) + ".eA", d},
		{"jwt", jwtKey + `,"issuer":"me"}`, token, d},
		{"pattern", `{"match":"d","decision":"deny"}`, word, d},
		{"certificate", `{"missing":"deny"}`, word, d},
		{"addresses", `{"otherwise":"deny"}`, word, d},
	} {
		a := made(t, c.kind, c.settings, c.with)
		for _, device := range []string{"d", "e"} {
			claim := Request{Listener: "l", Device: device, Secret: c.secret}
			chain := NewChain([]Named{{c.kind, a}}, ChainOptions{Now: c.with.Now, Failed: func(by string, err error) {
				log.Error().Err(err).Str("by", by).Msg("cannot tell")
			}})
			v := chain.Authenticate(t.Context(), claim)
			log.Info().Interface("claim", claim).Stringer("of", claim).Interface("verdict", v).Msg("judged")
			fmt.Fprintf(&text, "%v %+v %#v %s %v %+v %#v\n", claim, claim, claim, &claim, v, v, v)
		}
	}
	for _, v := range []any{Password{Plain: word}, &Password{Hash: word}, first(d.Database.List("", 10))} {
		fmt.Fprintf(&text, "%v %+v %#v\n", v, v, v)
	}
	for number, line := range strings.Split(text.String(), "\n") {
		for _, form := range append(forms, token, "$argon2id$") {
			if strings.Contains(line, form) {
				t.Errorf("line %d shows %q: %s", number, form, line)
			}
		}
	}
	if text.Len() < 1000 || !strings.Contains(text.String(), "cannot tell") || !strings.Contains(text.String(), "wrong password") {
		t.Errorf("little was said: %s", text.String())
	}
}

func first[T any](v T, _ error) T { return v }

func TestAnAdmissionByPasswordAndItsMemoryHoldNoPlainSecret(t *testing.T) {
	p := NewPasswords(nil, func() time.Time { return noon })
	if ok, err := p.Matches(t.Context(), hashOfPassword, "password"); !ok || err != nil {
		t.Fatal(err)
	}
	for _, key := range p.right.Keys() {
		if bytes.Contains(key[:], []byte("password")) {
			t.Error("the secret is kept")
		}
	}
	if a, b := newSealer().seal("a", "bc"), newSealer().seal("a", "bc"); a == b {
		t.Error("the key of digests is the same each time")
	}
	if s := newSealer(); s.seal("a", "bc") == s.seal("ab", "c") {
		t.Error("digests do not tell parts apart")
	}
}
