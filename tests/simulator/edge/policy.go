package edge

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The shared access policies of the hub. PolicyName is the owner's, and the service side's:
// it may do everything. PolicyDevice may connect as any device, PolicyService may not.
const (
	PolicyName    = "iothubowner"
	PolicyDevice  = "device"
	PolicyService = "service"
)

// What is kept: the owner's key by itself, the others by their names.
const (
	keptPolicy   = "policy"
	keptPolicies = "policies"
)

// loadPolicies reads the policies' keys, or makes those that there are none of.
func (h *Hub) loadPolicies() error {
	var owner []byte
	others := map[string][]byte{}
	if h.opts.Keep != nil {
		for name, into := range map[string]any{keptPolicy: &owner, keptPolicies: &others} {
			if _, err := h.opts.Keep.Load(name, into); err != nil {
				return fmt.Errorf("load policies: %w", err)
			}
		}
	}
	complete := len(owner) > 0
	if !complete {
		owner = randomKey()
	}
	for _, name := range []string{PolicyDevice, PolicyService} {
		if len(others[name]) == 0 {
			others[name], complete = randomKey(), false
		}
	}
	h.policies = map[string][]byte{PolicyName: owner}
	for name, key := range others {
		h.policies[name] = key
	}
	if h.opts.Keep == nil || complete {
		return nil
	}
	for name, doc := range map[string]any{keptPolicy: owner, keptPolicies: others} {
		if err := h.opts.Keep.Save(name, doc); err != nil {
			return fmt.Errorf("save policies: %w", err)
		}
	}
	return nil
}

// PolicyKey returns a policy's key as base64, or nothing for a name that none has.
func (h *Hub) PolicyKey(name string) string {
	return base64.StdEncoding.EncodeToString(h.policies[name])
}

// signedByPolicy says whether the policy that a token names has signed it, and is one of
// those that may do it.
func (h *Hub) signedByPolicy(t *token, allowed ...string) error {
	switch key := h.policies[t.policy]; {
	case !slices.Contains(allowed, t.policy):
		return fmt.Errorf("%w: policy %.100q must be %s", ErrUnauthorized, t.policy, strings.Join(allowed, " or "))
	case !t.signedBy(key):
		return fmt.Errorf("%w: the token has a wrong signature", ErrUnauthorized)
	}
	return nil
}

// CheckService judges a token of the service side: made with the policy's key, for the hub
// as a whole, whose host name is IoTHub or one of hosts. Errors wrap ErrUnauthorized.
func (h *Hub) CheckService(text string, hosts ...string) error {
	t, err := parseSignature(text)
	if err != nil {
		return err
	}
	audience, err := url.PathUnescape(t.raw)
	if err != nil {
		return fmt.Errorf("%w: malformed signature: sr is not URL-encoded", ErrUnauthorized)
	}
	if !strings.EqualFold(audience, h.opts.IoTHub) && !namesOne(audience, hosts) {
		return fmt.Errorf("%w: audience %q is not the hub %q", ErrUnauthorized, audience, h.opts.IoTHub)
	}
	if h.opts.Now().After(t.expires.Add(max(h.opts.TokenSkew, 0))) {
		return fmt.Errorf("%w: the token expired", ErrUnauthorized)
	}
	return h.signedByPolicy(t, PolicyName)
}

// namesOne compares without regard to ports.
func namesOne(host string, hosts []string) bool {
	return slices.ContainsFunc(hosts, func(one string) bool { return strings.EqualFold(hostName(host), one) })
}
