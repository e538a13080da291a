package rig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/sink"
)

// startLimit bounds the start of a program.
const startLimit = 30 * time.Second

// Sink is the hub as a process.
type Sink struct {
	*Process
	sink.Ready
	client http.Client
}

// SinkOptions are what a sink is started with.
type SinkOptions struct {
	// Desired is the gateway's twin, nil for none.
	Desired []byte
	// Delay is how late the hub answers.
	Delay time.Duration
	// Standard makes it listen on AMQP's own port, for clients that know no other.
	Standard bool
}

// StartSink starts a sink in a folder.
func StartSink(ctx context.Context, program, dir string, o SinkOptions) (*Sink, error) {
	args := []string{"-state", dir, "-ackdelay", o.Delay.String()}
	if o.Standard {
		args = append(args, "-secure", "127.0.0.1:5671")
	}
	if o.Desired != nil {
		file := filepath.Join(dir, "desired.json")
		if err := os.WriteFile(file, o.Desired, 0o600); err != nil {
			return nil, fmt.Errorf("start sink: %w", err)
		}
		args = append(args, "-desired", file)
	}
	log := filepath.Join(dir, "sink.log")
	p, err := Command{Name: "sink", Path: program, Dir: dir, Log: log, Args: args}.Start(ctx)
	if err != nil {
		return nil, err
	}
	s := &Sink{Process: p, client: http.Client{Timeout: 10 * time.Second}}
	err = Within(ctx, startLimit, "the sink is up", func() (bool, error) {
		text, err := os.ReadFile(log)
		line, _, whole := strings.Cut(string(text), "\n")
		if err != nil || !whole {
			return false, p.Alive()
		}
		return true, json.Unmarshal([]byte(line), &s.Ready)
	})
	if err != nil {
		p.Stop()
		return nil, err
	}
	return s, nil
}

// Counts asks what was counted; the quantiles are not made.
func (s *Sink) Counts(ctx context.Context) (sink.Figures, error) {
	return s.ask(ctx, http.MethodGet, "/counts")
}

// Figures asks for everything.
func (s *Sink) Figures(ctx context.Context) (sink.Figures, error) {
	return s.ask(ctx, http.MethodGet, "/figures")
}

// Mark begins the measurement of latency.
func (s *Sink) Mark(ctx context.Context) error {
	_, err := s.ask(ctx, http.MethodPost, "/mark")
	return err
}

func (s *Sink) ask(ctx context.Context, method, path string) (f sink.Figures, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Control+path, http.NoBody)
	if err != nil {
		return f, fmt.Errorf("ask the sink: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return f, fmt.Errorf("ask the sink: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&f); err != nil {
		return f, fmt.Errorf("ask the sink: %w", err)
	}
	return f, nil
}

// TLS trusts the sink's certificates, which device listeners use as well.
func (s *Sink) TLS() (*tls.Config, error) {
	root, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

// Within polls a condition until it holds. An error of the condition ends it.
func Within(ctx context.Context, limit time.Duration, what string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %s", limit, what)
		case <-ticker.C:
		}
	}
}
