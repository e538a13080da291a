package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/sync/errgroup"
)

const (
	// afterTLS is a pause before CONNECT: the edge hub 1.6.0 and 1.6.1 lose what comes
	// together with the end of the TLS handshake (Azure/iotedge pull request 7539).
	afterTLS = 50 * time.Millisecond
	// inputsWaiting and patchesWaiting bound what has come and is not yet handled. The
	// hub delivers inputs one at a time, and again after 30 s; it sends patches as they are
	// made. Over the bound the link ends, and the twin is fetched on the next.
	inputsWaiting  = 16
	patchesWaiting = 100
)

// mqttLink is the link over MQTT 3.1.1. The session is clean, and nothing of it outlives
// the connection: what was not acknowledged is the uplink's to send again.
type mqttLink struct {
	hub     *Hub
	wire    *mqttWire
	air     *air
	twin    twinRequests
	methods *methodDesk
	inputs  chan mqttInput
	patches chan json.RawMessage
	expiry  time.Time     // of the token
	muted   chan struct{} // has one when the hub has taken the end of a subscription
	leaving chan struct{} // closed when the link is to end for a new token
}

type mqttInput struct {
	Input
	ack *packets.PubackPacket // nil for quality 0
}

// connectMQTT dials, logs in and subscribes.
func (h *Hub) connectMQTT(ctx context.Context) (link, error) {
	expiry := time.Now().Add(h.opts.TokenTTL)
	token, err := newToken(ctx, h.opts.Identity, h.opts.Credential, expiry)
	if err != nil {
		return nil, fmt.Errorf("connect to edge hub: %w", err)
	}
	conn, err := h.upstream().dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to edge hub: %w", err)
	}
	wire := newMQTTWire(conn)
	if h.opts.Protocol == MQTT && !sleep(ctx, afterTLS) {
		err = ctx.Err()
	}
	if err == nil {
		err = wire.login(ctx, h.opts.Identity, h.opts.Version, token)
	}
	if err != nil {
		_ = conn.Close() // the failure is what matters
		return nil, fmt.Errorf("connect to edge hub: %w", err)
	}
	return &mqttLink{
		hub: h, wire: wire, air: newAir(h.uplink.opts.Window), expiry: expiry,
		methods: newModuleDesk(h.opts.Handler.Method),
		inputs:  make(chan mqttInput, inputsWaiting), patches: make(chan json.RawMessage, patchesWaiting),
		muted: make(chan struct{}, 1), leaving: make(chan struct{}),
	}, nil
}

// run implements link.
func (l *mqttLink) run(parent context.Context) error {
	g, ctx := errgroup.WithContext(parent)
	g.Go(func() error { return l.send(ctx) })
	g.Go(func() error { return l.settle(ctx) })
	g.Go(func() error { return l.receive(ctx) })
	g.Go(func() error { return l.handleInputs(ctx) })
	g.Go(func() error { return l.handlePatches(ctx) })
	g.Go(func() error { return l.keepToken(ctx) })
	g.Go(func() error { return l.ping(ctx) })
	g.Go(func() error { // ends what reads and writes
		<-ctx.Done()
		goodbye(l.wire)
		return ctx.Err()
	})
	l.hub.opts.Handler.Connected()
	err := g.Wait()
	l.methods.wait()
	l.twin.lost()
	l.settleLanded() // what the hub acknowledged last is not sent again
	if parent.Err() == nil && !errors.Is(err, errRenewal) {
		l.hub.uplink.blame(l.air.first())
	}
	return err
}

// goodbye sends DISCONNECT, for which a peer that does not read has little time, and closes.
func goodbye(w *mqttWire) {
	t := time.AfterFunc(closeTimeout, func() { _ = w.conn.Close() })
	defer t.Stop()
	_ = w.send(packets.NewControlPacket(packets.Disconnect)) // it is closed either way
	_ = w.conn.Close()
}

// request implements link. Its publish needs no PUBACK, since the answer says more.
func (l *mqttLink) request(ctx context.Context, operation string, body []byte) ([]byte, error) {
	prefix := topicTwinGet
	if operation == "PATCH" {
		prefix = topicTwinReport
	}
	return l.twin.ask(ctx, operation, func(_ context.Context, id string) error {
		return l.wire.send(publication(prefix+id, body))
	})
}

