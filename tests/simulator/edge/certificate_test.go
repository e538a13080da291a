package edge_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/pki"
	"github.com/causeway-iot/causeway/tests/simulator/state"
)

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := pki.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func chain(t *testing.T, a *pki.Authority, r pki.Request) []*x509.Certificate {
	t.Helper()
	issued, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	var list []*x509.Certificate
	for rest := issued.Chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return list
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
}

func TestCertificatesSpeakForTheirIdentity(t *testing.T) {
	t.Parallel()
	ours, foreign := authority(t), authority(t)
	h := newHub(t, edge.Options{ClientCAs: ours.Pool()})
	leaf := edge.Identity{Device: "leaf"}
	if err := h.AddIdentity(leaf, ""); err != nil {
		t.Fatal(err)
	}
	const uri = "azureiot://" + edge.DefaultIoTHub + "/devices/edge/modules/"
	m := pki.Request{CommonName: "m", URIs: []string{uri + "m"}, Client: true}
	cases := []struct {
		name  string
		id    edge.Identity
		chain []*x509.Certificate
		want  bool
	}{
		{"a device by its name", leaf, chain(t, ours, pki.Request{CommonName: "leaf", Client: true}), true},
		{"a module by its URI", module("m"), chain(t, ours, m), true},
		{"a module by its name", module("m"), chain(t, ours, pki.Request{CommonName: "m", Client: true}), false},
		{"another module's", module("n"), chain(t, ours, m), false},
		{"of another authority", module("m"), chain(t, foreign, m), false},
		{"a server's", leaf, chain(t, ours, pki.Request{CommonName: "leaf"}), false},
		{"of a stranger", edge.Identity{Device: "x"}, chain(t, ours, pki.Request{CommonName: "x", Client: true}), false},
		{"none", leaf, nil, false},
	}
	for _, c := range cases {
		err := h.AuthenticateCertificate(c.id, c.chain)
		if (err == nil) != c.want || err != nil && !errors.Is(err, edge.ErrUnauthorized) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
