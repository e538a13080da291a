package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/twin"
)

const (
	// leafCommandSeconds is how long a device has to answer a direct method or a message of its
	// own: below the 30 s that a method has by default, and the 60 for which IoT Hub
	// locks a message.
	leafCommandSeconds = 20
	// leafReportTimeout bounds a report of a device's twin.
	leafReportTimeout = 90 * time.Second
	// propertyCommand names the command of a message from the cloud.
	propertyCommand = "command"
	// unconfirmedComplete is the listeners' word for messages that need no confirmation.
	unconfirmedComplete = "complete"
	// rejectionLimit bounds the reason of a rejection.
	rejectionLimit = 512
)

// leafTwins carry what the hub sends to devices under their own identities: desired
// properties, direct methods and messages become commands, and what the device answers goes
// back.
type leafTwins struct {
	g    *Gateway
	i    *identities
	push *twin.Devices

	mu        sync.Mutex
	followers map[string]*follower
	ctx       context.Context //nolint:containedctx // of the followers; set by begin
	running   sync.WaitGroup
}

// follower follows the desired properties of one device while its links stand.
type follower struct {
	desired *twin.Desired
	cancel  context.CancelFunc
}

func newLeafTwins(g *Gateway, i *identities) *leafTwins {
	t := &leafTwins{g: g, i: i, followers: make(map[string]*follower), ctx: context.Background()}
	t.push = twin.NewDevices(g.pushDesired, func() {})
	t.push.Answered = t.answered
	return t
}

// begin says until when followers follow; it is called before the leaves run.
func (t *leafTwins) begin(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx = ctx
}

// run carries until ctx, which begin was told, ends.
func (t *leafTwins) run(ctx context.Context) {
	t.push.Run(ctx)
	t.mu.Lock()   // whoever has not seen that ctx ended has started its follower
	t.mu.Unlock() //nolint:staticcheck // see above
	t.running.Wait()
}

// present tells that a device is connected to the gateway.
func (t *leafTwins) present(device string) { t.push.Present(device) }

// forget drops what is known of a device that has no links any more.
func (t *leafTwins) forget(device string) { t.push.Forget(device) }

// Twin implements hub.LeafHandler.
func (t *leafTwins) Twin(device string, stands bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.followers[device]; f != nil {
		f.cancel()
		delete(t.followers, device)
	}
	if !stands || t.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(t.ctx)
	f := &follower{cancel: cancel, desired: twin.New(twin.Options{
		Hub: leafTwin{t.i.leaves, device}, Merge: config.MergePatch,
		Apply:   func(desired json.RawMessage, _ int64) { t.want(device, withoutMetadata(desired)) },
		Fetched: func(json.RawMessage) {},
		Failed: func(err error) {
			t.g.observers.flood.Warn("twin of a device not in step", err, "device", device)
		},
	})}
	t.followers[device] = f
	f.desired.Connected()
	t.running.Go(func() { f.desired.Run(ctx) })
}

// want has values pushed to a device, if there are some.
func (t *leafTwins) want(device string, desired json.RawMessage) {
	if len(desired) == 0 {
		t.push.Forget(device)
		return
	}
	t.push.Want(device, desired)
}

// Desired implements hub.LeafHandler.
func (t *leafTwins) Desired(device string, patch json.RawMessage) {
	t.mu.Lock()
	f := t.followers[device]
	t.mu.Unlock()
	if f != nil {
		f.desired.Patch(patch)
	}
}

// withoutMetadata leaves what is the device's business, the same for the same values; nothing
// when there is none.
func withoutMetadata(desired json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(desired, &members) != nil {
		return nil
	}
	delete(members, "$version")
	delete(members, "$metadata")
	if len(members) == 0 {
		return nil
	}
	b, err := json.Marshal(members) // sorted
	if err != nil {
		return nil
	}
	return b
}

// leafTwin is one device's side of the hub.
type leafTwin struct {
	leaves *hub.Leaves
	device string
}

// Twin implements twin.Hub.
func (l leafTwin) Twin(ctx context.Context) (desired, reported json.RawMessage, err error) {
	return l.leaves.Twin(ctx, l.device)
}

// Report implements twin.Hub.
func (l leafTwin) Report(ctx context.Context, patch json.RawMessage) error {
	return l.leaves.Report(ctx, l.device, patch)
}

