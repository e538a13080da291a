package mqtthead

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

var (
	gateway = edge.Identity{Device: "edge", Module: "gw"}
	leaf    = edge.Identity{Device: "leaf"}
)

// newHub is a hub that knows gateway and leaf and sends everything to the cloud.
func newHub(tb testing.TB, opts edge.Options) *edge.Hub {
	tb.Helper()
	if opts.SubscribeGrace == 0 {
		opts.SubscribeGrace = -1
	}
	h, err := edge.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(h.Close)
	for _, id := range []edge.Identity{gateway, leaf} {
		if err := h.AddIdentity(id, ""); err != nil {
			tb.Fatal(err)
		}
	}
	err = h.SetRoutes([]edge.Route{{Name: "all", Text: "FROM /messages/* INTO $upstream", Priority: edge.DefaultPriority}}, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func serve(tb testing.TB, h *edge.Hub, opts Options) (addr string, s *Server) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s = New(h, opts)
	served := make(chan error, 1)
	go func() { served <- s.Serve(tb.Context(), l) }()
	tb.Cleanup(func() {
		_ = s.Close()
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String(), s
}

// peer is a client that says exactly what a test wants.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(tb testing.TB, addr string) *peer {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &peer{tb, conn, bufio.NewReader(conn)}
}

// credentials are a login's three texts.
func credentials(tb testing.TB, h *edge.Hub, id edge.Identity) packets.ConnectParams {
	tb.Helper()
	token, err := h.Sign(id, time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	return packets.ConnectParams{
		ProtocolName: []byte("MQTT"), ClientIdentifier: id.String(), Keepalive: 60,
		UsernameFlag: true, Username: []byte(h.IoTHub() + "/" + id.String() + "/?api-version=2021-04-12"),
		PasswordFlag: true, Password: []byte(token),
	}
}

// login connects and returns what CONNACK says.
func (p *peer) login(params packets.ConnectParams) (code byte, present bool) {
	p.t.Helper()
	p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, Connect: params})
	pk := p.next(packets.Connack)
	return pk.ReasonCode, pk.SessionPresent
}

// enter dials and logs in as id.
func enter(tb testing.TB, addr string, h *edge.Hub, id edge.Identity, clean bool) *peer {
	tb.Helper()
	p, params := dial(tb, addr), credentials(tb, h, id)
	params.Clean = clean
	if code, _ := p.login(params); code != 0 {
		tb.Fatalf("CONNACK %d", code)
	}
	return p
}

func (p *peer) write(pk packets.Packet) {
	p.t.Helper()
	pk.ProtocolVersion = 4
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Subscribe:
		pk.FixedHeader.Qos = 1
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
		err = pk.UnsubscribeEncode(&buf)
	case packets.Puback:
		err = pk.PubackEncode(&buf)
	case packets.Pingreq:
		err = pk.PingreqEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	}
	if err == nil {
		_, err = p.conn.Write(buf.Bytes())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) publish(topic, body string, qos byte, id uint16) {
	p.t.Helper()
	p.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic, PacketID: id, Payload: []byte(body),
	})
}

func (p *peer) subscribe(qos byte, filters ...string) []byte {
	p.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 7}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: qos})
	}
	p.write(pk)
	return p.next(packets.Suback).ReasonCodes
}

// listen subscribes and waits until the hub knows, which is after SUBACK: packets are handled
// one after the other.
func (p *peer) listen(qos byte, filter string) {
	p.t.Helper()
	p.subscribe(qos, filter)
	p.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 8,
		Filters: packets.Subscriptions{{Filter: "what/ever"}},
	})
	p.next(packets.Unsuback)
}

func (p *peer) read() (packets.Packet, error) {
	pk := packets.Packet{ProtocolVersion: 4}
	first, err := p.in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	n, _, err := packets.DecodeLength(p.in)
	if err != nil {
		return pk, err
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(p.in, buf); err != nil {
		return pk, err
	}
	switch pk.FixedHeader.Type {
	case packets.Connack:
		return pk, pk.ConnackDecode(buf)
	case packets.Publish:
		return pk, pk.PublishDecode(buf)
	case packets.Puback:
		return pk, pk.PubackDecode(buf)
	case packets.Suback:
		return pk, pk.SubackDecode(buf)
	case packets.Unsuback:
		return pk, pk.UnsubackDecode(buf)
	}
	return pk, nil
}

// next is the next packet, which must be of the kind.
func (p *peer) next(kind byte) packets.Packet {
	p.t.Helper()
	pk, err := p.read()
	if err != nil || pk.FixedHeader.Type != kind {
		p.t.Fatalf("packet of type %d where %d is wanted, %v", pk.FixedHeader.Type, kind, err)
	}
	return pk
}

// over waits for the end of the connection; nothing may come before.
func (p *peer) over() {
	p.t.Helper()
	pk, err := p.read()
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("the connection lasts: packet of type %d, %v", pk.FixedHeader.Type, err)
	}
}
