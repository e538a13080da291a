package exproto

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
)

// handled is the codec of one listener.
type handled struct {
	adapter *Adapter
	options options
}

// Begin implements codec.Codec. The handler hears of the link at the first step.
func (h *handled) Begin(p codec.Peer) (codec.Dialogue, error) {
	d := &dialogue{adapter: h.adapter, options: h.options, peer: p}
	if p.Datagram() {
		return d, nil
	}
	return stream{d}, nil
}

// dialogue is one link.
type dialogue struct {
	adapter *Adapter
	options options
	peer    codec.Peer
	conn    *conn     // nil until the handler has heard of the link
	heard   time.Time // when bytes came last
	now     time.Time // of the last frame or tick
	broken  error
}

// stream is a dialogue whose bytes are handed on as they come: the handler cuts them,
// unless the listener names a framing.
type stream struct{ *dialogue }

// Split implements codec.Framer.
func (stream) Split(data []byte, _ bool) (advance int, frame []byte, err error) {
	if len(data) == 0 {
		return 0, nil, nil
	}
	return len(data), data, nil
}

// turn calls the handler, and collects what it asks for.
func (d *dialogue) turn(patience time.Duration, out *codec.Outcome, call func(context.Context) error) error {
	if d.broken != nil {
		return d.broken
	}
	ctx, cancel := context.WithTimeout(d.adapter.ctx, patience)
	defer cancel()
	if err := d.called(ctx, call); err != nil {
		why := status.Convert(err).Message()
		switch {
		case d.adapter.ctx.Err() != nil:
			why = errClosed.Error()
		case ctx.Err() != nil, ended(ctx, err):
			why = fmt.Sprintf("no answer within %v", patience)
		}
		d.broken = d.adapter.broken(why)
		return d.broken
	}
	d.conn.collect(out, d.options)
	return nil
}

// deadlineEarly is how much earlier than ours the handler's end of a call may find that its time
// is over: it counts the same time, and its word comes first now and then.
const deadlineEarly = 50 * time.Millisecond

// ended tells whether the handler's end gave a call up because its time was over.
func ended(ctx context.Context, err error) bool {
	deadline, _ := ctx.Deadline()
	code := status.Code(err)
	return (code == codes.Canceled || code == codes.DeadlineExceeded) && time.Until(deadline) < deadlineEarly
}

// called calls the handler when there is room, after it has heard of the link.
func (d *dialogue) called(ctx context.Context, call func(context.Context) error) error {
	select {
	case d.adapter.window <- struct{}{}:
		defer func() { <-d.adapter.window }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.conn == nil {
		d.conn = &conn{id: rand.Text()}
		d.adapter.enter(d.conn)
		created := &pb.SocketCreatedRequest{Conn: d.conn.id, Conninfo: connInfo(d.peer)}
		if _, err := d.adapter.handler.OnSocketCreated(ctx, created); err != nil {
			return err
		}
	}
	return call(ctx)
}

func connInfo(p codec.Peer) *pb.ConnInfo {
	info := &pb.ConnInfo{
		Socktype: map[string]pb.SocketType{"tls": pb.SocketType_SSL, "udp": pb.SocketType_UDP}[p.Transport],
		Peername: &pb.Address{Host: p.Remote.Addr().Unmap().String(), Port: uint32(p.Remote.Port())},
		Sockname: &pb.Address{}, // which of our addresses it was is not known here; handlers read the field
	}
	if p.TLS != nil {
		info.Peercert = &pb.CertificateInfo{Cn: p.TLS.CommonName, Dn: "CN=" + p.TLS.CommonName}
	}
	return info
}

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	d.heard, d.now = f.At, f.At
	return d.turn(d.adapter.config.Deadline, out, func(ctx context.Context) error {
		_, err := d.adapter.handler.OnReceivedBytes(ctx, &pb.ReceivedBytesRequest{Conn: d.conn.id, Bytes: f.Bytes})
		return err
	})
}

// Tick implements codec.Ticker: it brings what the handler asked for since, and lets
// the keep-alive timer run.
func (d *dialogue) Tick(now time.Time, out *codec.Outcome) error {
	d.now = now
	if d.heard.IsZero() {
		d.heard = now
	}
	resting := time.Now().UnixNano() < d.adapter.rested.Load()
	switch {
	case d.broken != nil:
		return d.broken
	case d.conn == nil && !resting:
		return d.tickTurn(out, func(context.Context) error { return nil })
	case d.conn == nil:
		return nil
	}
	if silent := d.conn.keepalive(); silent > 0 && now.Sub(d.heard) > silent+silent/2 && !resting {
		return d.timeout(out)
	}
	d.conn.collect(out, d.options)
	return nil
}

