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
	cloud, err := edge.NewCloud(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, barred, outside := edge.Identity{Device: "leaf"}, edge.Identity{Device: "barred"}, edge.Identity{Device: "outside"}
	for _, id := range []edge.Identity{leaf, barred, module("barred")} {
		if err := h.AddIdentity(id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Register(edge.Entry{KnownIdentity: edge.KnownIdentity{Identity: outside}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []edge.Identity{barred, module("barred")} {
		if err := h.SetDisabled(id, true); err != nil {
			t.Fatal(err)
		}
	}
	const uri = "azureiot://" + edge.DefaultIoTHub + "/devices/edge/modules/"
	device := func(name string) []*x509.Certificate {
		return chain(t, ours, pki.Request{CommonName: name, Client: true})
	}
	m := pki.Request{CommonName: "m", URIs: []string{uri + "m"}, Client: true}
	cases := []struct {
		name        string
		id          edge.Identity
		chain       []*x509.Certificate
		want, cloud bool
	}{
		{"a device by its name", leaf, device("leaf"), true, true},
		{"a module by its URI", module("m"), chain(t, ours, m), true, true},
		{"a module by its name", module("m"), device("m"), false, false},
		{"another module's", module("n"), chain(t, ours, m), false, false},
		{"of another authority", module("m"), chain(t, foreign, m), false, false},
		{"a server's", leaf, chain(t, ours, pki.Request{CommonName: "leaf"}), false, false},
		{"of a stranger", edge.Identity{Device: "x"}, device("x"), false, false},
		{"none", leaf, nil, false, false},
		{"of a device out of the scope", outside, device("outside"), false, true},
		{"of a disabled device", barred, device("barred"), false, false},
		{"of a disabled module", module("barred"),
			chain(t, ours, pki.Request{CommonName: "barred", URIs: []string{uri + "barred"}, Client: true}), false, false},
	}
	for _, c := range cases {
		before := h.IdentityStats()[c.id.String()].Refused
		err := h.AuthenticateCertificate(c.id, c.chain)
		if (err == nil) != c.want || err != nil && !errors.Is(err, edge.ErrUnauthorized) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := h.Entry(c.id); err == nil && (h.IdentityStats()[c.id.String()].Refused == before) != c.want {
			t.Errorf("%s: refusals went from %d to %d", c.name, before, h.IdentityStats()[c.id.String()].Refused)
		}
		err = cloud.AuthenticateCertificate(c.id, c.chain)
		if (err == nil) != c.cloud || err != nil && !errors.Is(err, edge.ErrUnauthorized) {
			t.Errorf("%s, at the cloud: %v", c.name, err)
		}
	}
}

func TestACertificateIsJudgedAgainWhenItsDeviceIsDisabled(t *testing.T) {
	t.Parallel()
	ours := authority(t)
	h := newHub(t, edge.Options{ClientCAs: ours.Pool()})
	leaf := edge.Identity{Device: "leaf"}
	if err := h.AddIdentity(leaf, ""); err != nil {
		t.Fatal(err)
	}
	own := chain(t, ours, pki.Request{CommonName: "leaf", Client: true})
	for _, disabled := range []bool{false, true, false} {
		if err := h.SetDisabled(leaf, disabled); err != nil {
			t.Fatal(err)
		}
		if err := h.AuthenticateCertificate(leaf, own); (err != nil) != disabled {
			t.Errorf("disabled %t: %v", disabled, err)
		}
	}
}
