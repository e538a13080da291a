package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/sync/errgroup"
)

const (
	// idleTimeout is advertised to the hub, which then sends a heartbeat in time;
	// a dead peer is noticed within it. The hub refuses less than 5 s.
	idleTimeout = 30 * time.Second
	// closeTimeout bounds saying goodbye on a connection that may be dead.
	closeTimeout = 2 * time.Second
	// apiVersion is what Microsoft's SDKs send; the edge hub never reads it.
	apiVersion = "2020-09-30"
)

// Link property names (Azure IoT device SDKs).
const (
	linkVersion     = "com.microsoft:client-version"
	linkAPIVersion  = "com.microsoft:api-version"
	linkCorrelation = "com.microsoft:channel-correlation-id"
)

// connection is the link over AMQP: one connection with everything attached. One session
// carries all links of the identity, under the names that the SDKs use, because
// the hub looks links up by name.
type connection struct {
	hub     *Hub
	raw     net.Conn
	amqp    *amqp.Conn
	session *amqp.Session
	cbs     *cbs
	events  *amqp.Sender
	inputs  *amqp.Receiver // nil for a device, which has no inputs
	twin    *twinLinks
	methods *methodLinks
	expiry  time.Time // of the token last put
}

// connectAMQP dials and attaches in the order of the SDKs. On failure nothing is
// left open.
func (h *Hub) connectAMQP(ctx context.Context) (link, error) {
	conn, raw, err := h.upstream().openAMQP(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to edge hub: %w", err)
	}
	c := &connection{hub: h, raw: raw, amqp: conn}
	if err := c.attach(ctx); err != nil {
		c.close()
		return nil, fmt.Errorf("connect to edge hub: %w", err)
	}
	return c, nil
}

// openAMQP dials and opens. On failure nothing is left open.
func (u upstream) openAMQP(ctx context.Context) (*amqp.Conn, net.Conn, error) {
	raw, err := u.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	conn, err := amqp.NewConn(ctx, raw, &amqp.ConnOptions{HostName: u.gateway, IdleTimeout: idleTimeout})
	if err != nil {
		_ = raw.Close() // the failure above is what matters
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	return conn, raw, nil
}

func (c *connection) attach(ctx context.Context) (err error) {
	if c.session, err = c.amqp.NewSession(ctx, nil); err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	if c.cbs, err = newCBS(ctx, c.session); err != nil {
		return err
	}
	if c.expiry, err = c.renew(ctx); err != nil {
		return err
	}
	id, version, handler := c.hub.opts.Identity, c.hub.opts.Version, c.hub.opts.Handler
	props := linkProperties(version, "")
	c.events, err = c.session.NewSender(ctx, id.address("/messages/events"),
		&amqp.SenderOptions{Name: "TelemetrySenderLink", Properties: props})
	if err != nil {
		return fmt.Errorf("attach telemetry link: %w", err)
	}
	if c.twin, err = newTwinLinks(ctx, c.session, id, version, "", handler.Desired); err != nil {
		return err
	}
	desk := newModuleDesk(handler.Method)
	if c.methods, err = newMethodLinks(ctx, c.session, id, version, "", desk); err != nil {
		return err
	}
	if id.Module == "" {
		return nil
	}
	// Delivery is stop-and-wait (DeviceMessageHandler.cs), so little credit is
	// enough.
	c.inputs, err = c.session.NewReceiver(ctx, id.address("/messages/events"),
		&amqp.ReceiverOptions{Name: "EventsReceiverLink", Credit: 10, Properties: props})
	if err != nil {
		return fmt.Errorf("attach input link: %w", err)
	}
	return nil
}

// linkProperties are never empty: the hub throws on a link without any once its
// sibling exists.
func linkProperties(version, correlation string) map[string]any {
	p := map[string]any{linkVersion: version, linkAPIVersion: apiVersion}
	if correlation != "" {
		p[linkCorrelation] = correlation
	}
	return p
}

// run serves the connection until any part of it ends, and closes it.
func (c *connection) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	up := eventLink{
		uplink: c.hub.uplink, events: c.events,
		patience: c.hub.opts.SettleTimeout, observed: c.hub.opts.Observer.Batch,
	}
	g.Go(func() error { return up.run(ctx) })
	g.Go(func() error { return c.twin.serve(ctx) })
	g.Go(func() error { return c.methods.serve(ctx) })
	if c.inputs != nil {
		g.Go(func() error { return c.receiveInputs(ctx) })
	}
	g.Go(func() error { return c.keepToken(ctx) })
	g.Go(func() error { return watch(ctx, c.amqp) })
	g.Go(func() error {
		if c.hub.opts.Identity.Direct() {
			if err := c.twin.subscribe(ctx); err != nil {
				return err
			}
		}
		c.hub.opts.Handler.Connected()
		return nil
	})
	err := g.Wait()
	c.close()
	c.twin.requests.lost()
	return err
}

