package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Config says where a plugin is and what it may cost. The zero value of each field
// but Endpoints is a default.
type Config struct {
	// Endpoints are "host:port" or "unix:/path", at most 16.
	Endpoints []string
	// TLS is nil for connections without it, which belong on one machine or network
	// of containers.
	TLS *TLS
	// Deadline is how long one step may take, with the beginning of a dialogue one of
	// them: 2 seconds by default, at most a minute. Ticks have half a second, since
	// one goroutine ticks all links of a listener.
	Deadline time.Duration
	// Window and WindowBytes bound the steps in flight, over all links: 256 steps and
	// 32 MiB by default.
	Window, WindowBytes int
	// AnswerBytes bounds one answer, 1 MiB by default.
	AnswerBytes int
	// Health is how often each endpoint is asked whether it is well: every second by
	// default.
	Health time.Duration
	// Framing makes the cutter of a framing that a plugin names. Nil: none is known,
	// and a plugin that names one is refused. It is called from several goroutines.
	Framing func(spec json.RawMessage) (Cutter, error)
}

// TLS says how endpoints are verified, and how this side shows who it is.
type TLS struct {
	// CA is a file of PEM certificates; empty for those of the system.
	CA string `json:"ca"`
	// Certificate and Key are PEM files; both empty for none.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// ServerName is the name that the certificate has to be for; empty for the host of
	// the endpoint.
	ServerName string `json:"serverName"`
}

// Cutter cuts a stream into frames, with the contract of codec.Framer.
type Cutter interface {
	Split(data []byte, atEOF bool) (advance int, frame []byte, err error)
}

const (
	maxEndpoints = 16 // each has a connection, and a goroutine that asks for its health

	defaultDeadline    = 2 * time.Second
	maxDeadline        = time.Minute
	defaultWindow      = 256      // far more than a server of a few cores works on at once
	defaultWindowBytes = 32 << 20 // room for two frames of the longest kind, 16 MiB
	defaultAnswerBytes = 1 << 20  // four times what the hub takes in one message
	defaultHealth      = time.Second
)

// complete checks the configuration and fills in the defaults.
func (c *Config) complete() error {
	if n := len(c.Endpoints); n == 0 || n > maxEndpoints {
		return fmt.Errorf("%d endpoints, allowed are 1 to %d", n, maxEndpoints)
	}
	for _, e := range c.Endpoints {
		if !strings.HasPrefix(e, "unix:") && !strings.Contains(e, ":") {
			return fmt.Errorf(`endpoint %q, want "host:port" or "unix:/path"`, e)
		}
	}
	if c.Deadline < 0 || c.Deadline > maxDeadline {
		return fmt.Errorf("deadline %v, allowed are up to %v", c.Deadline, maxDeadline)
	}
	if c.Window < 0 || c.WindowBytes < 0 || c.AnswerBytes < 0 || c.Health < 0 {
		return errors.New("a bound is negative")
	}
	c.Deadline = or(c.Deadline, defaultDeadline)
	c.Window = or(c.Window, defaultWindow)
	c.WindowBytes = or(c.WindowBytes, defaultWindowBytes)
	c.AnswerBytes = or(c.AnswerBytes, defaultAnswerBytes)
	c.Health = or(c.Health, defaultHealth)
	return nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// credentials reads the files of t; nil means no TLS.
func (t *TLS) credentials() (credentials.TransportCredentials, error) {
	if t == nil {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca %s: no certificate in it", t.CA)
		}
	}
	if (t.Certificate == "") != (t.Key == "") {
		return nil, errors.New("certificate and key belong together")
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("load certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}