// tickTurn is a turn that must not take long.
func (d *dialogue) tickTurn(out *codec.Outcome, call func(context.Context) error) error {
	patience := min(tickPatience, d.adapter.config.Deadline)
	began := time.Now()
	err := d.turn(patience, out, call)
	if err != nil && time.Since(began) >= patience {
		d.adapter.rested.Store(time.Now().Add(tickRest).UnixNano())
	}
	return err
}

// timeout tells the handler that the device is silent, and ends the link as EMQX does.
func (d *dialogue) timeout(out *codec.Outcome) error {
	err := d.tickTurn(out, func(ctx context.Context) error {
		_, err := d.adapter.handler.OnTimerTimeout(ctx, &pb.TimerTimeoutRequest{
			Conn: d.conn.id, Type: pb.TimerType_KEEPALIVE,
		})
		return err
	})
	if err == nil {
		out.Close = "keepalive-timeout"
	}
	return err
}

// Command implements codec.Commander. The one command is "message", with the payload
// {"topic": "...", "payload": ..., "qos": 0}: text, {"hex": "..."}, or any other JSON.
// It ends when the handler has taken it, unconfirmed; handlers know of no answer to it.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "message" {
		return fmt.Errorf("%w %q, known is message", codec.ErrUnknownCommand, c.Name)
	}
	var m struct {
		Topic   string          `json:"topic"`
		Payload json.RawMessage `json:"payload"`
		QoS     uint32          `json:"qos"`
	}
	if err := codec.DecodeOptions(c.Payload, &m); err != nil {
		return fmt.Errorf("%w: %w", codec.ErrBadCommand, err)
	}
	payload, err := payloadBytes(m.Payload)
	if err != nil {
		return err
	}
	if m.QoS > 2 {
		return fmt.Errorf("%w: /qos: got %d, allowed are 0 to 2", codec.ErrBadCommand, m.QoS)
	}
	if d.conn == nil {
		return fmt.Errorf("%w: the handler subscribes to nothing yet", codec.ErrBadCommand)
	}
	if ok, topics := d.conn.subscribed(m.Topic); !ok {
		return fmt.Errorf("%w: /topic: got %q, the handler subscribes to %v", codec.ErrBadCommand, m.Topic, topics)
	}
	err = d.turn(d.adapter.config.Deadline, out, func(ctx context.Context) error {
		_, err := d.adapter.handler.OnReceivedMessages(ctx, &pb.ReceivedMessagesRequest{
			Conn: d.conn.id,
			Messages: []*pb.Message{{
				Node: "causeway", From: "causeway", Id: c.Correlation, Topic: m.Topic, Qos: m.QoS, Payload: payload,
				Timestamp: uint64(d.now.UnixMilli()),
			}},
		})
		return err
	})
	if err == nil {
		if len(out.Messages) == 0 { // there is nothing that the bytes of the command could wait for
			out.Reply, out.Ack = append(out.Reply, out.Ack...), nil
		}
		out.Results = append(out.Results, codec.Result{
			Correlation: c.Correlation, Payload: json.RawMessage(`{"delivered":true}`),
		})
	}
	return err
}

// payloadBytes are the bytes that a command's payload stands for.
func payloadBytes(raw json.RawMessage) ([]byte, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []byte(text), nil
	}
	var bytes struct {
		Hex *string `json:"hex"`
	}
	if isHex := codec.DecodeOptions(raw, &bytes) == nil && bytes.Hex != nil; !isHex {
		return raw, nil
	}
	decoded, err := hex.DecodeString(*bytes.Hex)
	if err != nil {
		return nil, fmt.Errorf("%w: /payload/hex: got %q, want bytes in hexadecimal", codec.ErrBadCommand, *bytes.Hex)
	}
	return decoded, nil
}

// Close implements codec.Closer.
func (d *dialogue) Close() error {
	if d.broken == nil {
		d.broken = fmt.Errorf("%w: %w", codec.ErrBroken, errors.New("the link is over"))
	}
	if d.conn != nil {
		d.adapter.leave(d.conn.id, "closed")
	}
	return nil
}
