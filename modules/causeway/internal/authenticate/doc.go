// Package authenticate decides who a device is allowed to be. A codec says who the
// device claims to be, and what it has to show for it: a [Request]. A [Chain] of
// authenticators says allow, deny or next, each asked in turn until one has an opinion.
// When none has, the device is unknown, and its listener's policy decides.
//
// A chain for trackers that log in with a token, and for older ones that only send their
// number, from the operator's own network:
//
//	[
//	  {"kind": "jwt", "settings": {
//	    "jwks": {"url": "https://login.example/keys"}, "audience": ["trackers"]}},
//	  {"kind": "addresses", "settings": {"next": ["10.20.0.0/16"], "otherwise": "deny"}},
//	  {"kind": "database"}
//	]
//
// A tracker with a good token is allowed by the first; one whose token is expired, or
// another's, is denied. One without a token goes on: outside of 10.20.0.0/16 it is
// denied, inside the database looks for its number.
//
// An authenticator that cannot answer, because a service is away or a record damaged,
// ends the chain with a refusal. Going on would let in whom it would have refused. Such
// a verdict is Unavailable: nothing that the device did.
//
// Hashing, signatures and requests run in [Workers], which bound them, and [Passwords] remembers what
// was compared, so that a fleet that comes back at once does not wait for its hashes. A
// database of 10,000 devices at 30 ms each would otherwise take two cores for minutes.
//
// A [Guard] stands before the chain. The session asks it first, and tells it what came of
// it:
//
//	if ok, reason, until := guard.Check(remote, device); !ok {
//		return refuse(reason, until)
//	}
//	switch v := chain.Authenticate(ctx, claim); {
//	case v.Decision == Allow:
//		guard.Succeeded(remote, device)
//	case v.Decision == Deny && !v.Unavailable && proven:
//		guard.Failed(remote, device)
//	case v.Decision == Deny && !v.Unavailable:
//		guard.FailedUnproven() // a datagram: its source may be forged
//	}
//
// The kinds and their settings are the Spec types: [AddressesSpec], [CertificateSpec],
// [DatabaseSpec], [HTTPSpec], [JWTSpec], [PatternSpec], [SecretSpec].
package authenticate
