package authenticate

import (
	"context"
	"errors"
	"time"
)

// chainTimeout is for a whole chain: a device that waits longer for the answer to
// its login has given up.
const chainTimeout = 10 * time.Second

// Named is an authenticator under the name that it has in the configuration.
type Named struct {
	Name          string
	Authenticator Authenticator
}

// ChainOptions are what a chain takes from outside; the zero value works.
type ChainOptions struct {
	// Timeout bounds one Authenticate. Zero is 10 seconds.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Failed is called with the error of an authenticator that could not answer, for a
	// log line or a counter; nil for none. The error shows no secret.
	Failed func(by string, err error)
}

// Chain asks authenticators in their order. It is safe for concurrent use.
type Chain struct {
	list []Named
	with ChainOptions
}

// NewChain makes a chain of a list, which it keeps.
func NewChain(list []Named, o ChainOptions) *Chain {
	if o.Timeout <= 0 {
		o.Timeout = chainTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Chain{list: list, with: o}
}

// Authenticate returns the first verdict that allows or denies. Next from all, as from
// no authenticators, is Next: nobody knows the device, and the listener's policy for
// unknown devices decides.
//
// An authenticator that cannot answer ends the chain with a refusal that is marked
// Unavailable. Those behind it are not asked: one of them may allow whom the one that
// is away would have refused, and nobody can tell. An admission that is over already
// is a refusal.
func (c *Chain) Authenticate(ctx context.Context, r Request) Verdict {
	ctx, cancel := context.WithTimeout(ctx, c.with.Timeout)
	defer cancel()
	for _, link := range c.list {
		if ctx.Err() != nil { // the time went by in a queue, or on those before
			return Verdict{Decision: Deny, By: link.Name, Reason: "busy", Unavailable: true}
		}
		v, err := link.Authenticator.Authenticate(ctx, r)
		switch {
		case err != nil:
			return c.unavailable(link.Name, err)
		case v.Decision == Allow && !v.Expires.IsZero() && !v.Expires.After(c.with.Now()):
			return Verdict{Decision: Deny, By: link.Name, Reason: "expired", Expires: v.Expires}
		case v.Decision == Allow || v.Decision == Deny:
			v.By, v.Reason = link.Name, oneLine(v.Reason)
			return v
		}
	}
	return Verdict{Reason: "unknown device"}
}

// unavailable is the refusal that stands for an answer that is missing.
func (c *Chain) unavailable(by string, err error) Verdict {
	reason := "unavailable"
	if errors.Is(err, ErrBusy) {
		reason = "busy"
	}
	if c.with.Failed != nil {
		c.with.Failed(by, err)
	}
	return Verdict{Decision: Deny, By: by, Reason: reason, Unavailable: true}
}
