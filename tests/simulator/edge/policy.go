package edge

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// PolicyName is the shared access policy of the service side. It may do everything.
const PolicyName = "iothubowner"

const keptPolicy = "policy"

// loadPolicy reads the policy's key, or makes one.
func (h *Hub) loadPolicy() error {
	if h.opts.Keep != nil {
		found, err := h.opts.Keep.Load(keptPolicy, &h.policyKey)
		if err != nil {
			return fmt.Errorf("load policy: %w", err)
		}
		if found {
			return nil
		}
	}
	h.policyKey = randomKey()
	if h.opts.Keep == nil {
		return nil
	}
	if err := h.opts.Keep.Save(keptPolicy, h.policyKey); err != nil {
		return fmt.Errorf("save policy: %w", err)
	}
	return nil
}

// PolicyKey returns the policy's key as base64.
func (h *Hub) PolicyKey() string { return base64.StdEncoding.EncodeToString(h.policyKey) }

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
	named := strings.EqualFold(audience, h.opts.IoTHub)
	for _, host := range hosts {
		named = named || strings.EqualFold(hostName(audience), host)
	}
	switch {
	case !named:
		return fmt.Errorf("%w: audience %q is not the hub %q", ErrUnauthorized, audience, h.opts.IoTHub)
	case t.policy != PolicyName:
		return fmt.Errorf("%w: policy %q must be %s", ErrUnauthorized, t.policy, PolicyName)
	case h.opts.Now().After(t.expires.Add(max(h.opts.TokenSkew, 0))):
		return fmt.Errorf("%w: the token expired", ErrUnauthorized)
	case !t.signedBy(h.policyKey):
		return fmt.Errorf("%w: the token has a wrong signature", ErrUnauthorized)
	}
	return nil
}
