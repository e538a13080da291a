package authenticate

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxPattern bounds a pattern. RE2 takes time in proportion to it and to the id.
const maxPattern = 1024

// PatternSpec is the settings of the kind pattern.
type PatternSpec struct {
	// Match is a regular expression (RE2) for the whole id.
	Match string `json:"match"`
	// Decision is what is said of ids that match: "allow" (the default) or "deny".
	Decision string `json:"decision"`
	// Otherwise is for the others: "next" (the default) or "deny".
	Otherwise string `json:"otherwise"`
}

// pattern is the authenticator of the kind pattern. It looks at the id alone, which
// anybody can claim.
type pattern struct {
	match               *regexp.Regexp
	decision, otherwise Decision
}

func newPattern(settings json.RawMessage) (Authenticator, error) {
	var spec PatternSpec
	if err := codec.DecodeOptions(settings, &spec); err != nil {
		return nil, err
	}
	if spec.Match == "" || len(spec.Match) > maxPattern {
		return nil, codec.Optionf("/match", "has %d bytes, allowed are 1 to %d", len(spec.Match), maxPattern)
	}
	if _, err := regexp.Compile(spec.Match); err != nil { // by itself, so that no ) closes ours
		return nil, codec.Optionf("/match", "%v", err)
	}
	p := &pattern{}
	var err error
	if p.match, err = regexp.Compile(`\A(?:` + spec.Match + `)\z`); err != nil {
		return nil, codec.Optionf("/match", "%v", err)
	}
	if p.decision, err = decision("/decision", spec.Decision, Allow, Allow, Deny); err != nil {
		return nil, err
	}
	if p.otherwise, err = decision("/otherwise", spec.Otherwise, Next, Next, Deny); err != nil {
		return nil, err
	}
	return p, nil
}

// Authenticate implements Authenticator.
func (p *pattern) Authenticate(_ context.Context, r Request) (Verdict, error) {
	switch {
	case len(r.Device) > maxDevice:
		return deny("the id is too long")
	case p.match.MatchString(r.Device):
		return Verdict{Decision: p.decision, Reason: "the id matches the pattern"}, nil
	default:
		return Verdict{Decision: p.otherwise, Reason: "the id does not match the pattern"}, nil
	}
}
