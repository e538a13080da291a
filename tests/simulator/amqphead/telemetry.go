package amqphead

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
)

const (
	// maxTransfer is what a single or batch message may have in all before the hub
	// rejects it (600 KiB).
	maxTransfer = 600 << 10
	// maxOne is the limit for each message in itself.
	maxOne = 256 << 10
)

// publish handles one transfer of the telemetry link. The engine calls it for one
// at a time, so the next waits until this one is stored and answered.
func (c *client) publish(ctx context.Context, d *amqp.Delivery) {
	fault := c.head.PublishFault(c.id)
	var refusal *amqp.Error
	if fault.Refuse != nil {
		refusal = refusalOf(fault.Refuse, "", "")
	} else {
		refusal = c.store(ctx, d)
	}
	if !pause(ctx, fault.Delay) {
		return
	}
	switch {
	case fault.Drop:
		c.peer.conn.Drop()
	case fault.Withhold:
	case refusal != nil:
		d.Settle(&amqp.Rejected{Err: refusal})
	default:
		d.Settle(&amqp.Accepted{})
	}
}

// store hands the messages of a transfer to the hub. Those before one that is too
// large are stored although the transfer is rejected.
func (c *client) store(ctx context.Context, d *amqp.Delivery) *amqp.Error {
	if len(d.Data) > maxTransfer {
		return &amqp.Error{Condition: amqp.CondNotAllowed, Description: quoted("Invalid action performed")}
	}
	batch, bad := decodeTransfer(c.id, d.Format, d.Data)
	if len(batch) > 0 || bad == nil {
		if err := c.head.Publish(ctx, c.id, batch); err != nil {
			return refusalOf(err, amqp.CondInternal, quoted(err.Error()))
		}
	}
	switch {
	case errors.Is(bad, errTooLarge):
		return &amqp.Error{Condition: amqp.CondMessageSize, Description: quoted(bad.Error())}
	case bad != nil:
		return &amqp.Error{Condition: amqp.CondInternal, Description: quoted(bad.Error())}
	}
	return nil
}

// pause waits and returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// quoted makes a JSON string: the real hub serialises its descriptions.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}
