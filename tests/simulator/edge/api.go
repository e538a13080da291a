package edge

import (
	"context"
	"encoding/json"
	"time"
)

// Identity is a device, or a module of a device, as the hub knows it.
type Identity struct {
	Device string
	// Module is empty for a leaf device.
	Module string
}

// String returns "device" or "device/module".
func (i Identity) String() string {
	if i.Module == "" {
		return i.Device
	}
	return i.Device + "/" + i.Module
}

// Message is one telemetry message, protocol-neutral.
type Message struct {
	From Identity
	// Output is the module output, empty for none; Input is set on delivery to a
	// module input.
	Output, Input string
	Body          []byte
	// Properties are the user properties.
	Properties map[string]string
	// System are the system properties under the hub's internal names: messageId,
	// cid, contentType, contentEncoding, to, userId, creationTime, messageSchema...
	System map[string]string
	// Enqueued is set by Publish.
	Enqueued time.Time
}

// MethodCall is a direct method on its way to a client.
type MethodCall struct {
	// Correlation is a lower-case GUID; the client's answer repeats it.
	Correlation string
	Name        string
	Payload     json.RawMessage
}

// Delivery is a message for a module input. Settle is called exactly once.
type Delivery struct {
	Message Message
	// LockToken is a lower-case GUID.
	LockToken string
	Settle    func(Outcome)
}

// Outcome is what a receiver said of a delivery.
type Outcome int

// The outcomes. Rejected and Released drop the message; Modified and Lost lead to
// redelivery.
const (
	Accepted Outcome = iota
	Rejected
	Released
	Modified
	Lost
)

// Topic is something a client subscribes to.
type Topic int

// The topics.
const (
	TopicDesired Topic = iota
	TopicMethods
	TopicInputs
	TopicC2D
)

// Session is one client's presence in the hub, implemented by a protocol head.
// Its methods are called by the hub from any goroutine and must not block.
type Session interface {
	// Desired delivers a desired-properties patch with its $version.
	Desired(patch json.RawMessage)
	// Method delivers a method call; the head answers through Hub.AnswerMethod. False says that
	// the client listens to methods no more, and that the call can go elsewhere.
	Method(MethodCall) (taken bool)
	// Input delivers a module input message, one at a time for each identity.
	Input(Delivery)
	// Close ends the session: taken over, token expired, removed, fault injected.
	Close(reason string)
	// Reset cuts the transport without a word, with every session that is on it.
	Reset()
}

// Refusal is why Publish refused; heads map it to their own errors.
type Refusal struct {
	// Condition is the AMQP error condition that the real hub uses.
	Condition   string
	Description string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Condition + ": " + r.Description }

// Fault is what the hub has been told to do to a publish, see Hub.NextFault.
type Fault struct {
	// Delay holds the disposition back; Withhold sends none at all.
	Delay    time.Duration
	Withhold bool
	// Refuse, when set, rejects with this refusal and stores nothing.
	Refuse *Refusal
	// Drop closes the transport in place of a disposition, after storing.
	Drop bool
	// Attach, when set, refuses a link in place of a transfer.
	Attach *Refusal
}

// Head is what a protocol head needs of the hub. *Hub implements it; it is
// written down here so that heads and hub can be built apart.
type Head interface {
	// CheckToken judges a put-token as CBS does: syntax, audience shape, expiry.
	// It returns whose token it is, and counts it there. The signature is not looked at.
	CheckToken(token string) (Identity, time.Time, error)
	// Authenticate judges the token in full, at the first link of an identity and
	// at every re-authentication.
	Authenticate(id Identity, token string) error
	// Attach is asked before a link is opened, or over MQTT a login, whoever asks for it;
	// first is one of an identity that is not on the connection yet. The head opens it
	// after the wait, which is for clients that come too fast; a *Refusal is for one that
	// is not to be opened.
	Attach(id Identity, first bool) (wait time.Duration, err error)
	// Connect enters a session; a session that the identity already had is closed
	// ("Multiple connections detected"). The returned function leaves, once.
	Connect(id Identity, s Session) (leave func())
	// Publish stores the messages of one transfer in order and routes them. It keeps
	// the bodies and property maps (not the slice): the head does not reuse them.
	// It returns a *Refusal for what the real hub rejects.
	Publish(ctx context.Context, from Identity, batch []Message) error
	// PublishFault takes the next injected fault for a transfer of that identity;
	// the zero Fault means none.
	PublishFault(from Identity) Fault
	// Twin returns {"desired":{...},"reported":{...}}.
	Twin(ctx context.Context, id Identity) (json.RawMessage, error)
	// PatchReported validates and merges. The error wraps ErrInvalidTwin for what
	// the real hub answers with 400; any other error is a 500.
	PatchReported(ctx context.Context, id Identity, patch json.RawMessage) error
	// Subscribe and Unsubscribe switch what Session receives. Subscribe returns a *Refusal
	// for an identity that the hub has no session of.
	Subscribe(id Identity, t Topic) error
	Unsubscribe(id Identity, t Topic)
	// AnswerMethod hands in a client's answer. Status 400000 stands for an answer
	// without a readable status. Unknown correlations are ignored.
	AnswerMethod(id Identity, correlation string, status int, payload json.RawMessage)
	// ReauthInterval is how often connected clients' tokens are judged again
	// (5 minutes on the real hub; scaled by tests).
	ReauthInterval() time.Duration
}
