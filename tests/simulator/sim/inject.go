package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/inject"
)

// openInject opens the endpoint of single-module mode, when there are inputs.
func (e *Edge) openInject(ctx context.Context) error {
	if len(e.opts.Inputs) == 0 {
		return nil
	}
	l, err := e.listen(ctx, "inject", e.opts.Inject)
	if err != nil {
		return err
	}
	e.inject = "http://" + l.Addr().String() + "/api/v1/messages"
	e.serveHTTP(l, &http.Server{
		Handler:           inject.Handler(e.hub, e.hub.Device(), e.opts.Inputs),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
	})
	return nil
}

// Inject returns the URL that puts messages before the inputs of single-module mode, or
// nothing in others.
func (e *Edge) Inject() string { return e.inject }

// checkCloudSide completes and checks what stands for the cloud and for iotedgehubdev.
func (o *Options) checkCloudSide() error {
	for _, address := range []*string{
		&o.Service, &o.ServiceAMQP, &o.Direct, &o.DirectMQTT, &o.DirectWeb, &o.Inject,
	} {
		if *address == "" {
			*address = anyPort
		}
	}
	if o.Manifest != nil && len(o.Inputs) > 0 {
		return errors.New("single-module mode takes no deployment")
	}
	host, _, err := net.SplitHostPort(o.Inject)
	if err != nil {
		return fmt.Errorf("inject address %q must be host:port: %w", o.Inject, err)
	}
	// Like the control API it asks nobody who they are.
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("inject address %q must be a loopback address", o.Inject)
	}
	return nil
}
