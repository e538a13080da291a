package authenticate

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// allows measures how fast a device is let in again.
func allows(b *testing.B, a Authenticator, claim Request) {
	b.Helper()
	c := NewChain([]Named{{"a", a}}, ChainOptions{Now: deps().Now})
	if v := c.Authenticate(b.Context(), claim); v.Decision != Allow {
		b.Fatalf("%+v", v)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Authenticate(b.Context(), claim)
	}
}

func BenchmarkDatabaseAgain(b *testing.B) {
	db := database(b, b.TempDir(), 0)
	put(b, db, Device{ID: "d"}, Password{Plain: "password"})
	allows(b, db, Request{Device: "d", Secret: "password"})
}

func BenchmarkHTTPAgain(b *testing.B) {
	w := served(b, replies(200, "", ""))
	allows(b, made(b, "http", w.settings("/", ""), deps()), Request{Device: "d", Secret: "password"})
}

func BenchmarkJWTByFetchedKey(b *testing.B) {
	k := keys()
	i := issues(b, set(ecJWK("1", "P-256", &k.p256.PublicKey)))
	a := made(b, "jwt", `{"jwks":`+i.settings("/keys", "")+`}`, deps())
	allows(b, a, Request{Device: "d", Secret: signed(b, jwt.SigningMethodES256, k.p256, "1", good(nil))})
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		hashed("password")
	}
}

func BenchmarkGuard(b *testing.B) {
	g, _ := guarded(GuardOptions{})
	for i := range 1000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		if err := g.Ban(Ban{Range: p}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		remote := netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})
		if ok, _, _ := g.Check(remote, "d"); ok {
			g.Failed(remote, fmt.Sprint(i%100_000))
		}
	}
}
