package exproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
)

// errClosed ends the turns of an adapter that is closed.
var errClosed = errors.New("the plugin is closed")

// Adapter stands between listeners and one handler. It is safe for concurrent use.
type Adapter struct {
	name    string
	config  Config
	conn    *grpc.ClientConn
	handler pb.ConnectionUnaryHandlerClient
	server  *grpc.Server
	address net.Addr
	window  chan struct{} // one for each turn in progress
	goodbye chan struct{} // one for each OnSocketClosed in the background

	ctx    context.Context //nolint:containedctx // the life of the adapter
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup

	rested atomic.Int64 // UnixNano until which ticks do not call the handler

	mu     sync.Mutex
	conns  map[string]*conn // by their names
	closed bool
}

// Listen serves the adapter and makes ready to call the handler, which it does not
// wait for. An error tells of the configuration, or of the address to listen on.
// Values of ctx are kept, its end is not looked at; the adapter lives until Close.
func Listen(ctx context.Context, name string, config Config) (*Adapter, error) {
	fail := func(err error) (*Adapter, error) { return nil, fmt.Errorf("exproto plugin %s: %w", name, err) }
	if err := config.complete(); err != nil {
		return fail(err)
	}
	secure, err := config.ListenTLS.credentials()
	if err != nil {
		return fail(err)
	}
	handler, err := rpc.Connect(config.Handler, config.HandlerTLS, maxAnswer)
	if err != nil {
		return fail(err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fail(errors.Join(err, handler.Close()))
	}
	a := &Adapter{
		name: name, config: config,
		conn: handler, handler: pb.NewConnectionUnaryHandlerClient(handler),
		server:  grpc.NewServer(grpc.Creds(secure), grpc.MaxConcurrentStreams(maxCalls)),
		address: l.Addr(),
		window:  make(chan struct{}, config.Window), goodbye: make(chan struct{}, config.Window),
		conns: make(map[string]*conn),
	}
	a.ctx, a.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	pb.RegisterConnectionAdapterServer(a.server, &service{adapter: a})
	a.tasks.Go(func() {
		// It ends by Stop, or with the socket, which every turn then shows.
		_ = a.server.Serve(netutil.LimitListener(l, maxConnections))
	})
	return a, nil
}

// Address is where the adapter is served.
func (a *Adapter) Address() net.Addr { return a.address }

// Close ends all turns and connections, and returns when nothing of the adapter runs
// any more. It is idempotent.
func (a *Adapter) Close() error {
	a.mu.Lock()
	again := a.closed
	a.closed = true
	a.mu.Unlock()
	a.cancel(errClosed)
	a.server.Stop()
	a.tasks.Wait()
	if again {
		return nil
	}
	return a.conn.Close()
}

// New is a codec.Factory. A handler that is away refuses the configuration. Options:
//
//	ack          "after-publish" (default) or "reply", see the package comment
//	contentType  of the messages; by default application/json for what is JSON
func (a *Adapter) New(raw json.RawMessage) (codec.Codec, error) {
	o, err := parseOptions(raw)
	if err != nil {
		return nil, err
	}
	if err := rpc.Healthy(a.ctx, a.conn, a.config.Deadline); err != nil {
		return nil, a.broken(err.Error())
	}
	return &handled{adapter: a, options: o}, nil
}

func (a *Adapter) broken(why string) error {
	return fmt.Errorf("%w: handler %s at %s: %s", codec.ErrBroken, a.name, a.config.Handler, why)
}

// enter makes a connection known to the handler's calls.
func (a *Adapter) enter(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns[c.id] = c
}

// find returns the connection of that name, or nil.
func (a *Adapter) find(id string) *conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns[id]
}

// leave forgets the connection and tells the handler, in the background where not
// too many farewells are under way already.
func (a *Adapter) leave(id, reason string) {
	a.mu.Lock()
	delete(a.conns, id)
	if a.closed {
		a.mu.Unlock()
		return
	}
	a.tasks.Add(1)
	a.mu.Unlock()
	tell := func() {
		defer a.tasks.Done()
		ctx, cancel := context.WithTimeout(a.ctx, a.config.Deadline)
		defer cancel()
		// A handler that does not hear of it has lost the connection as well.
		_, _ = a.handler.OnSocketClosed(ctx, &pb.SocketClosedRequest{Conn: id, Reason: reason})
	}
	select {
	case a.goodbye <- struct{}{}:
		go func() {
			tell()
			<-a.goodbye
		}()
	default:
		tell()
	}
}
