package hub

import (
	"context"
	"errors"
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
func newBoundLink(ctx context.Context, s *amqp.Session, id Identity, version, suffix string) (*amqp.Receiver, error) {
	rx, err := s.NewReceiver(ctx, id.address("/messages/devicebound"), &amqp.ReceiverOptions{
		Name: "TelemetryReceiverLink" + suffix, Credit: 1, Properties: linkProperties(version, ""),
		SettlementMode: amqp.ReceiverSettleModeSecond.Ptr(),
	})
	if err != nil {
		return nil, fmt.Errorf("attach messages receiver: %w", err)
	}
	return rx, nil
}

// receiveMessages has messages from the cloud come while the device is connected: in the
// hub they can wait for it, for days. Where the hub does not give them, or ends their link, the rest
// goes on.
func (f *leaf) receiveMessages(ctx context.Context, session *amqp.Session) error {
	look := time.NewTicker(presenceLook)
	defer look.Stop()
	again := attempts{pause: servicesFirst}
	for paced := true; ; paced = false { // the first link has its turn with the other ones
		if f.all.opts.Present(f.device) {
			if !paced {
				if err := f.all.attaches.Wait(ctx); err != nil {
					return err
				}
			}
			err := f.messagesWhilePresent(ctx, session, again.suffix(), look.C)
			if ctx.Err() != nil || errors.Is(err, errNotDetached) {
				return err
			}
			if err != nil {
				f.stands(err.Error())
				if !again.wait(ctx) {
					return ctx.Err()
				}
				continue
			}
			again.pause = servicesFirst
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.came:
		case <-look.C:
		}
	}
}

// messagesWhilePresent returns nil when the device is connected no longer. Its link is detached
// then.
func (f *leaf) messagesWhilePresent(
	ctx context.Context, session *amqp.Session, suffix string, look <-chan time.Time,
) error {
	attach, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	rx, err := newBoundLink(attach, session, f.identity(), f.all.opts.Version, suffix)
	if err != nil {
		return err
	}
	f.stands("")
	here, leave := context.WithCancel(ctx)
	defer leave()
	ended := make(chan error, 1)
	go func() { ended <- f.handMessages(ctx, here, rx) }()
	for f.all.opts.Present(f.device) {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return err
			}
			return errors.Join(err, detach(rx))
		case <-look:
		}
	}
	leave()
	if err := <-ended; ctx.Err() != nil {
		return err
	}
	return detach(rx)
}

// handMessages hands messages to the device, one at a time, until it is here no longer. What it has
// answered is settled all the same, until the connection ends.
func (f *leaf) handMessages(ctx, here context.Context, rx *amqp.Receiver) error {
	pause := abandonFirst
	for {
		msg, err := rx.Receive(here, nil)
		if err != nil {
			return fmt.Errorf("receive message: %w", err)
		}
		s := f.all.opts.Handler.Message(here, f.device, cloudMessage(msg))
		if s.Outcome != Abandoned {
			pause = abandonFirst
		} else if !sleep(here, pause) { // within the minute for which IoT Hub locks it
			return here.Err()
		} else {
			pause = min(2*pause, abandonMost)
		}
		if err := settleMessage(ctx, rx, msg, s); err != nil {
			return fmt.Errorf("settle message: %w", err)
		}
	}
}

func cloudMessage(msg *amqp.Message) CloudMessage {
	m := CloudMessage{Body: msg.GetData(), Properties: make(map[string]string, len(msg.ApplicationProperties))}
	if msg.Properties != nil {
		m.ID, _ = msg.Properties.MessageID.(string)
	}
	for k, v := range msg.ApplicationProperties {
		if s, ok := v.(string); ok {
			m.Properties[k] = s
		}
	}
	return m
}

// settleMessage tells the hub, and waits for its word.
func settleMessage(ctx context.Context, rx *amqp.Receiver, msg *amqp.Message, s Settlement) error {
	ctx, cancel := context.WithTimeout(ctx, detachTimeout)
	defer cancel()
	switch s.Outcome {
	case Completed:
		return rx.AcceptMessage(ctx, msg)
	case Rejected:
		return rx.RejectMessage(ctx, msg, &amqp.Error{Condition: amqp.ErrCondNotAllowed, Description: s.Reason})
	default:
		return rx.ReleaseMessage(ctx, msg)
	}
}
