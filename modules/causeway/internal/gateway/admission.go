package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/authenticate"
	"github.com/causeway-iot/causeway/modules/causeway/internal/observe"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

const (
	// asideTime is for a verdict that a datagram waits for, the time in the queue
	// included: as long as a chain has.
	asideTime = 10 * time.Second
	// asideParallel claims of datagrams are judged at once, since most wait for hashes or
	// a service, which have their own bounds; asideQueue more wait, some 500 bytes each.
	asideParallel = 64
	asideQueue    = 4096
)

// byPolicy is how verdicts call what the document says of devices that no
// authentication knows.
const byPolicy = "configuration"

// errGoingDown tells who waits for a verdict that the gateway ends.
var errGoingDown = errors.New("the gateway is going down")

// admission judges the devices of one listener. What it goes by is exchanged while the
// listener is open.
type admission struct {
	doors    *doors
	listener string
	counts   *observe.Listener
	fits     func(device string) error // why a device can have no identity; nil where it needs none
	policy   atomic.Pointer[policy]
}

// policy is what the configuration says of who may come in by a listener.
type policy struct {
	roster  *roster
	chain   *authenticate.Chain // nil without authentication
	proof   bool                // somebody in it looks at credentials
	unknown string              // as config.Listener's
	pattern *regexp.Regexp      // of allow-pattern
}

// guarded tells whether devices have to show something.
func (a *admission) guarded() bool { return a.policy.Load().chain != nil }

// Now implements session.Admission.
func (a *admission) Now(c session.Claim) (session.Verdict, bool) {
	p := a.policy.Load()
	if p.chain != nil || a.doors.banned.Load() {
		ok, reason, _ := a.doors.guard.Load().Check(remoteOf(c), c.Device)
		if !ok {
			a.counts.Logins.Inc("kept-out")
			return session.Verdict{Decision: session.Refuse, By: "guard", Reason: reason}, true
		}
	}
	if p.chain != nil {
		return session.Verdict{}, false
	}
	if !c.Named {
		return session.Verdict{Decision: session.Accept}, true
	}
	if p.unknown == "accept" { // most listeners: nobody need be looked up
		return a.fitting(c, session.Verdict{Decision: session.Accept}), true
	}
	v, told := a.known(p, c.Device)
	if !told {
		v, told = p.stranger(c)
	}
	return a.fitting(c, v), told
}

// fitting refuses a device that is let in and can have no identity, where it needs one.
func (a *admission) fitting(c session.Claim, v session.Verdict) session.Verdict {
	if v.Decision != session.Accept || !c.Named || a.fits == nil || a.fits(c.Device) == nil {
		return v
	}
	return session.Verdict{Reason: "no identity"}
}

// known tells of a device that the twin names, or that an operator has let in. Where
// credentials are asked for, a name in the twin is none: it is there for desired values
// and keys too.
func (a *admission) known(p *policy, device string) (session.Verdict, bool) {
	if _, ok := a.doors.g.current().Devices[device]; ok && !p.proof {
		return session.Verdict{Decision: session.Accept}, true
	}
	if until, ok := a.doors.visitors.until(device); ok {
		return session.Verdict{
			Decision: session.Accept, Trust: session.TrustRule, By: byOperator, Expires: until,
		}, true
	}
	return session.Verdict{}, false
}

// stranger is what becomes of a device that nobody knows; false where a service has to
// be asked.
func (p *policy) stranger(c session.Claim) (session.Verdict, bool) {
	unknown := session.Verdict{Decision: session.Refuse, Reason: "unknown device"}
	switch p.unknown {
	case "accept":
		return session.Verdict{Decision: session.Accept}, true
	case "allow-pattern":
		if c.Named && p.pattern.MatchString(c.Device) {
			return session.Verdict{Decision: session.Accept}, true
		}
	case "quarantine":
		if c.Named {
			return session.Verdict{Decision: session.Hold}, true
		}
	case "register":
		return unknown, !c.Named
	}
	return unknown, true
}

