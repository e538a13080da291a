package mqtthead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// handleAll handles packets one after the other. An error ends the connection.
func (c *client) handleAll(ctx context.Context) {
	for pk := range c.work {
		if ctx.Err() != nil {
			return
		}
		if err := c.handle(ctx, &pk); err != nil {
			c.end(err)
			return
		}
	}
}

func (c *client) handle(ctx context.Context, pk *packets.Packet) error {
	switch pk.FixedHeader.Type {
	case packets.Subscribe:
		return c.subscribe(pk)
	case packets.Unsubscribe:
		return c.unsubscribe(pk)
	}
	if pk.FixedHeader.Qos > 1 {
		return fmt.Errorf("%w: quality of service 2", errPacket)
	}
	return c.publish(ctx, pk)
}

func (c *client) publish(ctx context.Context, pk *packets.Packet) error {
	p, err := parseTopic(pk.TopicName)
	if err != nil {
		return err
	}
	switch p.use {
	case telemetry, unknown:
		return c.telemetry(ctx, p, pk)
	case twinGet:
		c.twinGet(ctx, p)
	case twinPatch:
		c.twinPatch(ctx, p, pk.Payload)
	case methodAnswer:
		c.server.head.AnswerMethod(c.id, p.rid, p.status, pk.Payload)
	}
	c.acknowledge(pk)
	return nil
}

// acknowledge sends PUBACK to a publish that asks for it.
func (c *client) acknowledge(pk *packets.Packet) {
	if pk.FixedHeader.Qos == 1 {
		c.reply(answer(packets.Puback, pk.PacketID))
	}
}

// telemetry stores a message. MQTT has no word for no: what the hub cannot store ends the
// connection, and so does an injected refusal.
func (c *client) telemetry(ctx context.Context, p published, pk *packets.Packet) error {
	fault := c.server.head.PublishFault(c.id)
	var err error
	if fault.Refuse != nil {
		err = fmt.Errorf("%w: %w", errRefused, fault.Refuse)
	} else {
		err = c.swallow(c.store(ctx, p, pk))
	}
	if !pause(ctx, fault.Delay) {
		return ctx.Err()
	}
	switch {
	case err != nil:
		return err
	case fault.Drop:
		return errDropped
	case fault.Withhold:
		return nil
	}
	c.acknowledge(pk)
	return nil
}

// errName is a message in the name of another identity.
var errName = errors.New("the topic is not the client's own")

func (c *client) store(ctx context.Context, p published, pk *packets.Packet) error {
	if p.use == unknown {
		return fmt.Errorf("%w: %.128q", errBag, pk.TopicName)
	}
	if p.id != c.id && c.server.opts.Strict {
		return fmt.Errorf("%w: %.128q", errName, pk.TopicName)
	}
	m, err := readMessage(p, pk.Payload, pk.FixedHeader.Retain, pk.FixedHeader.Dup)
	if err != nil {
		return err
	}
	return c.server.head.Publish(ctx, p.id, []edge.Message{m})
}

// swallow turns the errors that the real hub throws away into silence. Others, a full
// store above all, end the connection.
func (c *client) swallow(err error) error {
	if err == nil {
		return nil
	}
	var r *edge.Refusal
	swallowed := errors.Is(err, errBag) ||
		errors.As(err, &r) && (r.Condition == edge.ConditionTooLarge || r.Condition == edge.ConditionInternal)
	if !swallowed || c.server.opts.Strict {
		return err
	}
	c.server.opts.Swallowed(c.id, err)
	return nil
}

// publishWill stores the will of a connection that ended without a goodbye. Its time is
// bounded by the hub's own store, as the connection's context has ended.
func (c *client) publishWill(ctx context.Context) {
	if c.will == nil {
		return
	}
	p := parseTelemetry(c.will.TopicName)
	m, err := readMessage(p, c.will.Payload, false, false)
	if err == nil && p.use == unknown {
		err = fmt.Errorf("%w: will topic %.128q", errBag, c.will.TopicName)
	}
	if err == nil {
		m.Properties["MessageType"] = "Will"
		err = c.server.head.Publish(context.WithoutCancel(ctx), p.id, []edge.Message{m})
	}
	if err != nil {
		c.server.opts.Swallowed(c.id, err)
	}
}

func (c *client) twinGet(ctx context.Context, p published) {
	twin, err := c.server.head.Twin(ctx, c.id)
	if err != nil {
		twin = nil
	}
	c.result(p.rid, twinStatus(err, 200), twin)
}

func (c *client) twinPatch(ctx context.Context, p published, patch json.RawMessage) {
	c.result(p.rid, twinStatus(c.server.head.PatchReported(ctx, c.id, patch), 204), nil)
}

// twinStatus is what a twin request is answered with.
func twinStatus(err error, good int) int {
	switch {
	case err == nil:
		return good
	case errors.Is(err, edge.ErrInvalidTwin):
		return 400
	case errors.Is(err, edge.ErrThrottled):
		return 429
	}
	return 500
}

// result answers a twin request, if the client has asked for answers.
func (c *client) result(rid string, status int, body []byte) {
	f := flight{topic: fmt.Sprintf("%s%d/?$rid=%s", resultPrefix, status, escape(rid)), payload: body}
	c.mu.Lock()
	qos, wanted := c.subs.wantsResults()
	if f.qos = qos; wanted && qos > 0 {
		c.deliver(f)
	}
	c.mu.Unlock()
	if !wanted || qos > 0 {
		return
	}
	if b, err := publication(f.topic, f.payload, 0, 0); err == nil {
		c.reply(b)
	}
}

// subscribe grants what is asked for, quality 2 as 1, and filters that it does not know.
func (c *client) subscribe(pk *packets.Packet) error {
	granted := make([]byte, 0, len(pk.Filters))
	c.mu.Lock()
	now := c.server.opts.Now()
	for _, f := range pk.Filters {
		qos := min(f.Qos, 1)
		if c.subs.add(f.Filter, qos, now) != nil {
			qos = 0x80
		}
		granted = append(granted, qos)
	}
	c.mu.Unlock()
	if c.subs.Kept {
		if err := c.keep(); err != nil {
			return err
		}
	}
	b, err := suback(pk.PacketID, granted)
	if err != nil {
		return fmt.Errorf("answer a subscription: %w", err)
	}
	c.reply(b)
	// After SUBACK, which is before anything that the subscription brings.
	for _, f := range pk.Filters {
		if topic, ok := topicOf(f.Filter); ok && !c.ended() {
			_ = c.server.head.Subscribe(c.id, topic) // SUBACK has been sent
		}
	}
	return nil
}

func (c *client) unsubscribe(pk *packets.Packet) error {
	rest := c.subs.clone()
	for _, f := range pk.Filters {
		rest.remove(f.Filter)
	}
	for _, f := range pk.Filters { // the hub first, so that it gives nothing which the client does not take
		if topic, ok := topicOf(f.Filter); ok && !rest.subscribes(topic) && !c.ended() {
			c.server.head.Unsubscribe(c.id, topic)
		}
	}
	c.mu.Lock()
	c.subs = rest
	c.mu.Unlock()
	if c.subs.Kept {
		if err := c.keep(); err != nil {
			return err
		}
	}
	c.reply(answer(packets.Unsuback, pk.PacketID))
	return nil
}

// ended tells whether the connection is over. Topics go by identity, which may by then be
// present on another one.
func (c *client) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
