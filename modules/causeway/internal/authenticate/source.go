package authenticate

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxSource bounds what a file or a variable holds: a key, or a bundle of
	// certificates.
	maxSource = 256 << 10
	// leastSecret is how long a secret must be that is compared without the time that
	// a password hash takes: nothing else slows guesses down.
	leastSecret = 12
)

// hiddenText is text of the settings that no fault may show.
type hiddenText string

// UnmarshalJSON implements json.Unmarshaler; the usual fault would show the value.
func (h *hiddenText) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, (*string)(h)) != nil {
		return codec.Optionf("", "want a string")
	}
	return nil
}

// source says where a secret is.
type source struct {
	// Env is an environment variable, File a path, Text the secret itself: exactly one.
	Env  string     `json:"env"`
	File string     `json:"file"`
	Text hiddenText `json:"text"`
}

const sourceForm = `want exactly one of {"env": "NAME"}, {"file": "/path"} and {"text": "..."}`

// UnmarshalJSON implements json.Unmarshaler, so that a secret that was written where the
// object belongs is not shown.
func (s *source) UnmarshalJSON(raw []byte) error {
	type plain source
	if raw[0] != '{' {
		return codec.Optionf("", sourceForm)
	}
	return codec.DecodeOptions(raw, (*plain)(s))
}

// read returns what the source holds, without a newline at its end. Faults never show it.
func (s *source) read(at string, deps Deps) (string, error) {
	var text string
	switch {
	case s == nil || count(s.Env != "", s.File != "", s.Text != "") != 1:
		return "", codec.Optionf(at, sourceForm)
	case s.Env != "":
		var ok bool
		if deps.Environment != nil {
			text, ok = deps.Environment(s.Env)
		}
		if !ok {
			return "", codec.Optionf(at+"/env", "the environment has no variable %q", short(s.Env))
		}
	case s.File != "":
		if deps.ReadFile == nil {
			return "", codec.Optionf(at+"/file", "files cannot be read here")
		}
		b, err := deps.ReadFile(s.File)
		if err != nil {
			return "", codec.Optionf(at+"/file", "%v", err)
		}
		text = string(b)
	default:
		text = string(s.Text)
	}
	text = strings.TrimRight(text, "\r\n")
	if text == "" || len(text) > maxSource {
		return "", codec.Optionf(at, "has %d bytes, allowed are 1 to %d", len(text), maxSource)
	}
	return text, nil
}

func count(set ...bool) (n int) {
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

// credential is what a secret is compared with.
type credential struct {
	// Hash is a password hash, SHA256 that of a random token in hexadecimal; or the
	// secret's source: exactly one.
	Hash   hiddenText `json:"hash"`
	SHA256 hiddenText `json:"sha256"`
	Env    string     `json:"env"`
	File   string     `json:"file"`
	Text   hiddenText `json:"text"`
}

const credentialForm = `want exactly one of {"hash": "$argon2id$..."}, {"sha256": "..."}, {"env": "NAME"}, ` +
	`{"file": "/path"} and {"text": "..."}`

// UnmarshalJSON implements json.Unmarshaler, as that of source.
func (c *credential) UnmarshalJSON(raw []byte) error {
	type plain credential
	if raw[0] != '{' {
		return codec.Optionf("", credentialForm)
	}
	return codec.DecodeOptions(raw, (*plain)(c))
}

// proof is a compiled credential: a password hash, or the SHA-256 of a secret, which
// makes the comparison take the same time whatever the length.
type proof struct {
	hash string
	sum  [sha256.Size]byte
}

func (c *credential) compile(at string, deps Deps) (proof, error) {
	if count(c.Hash != "", c.SHA256 != "", c.Env != "", c.File != "", c.Text != "") != 1 {
		return proof{}, codec.Optionf(at, credentialForm)
	}
	switch {
	case c.Hash != "":
		return hashProof(at+"/hash", string(c.Hash))
	case c.SHA256 != "":
		var p proof
		sum, err := hex.DecodeString(string(c.SHA256))
		if err != nil || copy(p.sum[:], sum) != len(p.sum) || len(sum) != len(p.sum) {
			return proof{}, codec.Optionf(at+"/sha256", "want %d hexadecimal digits", 2*len(p.sum))
		}
		return p, nil
	}
	text, err := (&source{Env: c.Env, File: c.File, Text: c.Text}).read(at, deps)
	switch {
	case err != nil:
		return proof{}, err
	case strings.HasPrefix(text, "$"): // a file or variable with a hash, as the database keeps it
		return hashProof(at, text)
	case len(text) < leastSecret:
		return proof{}, codec.Optionf(at, "the secret has %d bytes, at least %d are needed; a shorter "+
			"password can be given as its hash, which slows guesses down", len(text), leastSecret)
	}
	return proof{sum: sha256.Sum256([]byte(text))}, nil
}

func hashProof(at, text string) (proof, error) {
	if _, err := parseHash(text); err != nil {
		return proof{}, codec.Optionf(at, "%v", err)
	}
	return proof{hash: text}, nil
}

// equals compares in constant time a secret that has no password hash.
func (p proof) equals(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], p.sum[:]) == 1
}