// request implements link.
func (c *connection) request(ctx context.Context, operation string, body []byte) ([]byte, error) {
	return c.twin.request(ctx, operation, body)
}

// watch ends a connection's work when the hub closes it: that comes as a Close
// frame without an error (a takeover by another connection of the same identity,
// an expired token, a dropped last link).
func watch(ctx context.Context, conn *amqp.Conn) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-conn.Done():
		if err := conn.Err(); err != nil {
			return fmt.Errorf("edge hub closed the connection: %w", err)
		}
		return errors.New("edge hub closed the connection")
	}
}

// renew signs a token, puts it, and returns when it expires.
func (c *connection) renew(ctx context.Context) (time.Time, error) {
	opts := &c.hub.opts
	return c.cbs.renew(ctx, opts.Identity, opts.Credential, opts.TokenTTL)
}

func (c *connection) keepToken(ctx context.Context) error {
	return keepToken(ctx, c.hub.opts.TokenTTL, c.expiry, c.renew, c.hub.opts.Observer.Renewed)
}

// keepToken renews after three quarters of the token's life. A renewal that fails
// is tried again: the old token is good for the rest, and the hub closes the
// connection when it is not.
func keepToken(
	ctx context.Context, ttl time.Duration, expiry time.Time,
	renew func(context.Context) (time.Time, error), renewed func(),
) error {
	const retry = 10 * time.Second
	for {
		wait := time.Until(expiry) - ttl/4
		if !sleep(ctx, max(wait, 0)) {
			return ctx.Err()
		}
		next, err := renew(ctx)
		if err == nil {
			expiry = next
			renewed()
			continue
		}
		if time.Now().After(expiry) {
			return fmt.Errorf("renew token: %w", err)
		}
		if !sleep(ctx, min(retry, max(time.Until(expiry)/2, time.Second))) {
			return ctx.Err()
		}
	}
}

// receiveInputs hands on what routes send to the module's inputs, one at a time.
func (c *connection) receiveInputs(ctx context.Context) error {
	for {
		msg, err := c.inputs.Receive(ctx, nil)
		if err != nil {
			return fmt.Errorf("receive input: %w", err)
		}
		in := Input{Body: msg.GetData(), Properties: make(map[string]string, len(msg.ApplicationProperties))}
		in.Name, _ = msg.Annotations["x-opt-input-name"].(string)
		for k, v := range msg.ApplicationProperties {
			if s, ok := v.(string); ok {
				in.Properties[k] = s
			}
		}
		if refusal := c.hub.opts.Handler.Input(ctx, in); refusal != nil {
			err = c.inputs.RejectMessage(ctx, msg, &amqp.Error{
				Condition: amqp.ErrCondInvalidField, Description: refusal.Error(),
			})
		} else {
			err = c.inputs.AcceptMessage(ctx, msg)
		}
		if err != nil {
			return fmt.Errorf("settle input: %w", err)
		}
	}
}

// close says goodbye, and cuts the socket when the peer does not answer in time.
func (c *connection) close() { closeAMQP(c.amqp, c.raw) }

func closeAMQP(conn *amqp.Conn, raw net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.Close() // it is closed either way, and its end has been reported
	}()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		_ = raw.Close() // see above
		<-done
	}
}

// denied tells an attach or a put-token that was refused for who we are.
func denied(err error) bool {
	var remote *amqp.Error
	if errors.As(err, &remote) {
		return remote.Condition == amqp.ErrCondNotAllowed || remote.Condition == amqp.ErrCondUnauthorizedAccess
	}
	return errors.Is(err, errPutToken) || errors.Is(err, packets.ErrorRefusedNotAuthorised)
}
