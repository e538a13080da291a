package authenticate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// tokens is the authenticator of the kind jwt.
type tokens struct {
	parser    *jwt.Parser
	keys      []key
	fetched   *keySet // nil for none
	claim     string
	match     *template
	leeway    time.Duration
	otherwise Decision
	workers   *Passwords // whose workers check signatures
}

func newJWT(settings json.RawMessage, deps Deps) (Authenticator, error) {
	spec, err := parseJWT(settings)
	if err != nil {
		return nil, err
	}
	t := &tokens{
		claim: spec.Claim, leeway: time.Duration(spec.LeewaySeconds) * time.Second, workers: deps.Passwords,
	}
	if t.match, err = parseTemplate("/match", spec.Match); err != nil {
		return nil, err
	}
	if t.otherwise, err = decision("/otherwise", spec.Otherwise, Next, Next, Deny); err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(spec.Keys)) {
		static := spec.Keys[id]
		k, err := static.read("/keys"+token(id), id, deps)
		if err != nil {
			return nil, err
		}
		t.keys = append(t.keys, k)
	}
	if spec.JWKS != nil {
		if t.fetched, err = newKeySet(spec.JWKS, deps); err != nil {
			return nil, err
		}
	}
	methods := spec.Algorithms
	if len(methods) == 0 {
		methods = strings.Split(algorithms, ", ")
	}
	if !t.canVerify(methods) {
		return nil, codec.Optionf("/algorithms", "no key has one of them")
	}
	t.parser = jwt.NewParser(t.options(spec, methods, deps)...)
	return t, nil
}

// canVerify tells whether any key fits the allowed algorithms.
func (t *tokens) canVerify(methods []string) bool {
	if t.fetched != nil {
		return true // which keys it has is not known yet
	}
	return slices.ContainsFunc(t.keys, func(k key) bool {
		return slices.ContainsFunc(k.algorithms, func(a string) bool { return slices.Contains(methods, a) })
	})
}

func (t *tokens) options(spec *JWTSpec, methods []string, deps Deps) []jwt.ParserOption {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithTimeFunc(deps.Now), jwt.WithLeeway(t.leeway),
		jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
	}
	if !spec.Endless {
		options = append(options, jwt.WithExpirationRequired())
	}
	if spec.Issuer != "" {
		options = append(options, jwt.WithIssuer(spec.Issuer))
	}
	if len(spec.Audience) > 0 {
		options = append(options, jwt.WithAudience(spec.Audience...))
	}
	return options
}

// Close implements io.Closer.
func (t *tokens) Close() error {
	if t.fetched == nil {
		return nil
	}
	return io.Closer(t.fetched).Close()
}

// Authenticate implements Authenticator. A secret that is no token is the next one's: it
// may be a password. One that is a token, and not a good one, is refused.
func (t *tokens) Authenticate(ctx context.Context, r Request) (Verdict, error) {
	if len(r.Secret) > maxSecret || len(r.Device) > maxDevice {
		return deny("the id or the token is too long")
	}
	head, ok := looksLikeToken(r.Secret)
	if !ok {
		return Verdict{Decision: t.otherwise, Reason: "no token"}, nil
	}
	keys, err := t.candidates(ctx, head)
	if err != nil {
		return Verdict{}, err
	}
	if len(keys) == 0 {
		return deny("the token is signed with an unknown key")
	}
	claims := jwt.MapClaims{}
	if busy := t.workers.Work(ctx, func() { err = t.verify(r.Secret, claims, keys) }); busy != nil {
		return Verdict{}, busy
	}
	if err != nil {
		return deny(refusal(err))
	}
	return t.admit(r.Device, claims)
}

// verify checks a token with each of the keys until one fits, and reads its claims.
func (t *tokens) verify(text string, claims jwt.MapClaims, keys []key) error {
	_, err := t.parser.ParseWithClaims(text, claims, func(parsed *jwt.Token) (any, error) {
		var set jwt.VerificationKeySet
		for _, k := range keys { // by what the library has read, which is what it verifies with
			if slices.Contains(k.algorithms, parsed.Method.Alg()) {
				set.Keys = append(set.Keys, k.value)
			}
		}
		return set, nil
	})
	return err
}

// admit judges the claims of a token that is good otherwise.
func (t *tokens) admit(device string, claims jwt.MapClaims) (Verdict, error) {
	if device == "" || !isOrHas(claims[t.claim], t.match.fill(device)) {
		return deny("the token is another device's")
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return allow("by token", time.Time{})
	}
	return allow("by token", expires.Add(t.leeway))
}

// isOrHas tells whether a claim is a text, or has it in its list.
func isOrHas(claim any, want string) bool {
	switch claim := claim.(type) {
	case string:
		return claim == want
	case []any:
		return slices.Contains(claim, any(want))
	default:
		return false
	}
}

// header is the part of a token that says how it is verified.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// looksLikeToken tells a token from a password: three parts, of which the first is the
// header.
func looksLikeToken(secret string) (h header, ok bool) {
	first, rest, _ := strings.Cut(secret, ".")
	if strings.Count(rest, ".") != 1 {
		return h, false
	}
	raw, err := jwt.NewParser().DecodeSegment(first)
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return h, false
	}
	return h, h.Algorithm != ""
}

// candidates are the keys that a token may be signed with. The error is that of a
// fetch that failed while the key was needed.
func (t *tokens) candidates(ctx context.Context, h header) ([]key, error) {
	found := fitting(t.keys, h)
	if t.fetched == nil || len(found) > 0 && h.KeyID != "" {
		return found, nil
	}
	fetched, err := t.fetched.find(ctx, h)
	if err != nil {
		return nil, err
	}
	return append(found, fetched...), nil
}

func fitting(keys []key, h header) (found []key) {
	for _, k := range keys {
		if slices.Contains(k.algorithms, h.Algorithm) && (h.KeyID == "" || k.id == "" || k.id == h.KeyID) {
			found = append(found, k)
		}
	}
	return found
}

// refusal is the reason for a token that is not good. The library's own texts are not
// used: some show parts of the token.
func refusal(err error) string {
	for _, r := range []struct {
		is   error
		text string
	}{
		{jwt.ErrTokenMalformed, "the token is malformed"},
		{jwt.ErrTokenSignatureInvalid, "the token's signature is wrong"},
		{jwt.ErrTokenUnverifiable, "the token cannot be verified"},
		{jwt.ErrTokenRequiredClaimMissing, "the token lacks a claim, or never expires"},
		{jwt.ErrTokenExpired, "the token is expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "the token is from the future"},
		{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
		{jwt.ErrTokenInvalidIssuer, "the token is of another issuer"},
	} {
		if errors.Is(err, r.is) {
			return r.text
		}
	}
	return "the token is not valid"
}
