package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

const (
	// maxStep holds the longest frame that a listener may be configured for, 16 MiB,
	// and what is around it.
	maxStep = 17 << 20
	// maxCodecs bounds the codecs kept for listeners with different options; a
	// gateway has a few of them.
	maxCodecs = 64
)

// Server serves the codecs of one factory.
type Server struct {
	// Factory makes a codec from the options of a listener. It is called once for
	// equal options, and must be safe for concurrent use.
	Factory codec.Factory
	// Framing, when not empty, names the framing of the gateway that cuts the stream,
	// as JSON: {"type": "line"}. A dialogue's own Split, which costs a call for each
	// frame and one more for each piece that is no whole frame yet, is then not used.
	Framing string
	// Drain is how long links that are open may go on when Serve is told to end. New
	// links are sent to other endpoints meanwhile. Zero ends them at once.
	Drain time.Duration
}

// Register adds the codec's service to a gRPC server that the caller runs.
func (s Server) Register(r grpc.ServiceRegistrar) {
	codecv1.RegisterCodecServer(r, &service{server: s, codecs: make(map[string]codec.Codec)})
}

// Serve answers on the listener, which it closes, until ctx ends, together with the
// health service. It returns nil then. TLS is an option: grpc.Creds.
func (s Server) Serve(ctx context.Context, l net.Listener, options ...grpc.ServerOption) error {
	if s.Factory == nil {
		return errors.New("serve codec: a factory is needed")
	}
	g := grpc.NewServer(append([]grpc.ServerOption{grpc.MaxRecvMsgSize(maxStep)}, options...)...)
	s.Register(g)
	alive := health.NewServer()
	healthpb.RegisterHealthServer(g, alive)

	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		alive.Shutdown()
		force := time.AfterFunc(s.Drain, g.Stop)
		defer force.Stop()
		g.GracefulStop()
	})
	err := g.Serve(l)
	if !stop() {
		<-ended
		return nil
	}
	g.Stop()
	if err != nil {
		return fmt.Errorf("serve codec: %w", err)
	}
	return nil
}

// service implements the protocol.
type service struct {
	codecv1.UnimplementedCodecServer
	server Server

	mu     sync.Mutex
	codecs map[string]codec.Codec // by options
}

// codec returns the codec for the options.
func (s *service) codec(options []byte) (codec.Codec, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.codecs[string(options)]; c != nil {
		return c, nil
	}
	c, err := s.server.Factory(options)
	if err != nil {
		return nil, err
	}
	if len(s.codecs) >= maxCodecs {
		clear(s.codecs)
	}
	s.codecs[string(options)] = c
	return c, nil
}
