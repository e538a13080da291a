package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxToken bounds a token in bytes; real ones have a few hundred.
const maxToken = 8192

// maxDenied bounds the tokens that were expired by hand.
const maxDenied = 10000

// token is a parsed shared access signature.
type token struct {
	// raw is sr as received: the signature is over exactly that.
	raw       string
	policy    string
	host      string
	id        Identity
	signature []byte
	expiry    string
	expires   time.Time
}

// parseToken reads a client's token: its audience is a device or a module.
func parseToken(text string) (*token, error) {
	t, err := parseSignature(text)
	if err != nil {
		return nil, err
	}
	return t, t.readAudience()
}

// parseSignature reads "SharedAccessSignature sr=..&sig=..&se=..[&skn=..]" as the hub does.
func parseSignature(text string) (*token, error) {
	if len(text) > maxToken {
		return nil, fmt.Errorf("%w: token has %d bytes, at most %d are allowed", ErrUnauthorized, len(text), maxToken)
	}
	parts := strings.Fields(text)
	if len(parts) != 2 || parts[0] != "SharedAccessSignature" {
		return nil, fmt.Errorf("%w: malformed signature: it must be SharedAccessSignature and its fields", ErrUnauthorized)
	}
	fields := map[string]string{}
	for _, field := range strings.Split(parts[1], "&") {
		name, value, ok := strings.Cut(field, "=")
		if _, twice := fields[name]; !ok || twice {
			return nil, fmt.Errorf("%w: malformed signature: field %q", ErrUnauthorized, name)
		}
		fields[name] = value
	}
	for _, name := range []string{"sr", "sig", "se"} {
		if fields[name] == "" {
			return nil, fmt.Errorf("%w: malformed signature: field %s is missing", ErrUnauthorized, name)
		}
	}
	t := &token{raw: fields["sr"], expiry: fields["se"], policy: fields["skn"]}
	seconds, err := strconv.ParseInt(t.expiry, 10, 64)
	if err != nil || seconds < 0 {
		return nil, fmt.Errorf("%w: malformed signature: se %q must be seconds since 1970", ErrUnauthorized, t.expiry)
	}
	t.expires = time.Unix(seconds, 0)
	return t, t.readSignature(fields["sig"])
}

func (t *token) readSignature(sig string) error {
	decoded, err := url.PathUnescape(sig)
	if err == nil {
		t.signature, err = base64.StdEncoding.DecodeString(decoded)
	}
	if err != nil {
		return fmt.Errorf("%w: malformed signature: sig must be URL-encoded base64", ErrUnauthorized)
	}
	return nil
}

// readAudience splits host/devices/{d}[/modules/{m}]; ids may be encoded once more.
func (t *token) readAudience() error {
	audience, err := url.QueryUnescape(t.raw)
	if err != nil {
		return fmt.Errorf("%w: malformed signature: sr is not URL-encoded", ErrUnauthorized)
	}
	parts := strings.Split(audience, "/")
	shape := len(parts) == 3 || len(parts) == 5 && strings.EqualFold(parts[3], "modules")
	if !shape || !strings.EqualFold(parts[1], "devices") || parts[2] == "" || parts[len(parts)-1] == "" {
		return fmt.Errorf("%w: audience %q must be host/devices/{device} or host/devices/{device}/modules/{module}",
			ErrUnauthorized, audience)
	}
	t.host, t.id.Device = parts[0], unescapeID(parts[2])
	if len(parts) == 5 {
		t.id.Module = unescapeID(parts[4])
	}
	return nil
}

func unescapeID(part string) string {
	if decoded, err := url.QueryUnescape(part); err == nil {
		return decoded
	}
	return part
}

func (t *token) signedBy(key []byte) bool {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(t.raw + "\n" + t.expiry))
	return hmac.Equal(mac.Sum(nil), t.signature)
}

// CheckToken implements Head. Errors wrap ErrUnauthorized.
func (h *Hub) CheckToken(text string) (Identity, time.Time, error) {
	t, err := h.checkToken(text)
	if err != nil {
		return Identity{}, time.Time{}, err
	}
	h.tallyOf(t.id).tokens.Add(1)
	return t.id, t.expires, nil
}

func (h *Hub) checkToken(text string) (*token, error) {
	t, err := parseToken(text)
	if err != nil {
		return nil, err
	}
	return t, h.fresh(t, text)
}