// publication is a publish of quality 0.
func publication(topic string, body []byte) *packets.PublishPacket {
	return &packets.PublishPacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Publish}, TopicName: topic, Payload: body,
	}
}

// receive reads packets until the connection ends.
func (l *mqttLink) receive(ctx context.Context) error {
	for _, p := range l.wire.early {
		if err := l.arrived(ctx, p); err != nil {
			return err
		}
	}
	for {
		_ = l.wire.conn.SetReadDeadline(time.Now().Add(keepAlive + keepAlive/2)) // one that is gone fails the read
		p, err := l.wire.read()
		if err != nil {
			return fmt.Errorf("receive from edge hub: %w", err)
		}
		switch p := p.(type) {
		case *packets.PubackPacket:
			l.air.acknowledged(p.MessageID)
		case *packets.PublishPacket:
			if err := l.arrived(ctx, p); err != nil {
				return err
			}
		case *packets.UnsubackPacket:
			l.subscriptionEnded()
		case *packets.PingrespPacket: // any packet is a sign of life
		default:
			return fmt.Errorf("%w: %s", errPacket, p)
		}
	}
}

// arrived hands on what the hub publishes.
func (l *mqttLink) arrived(ctx context.Context, p *packets.PublishPacket) error {
	var ack *packets.PubackPacket
	if p.Qos > 0 {
		ack = &packets.PubackPacket{
			FixedHeader: packets.FixedHeader{MessageType: packets.Puback}, MessageID: p.MessageID,
		}
	}
	if in, ok := parseInput(p.TopicName); ok {
		in.Body = p.Payload
		select {
		case l.inputs <- mqttInput{in, ack}:
			return nil
		default:
			return fmt.Errorf("more than %d inputs wait", inputsWaiting)
		}
	}
	if err := l.control(ctx, p); err != nil {
		return err
	}
	if ack == nil {
		return nil
	}
	return l.wire.send(ack)
}

// control hands on what came under $iothub. A topic of no known kind is left alone, as a
// hub of tomorrow may send more.
func (l *mqttLink) control(ctx context.Context, p *packets.PublishPacket) error {
	if rest, ok := strings.CutPrefix(p.TopicName, prefixTwinAnswer); ok {
		id, status, err := parseTwinAnswer(rest)
		if err != nil {
			return err
		}
		l.twin.answered(id, twinAnswer{status: status, body: p.Payload})
	} else if strings.HasPrefix(p.TopicName, prefixDesired) {
		select {
		case l.patches <- p.Payload:
		default:
			return fmt.Errorf("more than %d desired patches wait", patchesWaiting)
		}
	} else if rest, ok := strings.CutPrefix(p.TopicName, prefixMethod); ok {
		name, id, err := parseMethod(rest)
		if err != nil {
			return err
		}
		l.methods.take(ctx, name, p.Payload, func(status int, answer json.RawMessage) {
			// One that cannot be sent is lost with its link.
			_ = l.wire.send(publication(topicMethodAnswer+strconv.Itoa(status)+"/?$rid="+id, answer))
		})
	}
	return nil
}

// handleInputs hands on inputs one at a time. MQTT has no word for no: a refused one is
// acknowledged, which drops it as a rejection does over AMQP.
func (l *mqttLink) handleInputs(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case in := <-l.inputs:
			_ = l.hub.opts.Handler.Input(ctx, in.Input) // the handler has told of its refusal
			if in.ack == nil {
				continue
			}
			if err := l.wire.send(in.ack); err != nil {
				return fmt.Errorf("settle input: %w", err)
			}
		}
	}
}

// handlePatches hands on desired patches in the order of their coming.
func (l *mqttLink) handlePatches(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case patch := <-l.patches:
			l.hub.opts.Handler.Desired(patch)
		}
	}
}

func (l *mqttLink) ping(ctx context.Context) error {
	for {
		if !sleep(ctx, keepAlive/2) {
			return ctx.Err()
		}
		if err := l.wire.send(packets.NewControlPacket(packets.Pingreq)); err != nil {
			return fmt.Errorf("ping: %w", err)
		}
	}
}
