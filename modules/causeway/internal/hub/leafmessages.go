package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/go-amqp"
)

const (
	// abandonFirst and abandonMost bound the pause after a message was abandoned: the hub gives
	// it up after ten deliveries, which must not be used up in a moment.
	abandonFirst = 5 * time.Second
	abandonMost  = 30 * time.Second
	// presenceLook is how often it is looked whether the device is still connected.
	presenceLook = time.Second
)

// CloudMessage is a cloud-to-device message.
type CloudMessage struct {
	// ID is the sender's message id, or empty.
	ID         string
	Body       []byte
	Properties map[string]string
}

// Settlement is what becomes of a cloud-to-device message.
type Settlement struct {
	Outcome SettlementOutcome
	// Reason goes to the hub with a rejection.
	Reason string
}

// SettlementOutcome is one of the three ends of a delivery.
type SettlementOutcome int

// The outcomes. The hub tells who sent the message of the first and the last.
const (
	// Completed: the device has confirmed it.
	Completed SettlementOutcome = iota
	// Abandoned: it may be delivered again.
	Abandoned
	// Rejected: it will never be taken.
	Rejected
)

// newBoundLink attaches the link of messages to the device. The hub forgets a message only
// when its disposition was seen (receiver settle mode second).
func newBoundLink(ctx context.Context, s *amqp.Session, id Identity, version string) (*amqp.Receiver, error) {
	rx, err := s.NewReceiver(ctx, id.address("/messages/devicebound"), &amqp.ReceiverOptions{
		Name: "TelemetryReceiverLink", Credit: 1, Properties: linkProperties(version, ""),
		SettlementMode: amqp.ReceiverSettleModeSecond.Ptr(),
	})
	if err != nil {
		return nil, fmt.Errorf("attach messages receiver: %w", err)
	}
	return rx, nil
}

// receiveMessages has messages from the cloud come while the device is connected: in the
// hub they can wait for it, for days.
func (f *leaf) receiveMessages(ctx context.Context, session *amqp.Session) error {
	look := time.NewTicker(presenceLook)
	defer look.Stop()
	for {
		if f.all.opts.Present(f.device) {
			if err := f.messagesWhilePresent(ctx, session, look.C); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.came:
		case <-look.C:
		}
	}
}

// messagesWhilePresent returns nil when the device is connected no longer.
func (f *leaf) messagesWhilePresent(ctx context.Context, session *amqp.Session, look <-chan time.Time) error {
	attach, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	rx, err := newBoundLink(attach, session, f.identity(), f.all.opts.Version)
	if err != nil {
		return err
	}
	here, leave := context.WithCancel(ctx)
	defer leave()
	ended := make(chan error, 1)
	go func() { ended <- f.handMessages(here, rx) }()
	for f.all.opts.Present(f.device) {
		select {
		case err := <-ended:
			return err
		case <-look:
		}
	}
	leave()
	if err := <-ended; ctx.Err() != nil {
		return err
	}
	detach, cancelDetach := context.WithTimeout(ctx, connectTimeout)
	defer cancelDetach()
	return rx.Close(detach)
}

// handMessages hands messages to the device, one at a time.
func (f *leaf) handMessages(ctx context.Context, rx *amqp.Receiver) error {
	pause := abandonFirst
	for {
		msg, err := rx.Receive(ctx, nil)
		if err != nil {
			return fmt.Errorf("receive message: %w", err)
		}
		m := CloudMessage{Body: msg.GetData(), Properties: make(map[string]string, len(msg.ApplicationProperties))}
		if msg.Properties != nil {
			m.ID, _ = msg.Properties.MessageID.(string)
		}
		for k, v := range msg.ApplicationProperties {
			if s, ok := v.(string); ok {
				m.Properties[k] = s
			}
		}
		switch s := f.all.opts.Handler.Message(ctx, f.device, m); s.Outcome {
		case Completed:
			pause, err = abandonFirst, rx.AcceptMessage(ctx, msg)
		case Rejected:
			pause = abandonFirst
			err = rx.RejectMessage(ctx, msg, &amqp.Error{Condition: amqp.ErrCondNotAllowed, Description: s.Reason})
		default:
			if !sleep(ctx, pause) { // within the minute for which IoT Hub locks it
				return ctx.Err()
			}
			pause = min(2*pause, abandonMost)
			err = rx.ReleaseMessage(ctx, msg)
		}
		if err != nil {
			return fmt.Errorf("settle message: %w", err)
		}
	}
}
