package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// reconnect is how soon, and how late, a connection that was lost is tried again:
// an endpoint that comes back is used within seconds.
func reconnect() grpc.ConnectParams {
	const soonest, latest = 100 * time.Millisecond, 2 * time.Second
	pause := backoff.DefaultConfig
	pause.BaseDelay, pause.MaxDelay = soonest, latest
	return grpc.ConnectParams{Backoff: pause, MinConnectTimeout: latest}
}

// errUnchecked is the state of an endpoint that was not asked yet.
var errUnchecked = errors.New("not asked yet")

// endpoint is one process of the plugin.
type endpoint struct {
	address string
	conn    *grpc.ClientConn
	doubted chan struct{} // cap 1: asks for a check now
	rested  atomic.Int64  // UnixNano until which it gets no ticks

	mu      sync.Mutex
	err     error         // nil when it is healthy
	checked chan struct{} // closed after the first check
}

// Connect makes a connection to an endpoint, "host:port" or "unix:/path". It does not
// wait for it, and connects again whenever it is lost. Answers over answerBytes are
// errors. The caller closes it.
func Connect(address string, secure *TLS, answerBytes int) (*grpc.ClientConn, error) {
	creds, err := secure.credentials()
	if err != nil {
		return nil, err
	}
	target := address
	if !strings.HasPrefix(address, "unix:") {
		target = "passthrough:///" + address // the dialer resolves the name, anew for each connection
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(reconnect()),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),      // the plugin is near, and a proxy for the internet is no place for devices' data
		grpc.WithIdleTimeout(0), // the health check keeps it in use anyway
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerBytes), grpc.ForceCodecV2(newBounded())),
	)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", address, err)
	}
	return conn, nil
}

func newEndpoint(address string, secure *TLS, answerBytes int) (*endpoint, error) {
	conn, err := Connect(address, secure, answerBytes)
	if err != nil {
		return nil, err
	}
	return &endpoint{
		address: address, conn: conn, err: errUnchecked,
		doubted: make(chan struct{}, 1), checked: make(chan struct{}),
	}, nil
}

// watch asks for the endpoint's health until ctx ends.
func (e *endpoint) watch(ctx context.Context, every, patience time.Duration) {
	pause := time.NewTicker(every)
	defer pause.Stop()
	for first := true; ctx.Err() == nil; first = false {
		e.set(Healthy(ctx, e.conn, patience))
		if first {
			close(e.checked)
		}
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-e.doubted:
		}
	}
}

// Healthy asks once whether a process is well, by the health service of gRPC. One
// that does not have the service is well when it answers.
func Healthy(ctx context.Context, conn grpc.ClientConnInterface, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil
	case err != nil:
		return errors.New(status.Convert(err).Message())
	case answer.GetStatus() != healthpb.HealthCheckResponse_SERVING:
		return fmt.Errorf("its health is %s", answer.GetStatus())
	}
	return nil
}

func (e *endpoint) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// state is nil when the endpoint is healthy.
func (e *endpoint) state() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// doubt has the endpoint checked now. It stays a candidate meanwhile, so that one
// slow frame does not keep everybody else's links away.
func (e *endpoint) doubt() {
	select {
	case e.doubted <- struct{}{}:
	default:
	}
}

// rest keeps ticks away for a while.
func (e *endpoint) rest() { e.rested.Store(time.Now().Add(tickRest).UnixNano()) }

func (e *endpoint) resting() bool { return time.Now().UnixNano() < e.rested.Load() }