// fresh judges a token's expiry.
func (h *Hub) fresh(t *token, text string) error {
	h.mu.Lock()
	_, denied := h.denied[text]
	h.mu.Unlock()
	if skew := max(h.opts.TokenSkew, 0); denied || h.opts.Now().After(t.expires.Add(skew)) {
		return fmt.Errorf("%w: the token of %s expired at %s", ErrUnauthorized, t.id,
			t.expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// speaksFor says whether the token's audience names the identity.
func (t *token) speaksFor(id Identity) bool {
	return strings.EqualFold(t.id.Device, id.Device) && strings.EqualFold(t.id.Module, id.Module)
}

// Authenticate implements Head. A token is good for an identity when its audience names
// that identity, or when it is signed with the key of the identity's own device. Errors
// wrap ErrUnauthorized.
func (h *Hub) Authenticate(id Identity, text string) error {
	return h.counted(id, h.authenticate(id, text))
}

// counted counts a refusal, if it is one, and returns it.
func (h *Hub) counted(id Identity, err error) error {
	if err != nil {
		h.tallyOf(id).refused.Add(1)
	}
	return err
}

func (h *Hub) authenticate(id Identity, text string) error {
	t, err := h.checkToken(text)
	if err != nil {
		return err
	}
	if !h.ownHost(t.host) {
		return fmt.Errorf("%w: audience host %q is neither %q nor %q", ErrUnauthorized, t.host, h.opts.IoTHub, h.opts.Gateway)
	}
	return h.judge(id, t, text, true)
}

// judge says whether the token speaks for the identity, which is known and may connect. An
// edge hub wants it in its scope.
func (h *Hub) judge(id Identity, t *token, text string, scoped bool) error {
	if !t.speaksFor(id) {
		return fmt.Errorf("%w: the token of %s does not speak for %s", ErrUnauthorized, t.id, id)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	own, err := h.enabled(id, scoped)
	if err != nil {
		return err
	}
	signers := []*credentials{own}
	if device := h.identities[Identity{Device: id.Device}]; device != nil {
		signers = append(signers, device)
	}
	for _, c := range signers {
		if t.signedBy(c.primary) || t.signedBy(c.secondary) {
			h.tokens[id] = text
			return nil
		}
	}
	return fmt.Errorf("%w: the token of %s has a wrong signature", ErrUnauthorized, id)
}

// enabled returns an identity that may connect. Caller holds mu.
func (h *Hub) enabled(id Identity, scoped bool) (*credentials, error) {
	own, ok := h.identities[id]
	switch {
	case !ok, scoped && !h.inScope(id):
		return nil, fmt.Errorf("%w: %s is not in the device's scope", ErrUnauthorized, id)
	case own.disabled:
		return nil, fmt.Errorf("%w: %s is disabled", ErrUnauthorized, id)
	}
	return own, nil
}

// ownHost compares without regard to ports, which a gateway away from 5671 carries.
func (h *Hub) ownHost(host string) bool {
	return strings.EqualFold(host, h.opts.IoTHub) || strings.EqualFold(hostName(host), hostName(h.opts.Gateway))
}

func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// ExpireTokens treats the tokens in use as expired from now on, for one identity or, with
// nil, for all. With closeNow the sessions end at once, otherwise at the head's next
// re-authentication. It returns how many tokens were in use.
func (h *Hub) ExpireTokens(id *Identity, closeNow bool) int {
	h.mu.Lock()
	var expired []Identity
	for owner, text := range h.tokens {
		if id != nil && owner != *id {
			continue
		}
		if len(h.denied) >= maxDenied {
			clear(h.denied)
		}
		h.denied[text] = struct{}{}
		delete(h.tokens, owner)
		expired = append(expired, owner)
	}
	h.mu.Unlock()
	if closeNow {
		for _, owner := range expired {
			h.closeSession(owner, "the token expired")
		}
	}
	return len(expired)
}

// Sign makes a token for an identity with its primary key, as a client would.
func (h *Hub) Sign(id Identity, life time.Duration) (string, error) {
	k, err := h.Known(id)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	audience := h.opts.IoTHub + "/devices/" + url.QueryEscape(id.Device)
	if id.Module != "" {
		audience += "/modules/" + url.QueryEscape(id.Module)
	}
	key, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	raw := url.QueryEscape(audience)
	expiry := strconv.FormatInt(h.opts.Now().Add(life).Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(raw + "\n" + expiry))
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return "SharedAccessSignature sr=" + raw + "&sig=" + sig + "&se=" + expiry, nil
}
