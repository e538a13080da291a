package amqp

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// minIdleTimeout is the shortest idle time-out that a client may ask for; the edge
// hub refuses the open below it.
const minIdleTimeout = 5 * time.Second

var errRefused = errors.New("refused")

// handshake speaks protocol headers, SASL if the client wants it, and open. It runs
// before the connection's goroutines and writes straight to the socket.
func (c *Conn) handshake() error {
	deadline := time.Now().Add(or(c.srv.HandshakeTimeout, time.Minute))
	if err := c.net.SetDeadline(deadline); err != nil {
		return err
	}
	proto, err := c.in.header()
	if err != nil {
		return c.wrongHeader(err)
	}
	if proto == protoSASL {
		if err := c.sasl(); err != nil {
			return err
		}
		if proto, err = c.in.header(); err != nil {
			return c.wrongHeader(err)
		}
	}
	if proto != protoAMQP {
		return c.wrongHeader(malformed("protocol id %d", proto))
	}
	head := protocolHeader(protoAMQP)
	if err := c.writeNow(head[:]); err != nil {
		return err
	}
	if err := c.awaitOpen(); err != nil {
		return err
	}
	return c.net.SetDeadline(time.Time{})
}

// wrongHeader answers a header that is not ours with the one that is, as the
// standard asks, unless nothing at all was said.
func (c *Conn) wrongHeader(err error) error {
	if errors.Is(err, ErrMalformed) {
		head := protocolHeader(protoAMQP)
		return errors.Join(err, c.writeNow(head[:]))
	}
	return err
}

func (c *Conn) writeNow(b []byte) error {
	_, err := c.net.Write(b)
	return err
}

// sasl offers the mechanisms, takes one and tells the outcome.
func (c *Conn) sasl() error {
	head := protocolHeader(protoSASL)
	offer := &saslMechanisms{Names: []Symbol{"ANONYMOUS", "MSSBCBS"}}
	if c.srv.Plain != nil {
		offer.Names = append(offer.Names, "PLAIN")
	}
	if err := c.writeNow(appendFrame(head[:], frameSASL, 0, offer)); err != nil {
		return err
	}
	kind, _, body, err := c.in.next()
	if err != nil {
		return err
	}
	if kind != frameSASL {
		return malformed("frame of type %d where sasl is wanted", kind)
	}
	init, err := parseSASL(body)
	if err != nil {
		return err
	}
	err = c.judge(init)
	outcome := &saslOutcome{Code: saslOK}
	if err != nil {
		outcome.Code = saslAuth
	}
	return errors.Join(err, c.writeNow(appendFrame(nil, frameSASL, 0, outcome)))
}

func (c *Conn) judge(init *saslInit) error {
	switch {
	case init.Mechanism == "ANONYMOUS", init.Mechanism == "MSSBCBS":
		return nil
	case init.Mechanism == "PLAIN" && c.srv.Plain != nil:
		// authorization id, NUL, user, NUL, password (RFC 4616)
		parts := bytes.SplitN(init.Response, []byte{0}, 3)
		if len(parts) != 3 {
			return malformed("sasl plain response of %d parts", len(parts))
		}
		c.user, c.password = string(parts[1]), string(parts[2])
		if err := c.srv.Plain(c.user, c.password); err != nil {
			return fmt.Errorf("sasl plain %.128q: %w", c.user, err)
		}
		return nil
	}
	return fmt.Errorf("sasl mechanism %.32q: %w", string(init.Mechanism), errRefused)
}

// awaitOpen exchanges opens. A client whose terms cannot be met gets open and close.
func (c *Conn) awaitOpen() error {
	kind, _, body, err := c.in.next()
	for err == nil && len(body) == 0 && kind == frameAMQP {
		kind, _, body, err = c.in.next()
	}
	if err != nil {
		return err
	}
	if kind != frameAMQP {
		return malformed("frame of type %d where open is wanted", kind)
	}
	p, err := parseBody(body)
	if err != nil {
		return err
	}
	open, ok := p.(*Open)
	if !ok {
		return malformed("%T where open is wanted", p)
	}
	c.remote = *open
	out := appendFrame(nil, frameAMQP, 0, c.localOpen())
	refusal := judgeOpen(open)
	if refusal == nil {
		return c.writeNow(out)
	}
	out = appendFrame(out, frameAMQP, 0, &Close{Err: refusal})
	return errors.Join(refusal, c.writeNow(out))
}

func (c *Conn) localOpen() *Open {
	id := c.srv.ContainerID
	if id == "" {
		id = "server"
	}
	return &Open{
		ContainerID: id,
		MaxFrame:    maxFrame,
		ChannelMax:  channelMax,
		IdleTimeout: uint32(c.idle / time.Millisecond),
	}
}

func judgeOpen(o *Open) *Error {
	idle := time.Duration(o.IdleTimeout) * time.Millisecond
	switch {
	case o.MaxFrame < minMaxFrame:
		return &Error{Condition: CondNotAllowed, Description: fmt.Sprintf(
			"max-frame-size %d, at least %d is allowed", o.MaxFrame, minMaxFrame)}
	case idle != 0 && idle < minIdleTimeout:
		return &Error{Condition: CondNotAllowed, Description: fmt.Sprintf(
			"idle-time-out %d ms, at least %d is allowed", o.IdleTimeout, minIdleTimeout.Milliseconds())}
	}
	return nil
}
