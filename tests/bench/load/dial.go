package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/payload"
)

const (
	// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of linux/in.h, which package syscall
	// does not name: the port is chosen at connect, so that one serves many destinations.
	ipBindAddressNoPort = 24
	// perAddress is how many connections come from one source address: below a gateway's
	// usual limit for one, and below the range of ports.
	perAddress = 1000
	// dialers is how many connections are opened at once, below the backlog of a listener.
	dialers = 64
	// dialTimeout bounds one connection, with its TLS handshake and login.
	dialTimeout = 20 * time.Second
)

// Options say what to open.
type Options struct {
	Kind payload.Kind
	// Network is tcp, tls or udp.
	Network string
	// Addresses are the gateway's listeners; connections are spread over them.
	Addresses []string
	// Connections is their number; Devices, at least as many, is how many speak through
	// them, Connections if 0.
	Connections, Devices int
	// TLS is for the network tls.
	TLS *tls.Config
}

// link is one connection with what is sent on it.
type link struct {
	net.Conn
	source *payload.Source
	sent   int64
	buffer []byte
}

// Dial opens all connections and logs in. ctx bounds it.
func Dial(ctx context.Context, o Options) (*Load, error) {
	if o.Devices == 0 {
		o.Devices = o.Connections
	}
	if o.Connections < 1 || len(o.Addresses) == 0 || o.Devices < o.Connections {
		return nil, fmt.Errorf("%d connections for %d devices to %d addresses: there must be one of each at least",
			o.Connections, o.Devices, len(o.Addresses))
	}
	l := &Load{kind: o.Kind, links: make([]*link, o.Connections), more: sync.NewCond(&sync.Mutex{})}
	l.allowed.Store(1 << 62)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for worker := range min(dialers, o.Connections) {
		group.Go(func() {
			for i := worker; i < o.Connections; i += dialers {
				c, err := o.dial(ctx, i)
				if err != nil {
					cancel(fmt.Errorf("connection %d: %w", i, err))
					return
				}
				l.links[i] = c
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("dial: %w", err), l.Close())
	}
	return l, nil
}

// dial opens connection i.
func (o *Options) dial(ctx context.Context, i int) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	source := net.IPv4(127, 0, 0, byte(2+i/perAddress%200)) //nolint:gosec // up to 201
	dialer := &net.Dialer{Control: bindLate, LocalAddr: &net.TCPAddr{IP: source}}
	network := o.Network
	switch network {
	case "udp":
		dialer.LocalAddr = &net.UDPAddr{IP: source}
	case "tls":
		network = "tcp"
	}
	address := o.Addresses[i%len(o.Addresses)]
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if o.Network == "tls" {
		secure := tls.Client(c, o.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		c = secure
	}
	first := i * o.Devices / o.Connections
	k := &link{Conn: c, source: payload.NewSource(o.Kind, first, (i+1)*o.Devices/o.Connections-first)}
	if err := k.login(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return k, nil
}

// login says who the device is, where its protocol begins with that.
func (k *link) login(ctx context.Context) error {
	text := k.source.Login()
	if text == nil {
		return nil
	}
	deadline, _ := ctx.Deadline()
	_ = k.SetDeadline(deadline)
	if _, err := k.Write(text); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(k, answer[:]); err != nil || answer[0] != 1 {
		return errors.Join(fmt.Errorf("login was answered with %#x", answer[0]), err)
	}
	return k.SetDeadline(time.Time{})
}

func bindLate(network, _ string, c syscall.RawConn) error {
	if network != "tcp4" {
		return nil
	}
	var err error
	if failed := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	}); failed != nil {
		return failed
	}
	return err
}
