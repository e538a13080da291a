package edge

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// AuthenticateCertificate judges a client certificate in place of a token: leaf first, as
// TLS presents it. It must lead to one of Options.ClientCAs and be that of the identity: a
// device's by its common name, a module's by the azureiot URI that the workload API writes.
// The identity must be in the device's scope and enabled, as with a token. Errors wrap
// ErrUnauthorized.
func (h *Hub) AuthenticateCertificate(id Identity, chain []*x509.Certificate) error {
	return h.counted(id, h.authenticateCertificate(id, chain, true))
}

func (h *Hub) authenticateCertificate(id Identity, chain []*x509.Certificate, scoped bool) error {
	if err := h.judgeCertificate(id, chain); err != nil {
		return fmt.Errorf("%w: certificate for %s: %w", ErrUnauthorized, id, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.enabled(id, scoped)
	return err
}

func (h *Hub) judgeCertificate(id Identity, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("there is none")
	}
	if h.opts.ClientCAs == nil {
		return errors.New("the hub trusts no authority of clients")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: h.opts.ClientCAs, Intermediates: between, CurrentTime: h.opts.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	if !h.names(id, chain[0]) {
		return fmt.Errorf("it is that of %q", chain[0].Subject.CommonName)
	}
	return nil
}

// names tells whether the certificate is the identity's own.
func (h *Hub) names(id Identity, c *x509.Certificate) bool {
	if id.Module == "" {
		return c.Subject.CommonName == id.Device
	}
	want := "azureiot://" + h.opts.IoTHub + "/devices/" + id.Device + "/modules/" + id.Module
	texts := slices.Clone(c.DNSNames)
	for _, u := range c.URIs {
		texts = append(texts, u.String())
	}
	return slices.ContainsFunc(texts, func(text string) bool { return strings.EqualFold(text, want) })
}
