// Package authenticate decides who a device is allowed to be. A codec says who the
// device claims to be, and what it has to show for it; a [Chain] of authenticators
// says allow, deny or next.
package authenticate
