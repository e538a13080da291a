package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
)

const (
	// certificateLife is what is asked of the workload API; it gives less when its
	// own CA ends sooner.
	certificateLife = 30 * 24 * time.Hour
	// certificateCheck is how old a certificate may be before it is loaded again,
	// so that a renewed file is used without a restart.
	certificateCheck = 5 * time.Minute
	certificateCall  = 30 * time.Second
)

// certificates serves the certificate of one TLS listener and keeps it fresh.
type certificates struct {
	load    func(context.Context) (tls.Certificate, error)
	every   time.Duration
	clients *x509.CertPool

	mu     sync.Mutex
	now    tls.Certificate
	loaded time.Time
}

// certificates makes the source of a listener's certificate: files, or the edge
// CA by way of the workload API.
func (g *Gateway) certificates(ctx context.Context, c config.TLS) (*certificates, error) {
	s := &certificates{every: certificateCheck}
	switch {
	case c.Certificate != "":
		s.load = func(context.Context) (tls.Certificate, error) { return tls.LoadX509KeyPair(c.Certificate, c.Key) }
		if err := s.refresh(ctx); err != nil {
			return nil, err
		}
	case g.workload != nil:
		host, _, err := net.SplitHostPort(g.opts.Environment.Hub.Host())
		if err != nil {
			host = g.opts.Environment.Hub.Host()
		}
		s.every = certificateLife / 3
		s.load = func(ctx context.Context) (tls.Certificate, error) {
			return g.workload.ServerCertificate(ctx, host, time.Now().Add(certificateLife))
		}
	default:
		return nil, errors.New("certificate is missing: there is no workload API here to ask for one")
	}
	if c.ClientCA != "" {
		pem, err := os.ReadFile(c.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("clientCA: %w", err)
		}
		s.clients = x509.NewCertPool()
		if !s.clients.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("clientCA: no certificate in %s", c.ClientCA)
		}
	}
	return s, nil
}

func (s *certificates) config(clientAuth string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.get, ClientCAs: s.clients}
	switch clientAuth {
	case "optional":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "require":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c
}

// get returns the certificate; one that cannot be loaded anew stays in use.
func (s *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	stale := time.Since(s.loaded) > s.every
	s.mu.Unlock()
	if stale {
		ctx, cancel := context.WithTimeout(hello.Context(), certificateCall)
		defer cancel()
		if err := s.refresh(ctx); err != nil && s.empty() {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &s.now, nil
}

func (s *certificates) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.now.Certificate) == 0
}

func (s *certificates) refresh(ctx context.Context) error {
	fresh, err := s.load(ctx)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.loaded = fresh, time.Now()
	return nil
}
