package sink

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/check"
	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/pki"
	"github.com/causeway-iot/causeway/tests/simulator/state"
)

// Module is the one module that the sink knows.
const Module = "causeway"

// Options say what to serve.
type Options struct {
	// State is the folder of the certificates, which survive.
	State string
	// Secure is the listening address of AMQP over TLS, "127.0.0.1:0" if empty. Plain AMQP
	// and the control API take free ports.
	Secure string
	// Desired are the module's desired properties; nil for none.
	Desired json.RawMessage
	// Delay is how late transfers are answered.
	Delay time.Duration
}

// Ready says where a sink is.
type Ready struct {
	// Secure and Plain are host:port of AMQP, Control is the URL of the figures.
	Secure, Plain, Control string
	// CA is the path of the root certificate; Certificate and Key are those of a device
	// listener for localhost that it signed.
	CA, Certificate, Key string
	// ConnectionString is the module's.
	ConnectionString string
}

// Sink is a running hub that counts. Make it with Start.
type Sink struct {
	Ready Ready

	counter *counter
	head    *amqphead.Server
	hub     *edge.Hub
	api     *http.Server
	cancel  context.CancelFunc
	served  []chan struct{}
}

// Start starts a sink on loopback. ctx bounds the start only; Close ends it.
func Start(ctx context.Context, o Options) (*Sink, error) {
	s := &Sink{}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	if err := s.start(ctx, serving, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start sink: %w", err), s.Close())
	}
	return s, nil
}

func (s *Sink) start(ctx, serving context.Context, o Options) (err error) {
	dir, err := state.Open(o.State)
	if err != nil {
		return err
	}
	config, err := s.certify(dir)
	if err != nil {
		return err
	}
	// The key in the connection string is made anew: the hub's own memory is not kept.
	if s.hub, err = edge.New(edge.Options{CountOnly: true}); err != nil {
		return err
	}
	id := edge.Identity{Device: s.hub.Device(), Module: Module}
	if err = s.hub.AddIdentity(id, ""); err != nil {
		return err
	}
	if o.Desired != nil {
		if err = s.hub.SetDesired(ctx, id, o.Desired); err != nil {
			return err
		}
	}
	s.head = amqphead.New(s.hub, amqphead.Options{})
	s.counter = &counter{Handler: s.head, delay: o.Delay, tally: check.NewTally()}
	if o.Secure == "" {
		o.Secure = anyPort
	}
	secure, err := s.serve(ctx, serving, o.Secure, config)
	if err != nil {
		return err
	}
	if s.Ready.Plain, err = s.serve(ctx, serving, anyPort, nil); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(secure)
	s.Ready.Secure = net.JoinHostPort("localhost", port) // the certificate's name
	known, err := s.hub.Known(id)
	if err != nil {
		return err
	}
	gateway := s.Ready.Secure
	if port == "5671" {
		gateway = "localhost" // as real connection strings are, which name no port
	}
	s.Ready.ConnectionString = fmt.Sprintf("HostName=%s;GatewayHostName=%s;DeviceId=%s;ModuleId=%s;SharedAccessKey=%s",
		s.hub.IoTHub(), gateway, known.Device, known.Module, known.Key)
	return s.serveControl(ctx)
}

const anyPort = "127.0.0.1:0"

// certify makes the certificates and writes those that others need.
func (s *Sink) certify(dir *state.Dir) (*tls.Config, error) {
	authority, err := pki.Open(dir)
	if err != nil {
		return nil, err
	}
	issued, err := authority.Issue(pki.Request{CommonName: "localhost", Names: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"listener.crt": issued.Chain, "listener.key": issued.Key} {
		if err := dir.WriteFile(name, text); err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	if err != nil {
		return nil, err
	}
	for into, name := range map[*string]string{
		&s.Ready.CA: pki.CertificateFile, &s.Ready.Certificate: "listener.crt", &s.Ready.Key: "listener.key",
	} {
		if *into, err = filepath.Abs(dir.Path(name)); err != nil {
			return nil, err
		}
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// serve starts an AMQP engine on an address, behind TLS where a configuration is given.
func (s *Sink) serve(ctx, serving context.Context, address string, config *tls.Config) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	bound := l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	engine := &amqp.Server{Handler: s.counter, ContainerID: "sink"}
	done := make(chan struct{})
	s.served = append(s.served, done)
	go func() {
		defer close(done)
		_ = engine.Serve(serving, l)
	}()
	return bound, nil
}

func (s *Sink) serveControl(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", anyPort)
	if err != nil {
		return err
	}
	s.Ready.Control = "http://" + l.Addr().String()
	s.api = &http.Server{Handler: s.counter.control(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	s.served = append(s.served, done)
	go func() {
		defer close(done)
		_ = s.api.Serve(l)
	}()
	return nil
}

// Figures returns what was counted so far, with quantiles.
func (s *Sink) Figures() Figures { return s.counter.figures(true) }

// Close ends every connection and waits.
func (s *Sink) Close() (err error) {
	s.cancel()
	if s.api != nil {
		err = s.api.Close()
	}
	if s.head != nil {
		err = errors.Join(err, s.head.Close())
	}
	for _, done := range s.served {
		<-done
	}
	if s.hub != nil {
		s.hub.Close()
	}
	return err
}
