// Command prototype is the ceiling: the least that passes lines on to the hub in order and
// acknowledged, in IoT Hub's batch format. It has no codecs, routes, limits, disk or
// reconnection; what it does have is the idea that Causeway's uplink is built on, that the
// next batch fills while the last is written.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/Azure/go-amqp"
)

// flags are what the program is told.
type flags struct {
	listen, hub, ca string
	valid           bool
}

func main() {
	var f flags
	flag.StringVar(&f.listen, "listen", "127.0.0.1:0", "listening `address` of devices")
	flag.StringVar(&f.hub, "hub", "", "`URL` of the hub: amqp:// or amqps://")
	flag.StringVar(&f.ca, "ca", "", "root certificate `file`")
	flag.BoolVar(&f.valid, "valid", false, "check that every line is JSON")
	flag.Parse()
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, "prototype:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	root, err := os.ReadFile(f.ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	conn, err := amqp.Dial(ctx, f.hub, &amqp.ConnOptions{TLSConfig: config})
	if err != nil {
		return err
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, "bench", nil)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return err
	}
	u := newUplink(sender)
	failed := make(chan error, 3)
	go func() { failed <- u.send(ctx) }()
	go func() { failed <- u.settle(ctx) }()
	go func() { failed <- accept(l, u, f.valid) }()
	return <-failed
}

func accept(l net.Listener, u *uplink, valid bool) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = c.Close() }()
			if err := pass(c, u, valid); err != nil {
				fmt.Fprintln(os.Stderr, "prototype:", err)
			}
		}()
	}
}

// readSize is what a connection reads at once.
const readSize = 16 << 10

// pass hands the whole lines of each read to the uplink.
func pass(c net.Conn, u *uplink, valid bool) error {
	buffer := make([]byte, readSize)
	n := 0
	for {
		read, err := c.Read(buffer[n:])
		if err != nil {
			return nil //nolint:nilerr // the device has gone
		}
		n += read
		used, err := lines(buffer[:n], u, valid)
		if err != nil {
			return err
		}
		n = copy(buffer, buffer[used:n])
		if n == len(buffer) {
			return fmt.Errorf("a line of more than %d bytes", readSize)
		}
	}
}

// lines returns how many bytes whole lines took.
func lines(b []byte, u *uplink, valid bool) (used int, err error) {
	used = bytes.LastIndexByte(b, '\n') + 1
	for rest := b[:used]; valid && len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if !json.Valid(rest[:end]) {
			return 0, fmt.Errorf("a line that is no JSON: %q", rest[:end])
		}
		rest = rest[end+1:]
	}
	u.add(b[:used])
	return used, nil
}
