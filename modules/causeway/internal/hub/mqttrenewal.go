package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// leaveTimeout bounds each wait for the hub of a link that ends for a new token: that for
	// the end of the subscription, and that for the last PUBACKs. What is left then is sent twice.
	leaveTimeout = 5 * time.Second
	// lastMethods bounds the wait for methods that came last: no caller waits longer who does
	// not ask for it (30 s is the default), and meanwhile others are not connected.
	lastMethods = 30 * time.Second
	// quietLook is how often one looks whether methods still run.
	quietLook = 50 * time.Millisecond
)

// keepToken ends the link after three quarters of the token's life, since MQTT has no way
// to renew it; later while methods run or twin requests wait, whose answers would be lost, but
// at seven eighths. Two connections at a time would be no help: the hub ends the older one.
//
// A method that comes at that moment is answered or does not come: the subscription ends
// first, and a call for who does not listen waits at the hub for as long as its caller allows.
func (l *mqttLink) keepToken(ctx context.Context) error {
	ttl := l.hub.opts.TokenTTL
	if !sleep(ctx, time.Until(l.expiry)-ttl/4) {
		return ctx.Err()
	}
	l.awaitQuiet(ctx, time.Until(l.expiry)-ttl/8)
	if err := l.mute(ctx); err != nil {
		return err
	}
	l.awaitQuiet(ctx, min(lastMethods, time.Until(l.expiry)-ttl/16))
	close(l.leaving)
	l.hub.uplink.signal()
	<-ctx.Done()
	return ctx.Err()
}

// awaitQuiet waits until no method runs and no twin request waits, for so long at most.
func (l *mqttLink) awaitQuiet(ctx context.Context, most time.Duration) {
	for end := time.Now().Add(most); (l.methods.busy() || l.twin.busy()) && time.Now().Before(end); {
		if !sleep(ctx, quietLook) {
			return
		}
	}
}

// mute ends the subscription to methods, and waits for the hub to say so.
func (l *mqttLink) mute(ctx context.Context) error {
	err := l.wire.send(&packets.UnsubscribePacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Unsubscribe, Qos: 1}, // the head's flags, as MQTT has them
		MessageID:   l.air.unused(), Topics: []string{prefixMethod + "#"},
	})
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	select {
	case <-l.muted:
		sleep(ctx, quietLook) // a call that was under way in the hub may still come
	case <-ctx.Done(): // a hub that does not answer is left all the same
	}
	return nil
}

// subscriptionEnded is the hub's answer to mute.
func (l *mqttLink) subscriptionEnded() {
	select {
	case l.muted <- struct{}{}:
	default: // it was asked once
	}
}

// leave waits until everything published is acknowledged.
func (l *mqttLink) leave(ctx context.Context) error {
	if err := l.wire.flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	for range unacknowledged {
		if err := l.slot(ctx); err != nil {
			break
		}
	}
	return errRenewal
}
