package exproto

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
)

// Config says where the handler is, and where it finds the adapter.
type Config struct {
	// Handler is where ConnectionUnaryHandler is served: "host:port" or "unix:/path".
	Handler string
	// HandlerTLS is nil for none.
	HandlerTLS *rpc.TLS
	// Listen is where ConnectionAdapter is served, "host:port".
	Listen string
	// ListenTLS is nil for none.
	ListenTLS *ServerTLS
	// Deadline is how long a turn may take: 2 seconds by default, at most a minute. A
	// tick has half a second.
	Deadline time.Duration
	// Window bounds the turns in progress over all links, 256 by default.
	Window int
}

// ServerTLS names PEM files.
type ServerTLS struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// ClientCA, when not empty, verifies handlers; without it anyone may call.
	ClientCA string `json:"clientCa"`
}

const (
	defaultDeadline = 2 * time.Second
	maxDeadline     = time.Minute
	defaultWindow   = 256 // more than a handler of a few cores works on at once
	// One goroutine ticks all links of a listener, so a tick has little time, and after
	// one that was late the handler is not called by ticks for a while.
	tickPatience = 500 * time.Millisecond
	tickRest     = 10 * tickPatience
	// maxAnswer bounds what the handler returns: nothing, on success.
	maxAnswer = 64 << 10
	// maxConnections and maxCalls bound what a handler's processes may open, each
	// connection with so many calls at once.
	maxConnections = 64
	maxCalls       = 1024
)

func (c *Config) complete() error {
	if c.Handler == "" || c.Listen == "" {
		return errors.New("handler and listen are needed")
	}
	if c.Deadline < 0 || c.Deadline > maxDeadline {
		return fmt.Errorf("deadline %v, allowed are up to %v", c.Deadline, maxDeadline)
	}
	if c.Window < 0 {
		return fmt.Errorf("window %d, allowed are 1 and more", c.Window)
	}
	if c.Deadline == 0 {
		c.Deadline = defaultDeadline
	}
	if c.Window == 0 {
		c.Window = defaultWindow
	}
	return nil
}

// credentials reads the files; nil means no TLS.
func (t *ServerTLS) credentials() (credentials.TransportCredentials, error) {
	if t == nil {
		return insecure.NewCredentials(), nil
	}
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ClientCA != "" {
		pem, err := os.ReadFile(t.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("read client ca: %w", err)
		}
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("client ca %s: no certificate in it", t.ClientCA)
		}
	}
	return credentials.NewTLS(config), nil
}

// options are those of a listener.
type options struct {
	Ack         string `json:"ack"`
	ContentType string `json:"contentType"`
}

func parseOptions(raw json.RawMessage) (options, error) {
	o := options{Ack: "after-publish"}
	if err := codec.DecodeOptions(raw, &o); err != nil {
		return o, err
	}
	if o.Ack != "after-publish" && o.Ack != "reply" {
		return o, codec.Optionf("/ack", "got %q, allowed are after-publish, reply", o.Ack)
	}
	return o, nil
}
