package authenticate

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxPrints bounds a device's fingerprints: the certificate of today, the next, and
	// what is forgotten to be removed.
	maxPrints = 8
	// deviceHole is where a template has the device's id.
	deviceHole = "{device}"
)

// CertificateSpec is the settings of the kind certificate. The listener's TLS has
// verified the certificate's chain; this says whose it is.
type CertificateSpec struct {
	// Match is what a name in the certificate has to be: a text with {device} in it,
	// once. "{device}" is the default where there are no fingerprints.
	Match string `json:"match"`
	// In says which names count: cn, dns, uri, email. The default is cn alone.
	In []string `json:"in"`
	// Fingerprints are the SHA-256 of a device's certificates in hexadecimal, colons
	// allowed. A device in this table is judged by it alone.
	Fingerprints map[string][]string `json:"fingerprints"`
	// Missing is for links without a certificate: "next" (the default) or "deny".
	Missing string `json:"missing"`
}

type certificate struct {
	match   *template // nil: by fingerprints only
	in      []string
	prints  map[string][][sha256.Size]byte
	missing Decision
	now     func() time.Time
}

func newCertificate(settings json.RawMessage, deps Deps) (Authenticator, error) {
	spec := CertificateSpec{In: []string{"cn"}}
	if err := codec.DecodeOptions(settings, &spec); err != nil {
		return nil, err
	}
	if spec.Match == "" && len(spec.Fingerprints) == 0 {
		spec.Match = deviceHole
	}
	c := &certificate{in: spec.In, now: deps.Now}
	var err error
	if spec.Match != "" {
		if c.match, err = parseTemplate("/match", spec.Match); err != nil {
			return nil, err
		}
		if len(spec.In) == 0 {
			return nil, codec.Optionf("/in", "is empty, want some of %s", nameKinds)
		}
	}
	for i, kind := range spec.In {
		if !slices.Contains(strings.Split(nameKinds, ", "), kind) {
			return nil, codec.Optionf("/in", "item %d is %q, want one of %s", i, short(kind), nameKinds)
		}
	}
	if c.prints, err = parsePrints(spec.Fingerprints); err != nil {
		return nil, err
	}
	if c.missing, err = decision("/missing", spec.Missing, Next, Next, Deny); err != nil {
		return nil, err
	}
	return c, nil
}

const nameKinds = "cn, dns, uri, email"

func parsePrints(table map[string][]string) (map[string][][sha256.Size]byte, error) {
	if len(table) > maxSecrets {
		return nil, codec.Optionf("/fingerprints", "has %d devices, at most %d are allowed", len(table), maxSecrets)
	}
	prints := make(map[string][][sha256.Size]byte, len(table))
	for device, list := range table {
		at := "/fingerprints" + token(device)
		if err := within(at, len(list), 1, maxPrints); err != nil {
			return nil, err
		}
		for _, text := range list {
			sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
			if err != nil || len(sum) != sha256.Size {
				return nil, codec.Optionf(at, "got %q, want the %d hexadecimal digits of a SHA-256",
					short(text), 2*sha256.Size)
			}
			prints[device] = append(prints[device], [sha256.Size]byte(sum))
		}
	}
	return prints, nil
}

// Authenticate implements Authenticator. An admission ends with the certificate.
func (c *certificate) Authenticate(_ context.Context, r Request) (Verdict, error) {
	if r.Certificate == nil {
		return Verdict{Decision: c.missing, Reason: "no client certificate"}, nil
	}
	if now := c.now(); now.Before(r.Certificate.NotBefore) || now.After(r.Certificate.NotAfter) {
		return deny("the client certificate is not valid now")
	}
	if prints, ok := c.prints[r.Device]; ok {
		if slices.Contains(prints, sha256.Sum256(r.Certificate.Raw)) {
			return allow("by fingerprint", r.Certificate.NotAfter)
		}
		return deny("the client certificate has another fingerprint")
	}
	if c.match == nil {
		return next()
	}
	want := c.match.fill(r.Device)
	for _, kind := range c.in {
		if r.Device != "" && slices.Contains(names(r.Certificate, kind), want) {
			return allow("by "+kind, r.Certificate.NotAfter)
		}
	}
	return deny("the client certificate is not this device's")
}

// names are compared byte by byte. Names of hosts regard no case, ids of devices do, and
// one certificate must not stand for two of them.
func names(c *x509.Certificate, kind string) []string {
	switch kind {
	case "dns":
		return c.DNSNames
	case "email":
		return c.EmailAddresses
	case "uri":
		list := make([]string, len(c.URIs))
		for i, u := range c.URIs {
			list[i] = u.String()
		}
		return list
	default:
		return []string{c.Subject.CommonName}
	}
}

// template is a text with the device's id in one place, so that no two ids make the
// same text.
type template struct{ before, after string }

func parseTemplate(at, text string) (*template, error) {
	before, after, ok := strings.Cut(text, deviceHole)
	if !ok || strings.Contains(after, deviceHole) || len(text) > maxDevice {
		return nil, codec.Optionf(at, "got %q, want a text of at most %d bytes with %s in it, once",
			short(text), maxDevice, deviceHole)
	}
	return &template{before, after}, nil
}

func (t *template) fill(device string) string { return t.before + device + t.after }