// answered reports what a device has confirmed in its own twin, beside what the gateway says of
// it under "causeway".
func (t *leafTwins) answered(ctx context.Context, device string, a twin.DeviceAnswer) error {
	patch := make(map[string]any)
	if len(a.Confirmed) > 0 && json.Unmarshal(a.Confirmed, &patch) != nil {
		a.Failure = "what the device confirmed is no JSON object"
		patch = make(map[string]any)
	}
	status := desiredStatus{Code: command.StatusOK}
	switch {
	case a.Sent:
		status = desiredStatus{Code: command.StatusSent, Description: a.Failure}
	case a.Failure != "":
		status = desiredStatus{Code: command.StatusRefused, Description: a.Failure}
	}
	patch["causeway"] = map[string]any{"lastDesiredStatus": status}
	body, err := json.Marshal(patch)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, leafReportTimeout)
		defer cancel()
		err = t.i.leaves.Report(ctx, device, body)
	}
	if err != nil && ctx.Err() == nil {
		t.g.observers.flood.Warn("what a device confirmed was not reported", err, "device", device)
	}
	return err
}

// Method implements hub.LeafHandler: its name is the command's.
func (t *leafTwins) Method(
	ctx context.Context, device, name string, payload json.RawMessage,
) (status int, answer json.RawMessage) {
	a := t.g.commands.Do(ctx, command.Request{
		DeviceID: device, Command: name, Payload: payload, TimeoutSeconds: leafCommandSeconds,
	})
	return a.Status, a.Payload
}

// Message implements hub.LeafHandler: the property "command" names the command and the body is
// its payload, or the body is {"command", "payload"}. It is completed when the device has
// answered, abandoned when it is away or silent, and rejected when it, or its codec, does
// not want it. Where the protocol has no answer the listener says which.
func (t *leafTwins) Message(ctx context.Context, device string, m hub.CloudMessage) hub.Settlement {
	r, err := commandOf(m)
	if err != nil {
		return hub.Settlement{Outcome: hub.Rejected, Reason: err.Error()}
	}
	r.DeviceID, r.TimeoutSeconds = device, leafCommandSeconds
	suffices := t.sentSuffices(device)
	a := t.g.commands.Do(ctx, r)
	switch {
	case a.Status == command.StatusSent && !suffices:
		return hub.Settlement{Outcome: hub.Rejected, Reason: twin.ErrUnconfirmed.Error()}
	case a.Status/100 == 2:
		return hub.Settlement{Outcome: hub.Completed}
	case slices.Contains([]int{
		command.StatusNotFound, command.StatusBusy, command.StatusNoReply, command.StatusUnavailable, command.StatusTooMany,
	}, a.Status) || ctx.Err() != nil:
		return hub.Settlement{Outcome: hub.Abandoned}
	default:
		reason := fmt.Sprintf("status %d: %s", a.Status, a.Payload)
		return hub.Settlement{
			Outcome: hub.Rejected, Reason: strings.ToValidUTF8(reason[:min(len(reason), rejectionLimit)], ""),
		}
	}
}

// sentSuffices tells whether the listener by which a device is connected has messages completed
// that are sent and cannot be confirmed.
func (t *leafTwins) sentSuffices(device string) bool {
	s := t.g.table.Find(device)
	if s == nil {
		return false
	}
	l := t.g.running()[s.Listener()]
	return l != nil && l.config.Unconfirmed == unconfirmedComplete
}

// errNoCommand is why a message is rejected.
var errNoCommand = errors.New(
	`names no command: set the property "command", with its payload as JSON in the body, or send {"command", "payload"}`)

func commandOf(m hub.CloudMessage) (command.Request, error) {
	body := json.RawMessage(m.Body)
	for name, value := range m.Properties {
		if !strings.EqualFold(name, propertyCommand) || value == "" {
			continue
		}
		if len(body) > 0 && !json.Valid(body) {
			return command.Request{}, fmt.Errorf("payload of command %.100q is not JSON", value)
		}
		return command.Request{Command: value, Payload: body}, nil
	}
	var r struct {
		Command string          `json:"command"`
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(body, &r) != nil || r.Command == "" {
		return command.Request{}, errNoCommand
	}
	return command.Request{Command: r.Command, Payload: r.Payload}, nil
}
