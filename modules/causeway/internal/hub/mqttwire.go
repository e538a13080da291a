package hub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// keepAlive is what the hub is told; it ends a connection that is silent for half as
	// much again. A ping leaves twice as often, and its answer is waited for as long as
	// the hub would wait.
	keepAlive = 30 * time.Second
	// writeTimeout bounds a write to a peer that does not read.
	writeTimeout = 30 * time.Second
	// packetLimit bounds a packet of the hub; its own bound is 262,144.
	packetLimit = 1 << 19
	// earlyMost bounds what may come before the subscription is answered.
	earlyMost = 16
)

// errPacket is a packet that MQTT does not allow there.
var errPacket = errors.New("unexpected packet")

// mqttWire reads and writes packets on a connection. One goroutine reads; write may be
// called by any.
type mqttWire struct {
	conn net.Conn
	in   *bufio.Reader
	// early has what came before the subscription was answered, which MQTT allows.
	early []*packets.PublishPacket

	mu  sync.Mutex
	out *bufio.Writer
}

func newMQTTWire(conn net.Conn) *mqttWire {
	const buffer = 1 << 16 // of a TLS record's order
	return &mqttWire{conn: conn, in: bufio.NewReader(conn), out: bufio.NewWriterSize(conn, buffer)}
}

// put writes a packet into the buffer, which leaves with the next flush or when it is full.
func (w *mqttWire) put(p packets.ControlPacket) error { return w.write(p, false) }

// send writes a packet, and what is in the buffer before it.
func (w *mqttWire) send(p packets.ControlPacket) error { return w.write(p, true) }

func (w *mqttWire) write(p packets.ControlPacket, flush bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // a connection that is gone fails the write
	if err := p.Write(w.out); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if !flush {
		return nil
	}
	return w.flushLocked()
}

func (w *mqttWire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out.Buffered() == 0 {
		return nil
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // see write
	return w.flushLocked()
}

func (w *mqttWire) flushLocked() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// read returns the next packet. The library allocates what a packet says that it is
// long, so that is looked at before.
func (w *mqttWire) read() (packets.ControlPacket, error) {
	const longest = 5 // of a fixed header: a byte and the length in at most four
	for n := 2; ; n++ {
		head, err := w.in.Peek(n)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		if head[n-1] < 0x80 {
			length := 0
			for i := n - 1; i > 0; i-- {
				length = length<<7 | int(head[i]&0x7f)
			}
			if length > packetLimit {
				return nil, fmt.Errorf("%w: %d bytes", errPacket, length)
			}
			break
		}
		if n == longest {
			return nil, fmt.Errorf("%w: a length of more than four bytes", errPacket)
		}
	}
	p, err := packets.ReadPacket(w.in)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return p, nil
}

// login does what comes before everything else: CONNECT with a clean session, and the
// subscriptions, each of which has to be granted. It ends with ctx at the latest.
func (w *mqttWire) login(ctx context.Context, id Identity, version, token string) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = w.conn.SetReadDeadline(deadline) // a connection that is gone fails the read
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.Close() }) // its read tells
	defer stop()
	answer, err := w.exchange(&packets.ConnectPacket{
		FixedHeader:  packets.FixedHeader{MessageType: packets.Connect},
		ProtocolName: "MQTT", ProtocolVersion: 4, CleanSession: true, Keepalive: uint16(keepAlive / time.Second),
		ClientIdentifier: id.clientID(), UsernameFlag: true, Username: id.userName(version),
		PasswordFlag: true, Password: []byte(token),
	})
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	switch a, ok := answer.(*packets.ConnackPacket); {
	case !ok:
		return fmt.Errorf("log in: %w: %s", errPacket, answer)
	case a.ReturnCode != packets.Accepted:
		reason := packets.ConnErrors[a.ReturnCode]
		if reason == nil {
			reason = errPacket
		}
		return fmt.Errorf("log in: return code %d: %w", a.ReturnCode, reason)
	}
	return w.subscribe(id)
}

func (w *mqttWire) subscribe(id Identity) error {
	const first = 1
	topics, qualities := id.filters()
	answer, err := w.exchange(&packets.SubscribePacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Subscribe, Qos: 1}, // the head's flags, as MQTT has them
		MessageID:   first, Topics: topics, Qoss: qualities,
	})
	for ; err == nil; answer, err = w.read() {
		p, early := answer.(*packets.PublishPacket)
		if !early || len(w.early) == earlyMost {
			break
		}
		w.early = append(w.early, p)
	}
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	granted, ok := answer.(*packets.SubackPacket)
	if !ok || granted.MessageID != first || len(granted.ReturnCodes) != len(topics) {
		return fmt.Errorf("subscribe: %w: %s", errPacket, answer)
	}
	for i, code := range granted.ReturnCodes {
		switch {
		case code > 2: // 0x80: refused
			return fmt.Errorf("subscribe to %s: refused with code %#x", topics[i], code)
		case code < qualities[i]:
			return fmt.Errorf("subscribe to %s: got quality %d, asked for %d", topics[i], code, qualities[i])
		}
	}
	return nil
}

// exchange sends a packet and returns the next that comes.
func (w *mqttWire) exchange(p packets.ControlPacket) (packets.ControlPacket, error) {
	if err := w.send(p); err != nil {
		return nil, err
	}
	return w.read()
}
