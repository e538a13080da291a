package sim

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/cloudhead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/service"
)

// serviceAddresses are where the service side listens, host:port.
type serviceAddresses struct {
	https, amqp string
	direct      [doors]string // of IoT Hub itself
}

// methodRead and methodWrite bound a request on a port that takes method calls: one lasts up
// to 300 s of connecting and 300 s of answering.
const (
	methodRead  = 30 * time.Second
	methodWrite = 11 * time.Minute
)

// serviceNames are the hosts that the service side is reached by, beside localhost.
func (e *Edge) serviceNames() []string {
	var names []string
	for _, address := range []string{
		e.opts.Service, e.opts.ServiceAMQP, e.opts.Direct, e.opts.DirectMQTT, e.opts.DirectWeb,
	} {
		host, _, err := net.SplitHostPort(address)
		if err == nil && host != "" && host != "127.0.0.1" && host != "::1" && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// openService opens the cloud's side: it stays when the hub or its link to the cloud is
// down.
func (e *Edge) openService(ctx context.Context) error {
	l, err := e.listen(ctx, "service", e.opts.Service)
	if err != nil {
		return err
	}
	e.service.https = l.Addr().String()
	e.serveHTTP(tls.NewListener(l, e.tls), &http.Server{
		Handler: service.New(e.hub).Guarded(), ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout: methodRead, WriteTimeout: methodWrite,
	})
	if l, err = e.listen(ctx, "service-amqp", e.opts.ServiceAMQP); err != nil {
		return err
	}
	e.service.amqp = l.Addr().String()
	head := cloudhead.New(e.hub, e.cloudHosts())
	e.serveCloud(l, head.Serve)
	return e.openDirect(ctx)
}

// cloudHosts are the names that tokens may have for the cloud, beside the hub's.
func (e *Edge) cloudHosts() []string {
	return append(e.serviceNames(), "localhost", "127.0.0.1", "::1")
}

// serveCloud serves until Close.
func (e *Edge) serveCloud(l net.Listener, serve func(context.Context, net.Listener) error) {
	serving, stop := context.WithCancel(context.Background())
	e.servers.Go(func() { _ = serve(serving, tls.NewListener(l, e.tls)) })
	e.onClose(func() error { stop(); return nil })
}

// Service is the service side's HTTPS host:port, ServiceAMQP that of its AMQP.
func (e *Edge) Service() string { return e.service.https }

// ServiceAMQP returns the host:port of the service side's AMQP.
func (e *Edge) ServiceAMQP() string { return e.service.amqp }

// ServiceConnectionString is what service SDKs take. The host carries the HTTPS port
// unless it is 443, which is the only one that most SDKs can dial.
func (e *Edge) ServiceConnectionString() string {
	host := e.service.https
	if name, port, err := net.SplitHostPort(host); err == nil && port == "443" {
		host = name
	}
	return "HostName=" + host + ";SharedAccessKeyName=" + edge.PolicyName +
		";SharedAccessKey=" + e.hub.PolicyKey(edge.PolicyName)
}
