package session

import (
	"context"
	"fmt"
	"time"
)

// Claim is who a device says it is, by a login or in a message, and what it shows for
// it. Printing one in any usual way leaves the secret out.
type Claim struct {
	Link   Link
	Device string
	// Secret is what the login frame carried, empty for none.
	Secret string
	since  uint64 // of banishments, when it began to be judged

	// Named is false where nothing has named the device: Device is the listener's own
	// id then, or its name.
	Named bool
}

// String implements fmt.Stringer, without the secret.
func (c Claim) String() string { return fmt.Sprintf("device %q", c.Device) }

// GoString implements fmt.GoStringer, for %#v.
func (c Claim) GoString() string { return c.String() }

// Decision is what becomes of a claim.
type Decision int

// The decisions. The zero value lets nobody in.
const (
	// Refuse: the device is told so, and its link ends.
	Refuse Decision = iota
	// Accept lets it in.
	Accept
	// Hold: the device stays connected in quarantine, until somebody decides.
	Hold
	// Undecided: nobody could tell. The link ends without a word, since a refusal would
	// be about the device.
	Undecided

	pending // is being judged aside; of this package only
)

// Trust ranks what a device was let in by. A link takes a device that another link is
// connected as only where it has shown as much.
type Trust int

// The ranks.
const (
	// TrustNone: nothing has judged it.
	TrustNone Trust = iota
	// TrustRule: something has, by what anybody can say: an id, an address.
	TrustRule
	// TrustProof: it has shown what only it should have.
	TrustProof
)

// Verdict is a decision, and what belongs to it.
type Verdict struct {
	Decision Decision
	// Trust ranks what an admission goes by.
	Trust Trust
	// By is the name of what decided, and Reason one line for operators, both possibly
	// empty and never with a secret.
	By, Reason string
	// Expires is when the device's session ends; zero is never.
	Expires time.Time

	elsewhere bool // refused for the sake of another link; of this package only
}

// elsewhere is the verdict on a device that another link, which has shown more, is
// connected as.
func elsewhere() Verdict {
	return Verdict{Reason: "it is connected by a link that has shown more of who it is", elsewhere: true}
}

// Admission judges claims for one listener. It is safe for concurrent use. What it
// lets in stays in for the life of its link, or until the verdict expires; a login on a
// stream is judged each time.
type Admission interface {
	// Now judges what can be judged without waiting; false where that takes a while.
	Now(c Claim) (Verdict, bool)
	// Admit judges a claim, and may wait until ctx ends.
	Admit(ctx context.Context, c Claim) Verdict
	// Start has the claim judged by another goroutine, which calls done once. It never
	// waits itself: the error says that too many claims are being judged, and done is
	// not called then.
	Start(c Claim, done func(Verdict)) error
}

// AdmitFunc is an admission that never waits: it tells whether a device that names
// itself may come in.
type AdmitFunc func(device string) bool

// Now implements Admission.
func (f AdmitFunc) Now(c Claim) (Verdict, bool) {
	if !c.Named || f(c.Device) {
		return Verdict{Decision: Accept}, true
	}
	return Verdict{}, true
}

// Admit implements Admission; it is not called, since Now tells all.
func (f AdmitFunc) Admit(_ context.Context, c Claim) Verdict {
	v, _ := f.Now(c)
	return v
}

// Start implements Admission; it is not called either.
func (f AdmitFunc) Start(c Claim, done func(Verdict)) error {
	done(f.Admit(context.Background(), c))
	return nil
}
