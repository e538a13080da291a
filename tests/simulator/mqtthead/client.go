package mqtthead

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/tcp"
)

const (
	// backlog is how many packets wait to be handled before the hub stops reading, as the
	// real one does.
	backlog = 100
	// outbox is how many packets wait to be written: with 256 KiB each at most, 32 MiB. A
	// client that lets it fill is cut off.
	outbox = 128
	// maxKeepAlive is the longest silence that is borne, whatever the client says.
	maxKeepAlive = 10 * time.Minute
	// writeTimeout bounds one write. The real hub has no such bound; a client that reads
	// nothing for half a minute is gone.
	writeTimeout = 30 * time.Second
)

// client is one connection and its identity; it implements edge.Session.
type client struct {
	server *Server
	net    net.Conn
	in     *bufio.Reader
	end    context.CancelCauseFunc
	done   <-chan struct{}

	id        edge.Identity
	token     string
	keepAlive time.Duration
	will      *packets.Packet

	work chan packets.Packet
	out  chan []byte

	mu      sync.Mutex
	subs    subscriptions
	flights flights
}

var _ edge.Session = (*client)(nil)

func newClient(s *Server, nc net.Conn, end context.CancelCauseFunc) *client {
	return &client{
		server: s, net: nc, in: bufio.NewReader(nc), end: end,
		work: make(chan packets.Packet, backlog), out: make(chan []byte, outbox),
	}
}

// These are why a connection ended; nobody but a caller of ServeConn
// sees them, as MQTT 3.1.1 has no words for it.
var (
	errSlow    = errors.New("the client does not read")
	errDropped = errors.New("dropped by an injected fault")
	errRefused = errors.New("refused by an injected fault")
	errReset   = errors.New("reset by request")
)

// serve is the life of a connection.
func (c *client) serve(ctx context.Context) error {
	c.done = ctx.Done()
	present, err := c.login(ctx)
	if err != nil {
		return err
	}
	leave := c.server.head.Connect(c.id, c)
	defer leave()
	c.out <- connack(codeAccepted, present)
	for _, topic := range [...]edge.Topic{edge.TopicDesired, edge.TopicMethods, edge.TopicInputs, edge.TopicC2D} {
		if c.subs.subscribes(topic) {
			_ = c.server.head.Subscribe(c.id, topic) // one client too many is given nothing
		}
	}
	var running sync.WaitGroup
	running.Go(func() { c.write(ctx) })
	running.Go(func() { c.reauthenticate(ctx) })
	worked := make(chan struct{})
	running.Go(func() {
		defer close(worked)
		c.handleAll(ctx)
	})
	err = c.read(ctx)
	close(c.work)
	<-worked // what has arrived is handled, unless the hub ends the connection
	if err != nil {
		c.publishWill(ctx)
	}
	if ended := context.Cause(ctx); ended != nil {
		err = ended
	}
	c.end(err)
	running.Wait()
	return err
}

// login reads CONNECT and answers a refusal. Acceptance is answered when the session has
// been entered.
func (c *client) login(ctx context.Context) (present bool, err error) {
	_ = c.net.SetDeadline(time.Now().Add(c.server.opts.ConnectTimeout))
	pk, err := readPacket(c.in)
	if err != nil {
		return false, fmt.Errorf("await CONNECT: %w", err)
	}
	if pk.FixedHeader.Type != packets.Connect {
		return false, fmt.Errorf("%w: packet of type %d where CONNECT is wanted", errPacket, pk.FixedHeader.Type)
	}
	transport, _ := c.net.(certified)
	id, code, err := c.server.judge(ctx, &pk.Connect, transport)
	if err == nil {
		c.id, c.token = id, string(pk.Connect.Password)
		if present, err = c.resume(pk.Connect.Clean); err != nil {
			code = codeUnavailable
		}
	}
	if err != nil {
		_, writeErr := c.net.Write(connack(code, false))
		return false, errors.Join(err, writeErr)
	}
	c.keepAlive = maxKeepAlive
	if k := time.Duration(pk.Connect.Keepalive) * time.Second * 3 / 2; k > 0 {
		c.keepAlive = min(k, maxKeepAlive)
	}
	if pk.Connect.WillFlag {
		c.will = &packets.Packet{TopicName: pk.Connect.WillTopic, Payload: pk.Connect.WillPayload}
	}
	return present, c.net.SetDeadline(time.Time{})
}

// resume takes up a kept session, or forgets it for a clean one.
func (c *client) resume(clean bool) (present bool, err error) {
	var kept subscriptions
	if _, err := c.server.opts.Keep.Load(sessionName(c.id), &kept); err != nil {
		return false, fmt.Errorf("load the session of %s: %w", c.id, err)
	}
	if !clean {
		present = kept.Kept
		c.subs = subscriptions{List: kept.List, Kept: true}
	}
	if kept.Kept == c.subs.Kept {
		return present, nil
	}
	return present, c.keep()
}

// keep writes the session down. A clean one is kept as forgotten. Called by the worker
// alone, or before it.
func (c *client) keep() error {
	if err := c.server.opts.Keep.Save(sessionName(c.id), &c.subs); err != nil {
		return fmt.Errorf("keep the session of %s: %w", c.id, err)
	}
	return nil
}

// read takes packets off the socket until it ends, or the client says goodbye (nil).
// Acknowledgements and pings are answered at once, the rest in its turn.
func (c *client) read(ctx context.Context) error {
	for {
		_ = c.net.SetReadDeadline(time.Now().Add(c.keepAlive))
		pk, err := readPacket(c.in)
		if err != nil {
			return err
		}
		switch pk.FixedHeader.Type {
		case packets.Disconnect:
			return nil
		case packets.Puback:
			c.acknowledged(pk.PacketID)
		case packets.Pingreq:
			c.reply(answer(packets.Pingresp, 0))
		case packets.Publish, packets.Subscribe, packets.Unsubscribe:
			select {
			case c.work <- pk:
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return fmt.Errorf("%w: unexpected packet of type %d", errPacket, pk.FixedHeader.Type)
		}
	}
}

// write puts packets on the socket, several in one go when they are there.
func (c *client) write(ctx context.Context) {
	w := bufio.NewWriterSize(c.net, 16<<10)
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-c.out:
			_ = c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
			_, err := w.Write(b)
			if err == nil && len(c.out) == 0 {
				err = w.Flush()
			}
			if err != nil {
				c.end(err)
				return
			}
		}
	}
}

// reply queues a packet and waits for room: who asks faster than it reads waits too.
func (c *client) reply(b []byte) {
	select {
	case c.out <- b:
	case <-c.done:
	}
}

// post queues a packet without waiting, for the hub does not wait. A client whose queue is
// full is cut off.
func (c *client) post(b []byte) {
	select {
	case c.out <- b:
	default:
		c.end(errSlow)
	}
}

// reauthenticate judges the token again and again; one that no longer holds ends the
// connection. There is no other token on the same connection.
func (c *client) reauthenticate(ctx context.Context) {
	tick := time.NewTicker(max(c.server.head.ReauthInterval(), time.Millisecond))
	defer tick.Stop()
	transport, _ := c.net.(certified)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := c.server.authenticate(c.id, c.token, transport); err != nil {
				c.end(err)
				return
			}
		}
	}
}

// Close implements edge.Session.
func (c *client) Close(reason string) { c.end(errors.New(reason)) }

// Reset implements edge.Session.
func (c *client) Reset() {
	tcp.Reset(c.net)
	c.end(errReset)
}