// Admit implements session.Admission.
func (a *admission) Admit(ctx context.Context, c session.Claim) session.Verdict {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(a.doors.g.work, func() { cancel(errGoingDown) })()
	p, leave := a.enter()
	v := a.fitting(c, a.judge(ctx, p, c))
	leave()
	if ctx.Err() != nil && v.Decision != session.Accept { // it may be the time's doing
		v.Decision = session.Undecided
	}
	a.counts.Logins.Inc(countedAs(v.Decision))
	return v
}

// enter returns the policy in force, whose authenticators are kept until leave is called.
func (a *admission) enter() (p *policy, leave func()) {
	for {
		p := a.policy.Load()
		if p.roster.enter() {
			return p, p.roster.leave
		}
	}
}

func (a *admission) judge(ctx context.Context, p *policy, c session.Claim) session.Verdict {
	r := request(a.listener, c)
	if p.chain != nil {
		if v := p.chain.Authenticate(ctx, r); v.Decision != authenticate.Next {
			return a.settle(c, r, v)
		}
	}
	v, told := a.known(p, c.Device)
	if !told {
		v, told = p.stranger(c)
	}
	switch {
	case !told:
		return a.register(ctx, p, c, r)
	case v.Decision == session.Refuse:
		a.failed(c, r)
	}
	if v.By == "" {
		v.By = byPolicy
	}
	return v
}

// settle makes a session's verdict of the chain's, and tells the guard.
func (a *admission) settle(c session.Claim, r authenticate.Request, v authenticate.Verdict) session.Verdict {
	out := session.Verdict{By: v.By, Reason: v.Reason, Expires: v.Expires}
	switch {
	case v.Decision == authenticate.Allow:
		out.Decision, out.Trust = session.Accept, session.TrustRule
		if v.Proven {
			out.Trust = session.TrustProof
		}
		a.doors.guard.Load().Succeeded(r.Remote, r.Device)
	case v.Unavailable:
		out.Decision = session.Undecided
	default:
		a.failed(c, r)
	}
	return out
}

// failed tells the guard of a refusal. The address of a datagram proves nothing.
func (a *admission) failed(c session.Claim, r authenticate.Request) {
	switch {
	case !c.Named: // a link that has named nobody is no guess at a device
	case c.Link.Peer().Datagram():
		a.doors.guard.Load().FailedUnproven()
	default:
		a.doors.guard.Load().Failed(r.Remote, r.Device)
	}
}

// register asks the service that registers devices.
func (a *admission) register(
	ctx context.Context, p *policy, c session.Claim, r authenticate.Request,
) session.Verdict {
	v, err := p.roster.registration.Authenticate(ctx, r)
	switch {
	case err != nil:
		a.doors.unanswered(registrationName, err)
		return session.Verdict{Decision: session.Undecided, By: registrationName, Reason: "unavailable"}
	case v.Decision == authenticate.Allow:
		a.doors.guard.Load().Succeeded(r.Remote, r.Device)
		return session.Verdict{
			Decision: session.Accept, Trust: session.TrustRule, By: registrationName, Expires: v.Expires,
		}
	default:
		a.failed(c, r)
		return session.Verdict{By: registrationName, Reason: v.Reason}
	}
}

// Start implements session.Admission.
func (a *admission) Start(c session.Claim, done func(session.Verdict)) error {
	err := a.doors.aside.Start(asideTime, func(ctx context.Context) { done(a.Admit(ctx, c)) })
	if err != nil {
		a.counts.Logins.Inc("too-many")
		return fmt.Errorf("judge device %q: %w", c.Device, err)
	}
	return nil
}

func countedAs(d session.Decision) string {
	switch d {
	case session.Accept:
		return "accepted"
	case session.Hold:
		return "quarantined"
	case session.Undecided:
		return "undecided"
	default:
		return "refused"
	}
}

// request is the claim as authenticators see it.
func request(listener string, c session.Claim) authenticate.Request {
	r := authenticate.Request{Listener: listener, Device: c.Device, Secret: c.Secret, Remote: remoteOf(c)}
	if k, ok := c.Link.(certified); ok {
		r.Certificate = k.Certificate()
	}
	return r
}

// certified is a link that may know its device's certificate.
type certified interface{ Certificate() *x509.Certificate }

func remoteOf(c session.Claim) netip.Addr { return c.Link.Peer().Remote.Addr() }
