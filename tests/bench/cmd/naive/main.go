// Command naive is the gateway that most users of go-amqp write: a goroutine for each
// connection, which sends a line and waits until the hub has it before it reads the next.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/Azure/go-amqp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "listening `address` of devices")
	hub := flag.String("hub", "", "`URL` of the hub: amqp:// or amqps://")
	ca := flag.String("ca", "", "root certificate `file`")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "naive:", run(context.Background(), *listen, *hub, *ca))
	os.Exit(1)
}

// run returns why it cannot go on.
func run(ctx context.Context, address, hub, ca string) error {
	root, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	conn, err := amqp.Dial(ctx, hub, &amqp.ConnOptions{TLSConfig: config})
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
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = c.Close() }()
			if err := pass(ctx, c, sender); err != nil {
				fmt.Fprintln(os.Stderr, "naive:", err)
			}
		}()
	}
}

func pass(ctx context.Context, c net.Conn, sender *amqp.Sender) error {
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if err := sender.Send(ctx, amqp.NewMessage(bytes.Clone(lines.Bytes())), nil); err != nil {
			return err
		}
	}
	return lines.Err()
}
