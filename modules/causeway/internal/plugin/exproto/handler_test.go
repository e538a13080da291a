package exproto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
)

// lines is a handler as its author wrote it for EMQX: it knows the two services and
// the address of the adapter, and nothing of Causeway. Its devices send words.
type lines struct {
	pb.UnimplementedConnectionUnaryHandlerServer
	emqx pb.ConnectionAdapterClient

	mu      sync.Mutex
	codes   []string // what the adapter answered, where it was no success
	created []*pb.ConnInfo
	closed  int
	open    map[string]bool
	later   sync.WaitGroup
	release chan struct{} // a slow turn waits for it
	once    sync.Once
	mute    atomic.Bool // timers are not answered
}

// free lets what waits go on.
func (h *lines) free() { h.once.Do(func() { close(h.release) }) }

func (h *lines) OnSocketCreated(_ context.Context, r *pb.SocketCreatedRequest) (*pb.EmptySuccess, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.created = append(h.created, r.GetConninfo())
	h.open[r.GetConn()] = true
	return &pb.EmptySuccess{}, nil
}

func (h *lines) OnSocketClosed(_ context.Context, r *pb.SocketClosedRequest) (*pb.EmptySuccess, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed++
	delete(h.open, r.GetConn())
	return &pb.EmptySuccess{}, nil
}

func (h *lines) OnReceivedBytes(ctx context.Context, r *pb.ReceivedBytesRequest) (*pb.EmptySuccess, error) {
	for line := range strings.Lines(string(r.GetBytes())) {
		if err := h.line(ctx, r.GetConn(), strings.Fields(line)); err != nil {
			return nil, err
		}
	}
	return &pb.EmptySuccess{}, nil
}

func (h *lines) line(ctx context.Context, conn string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	rest := append(words[1:], "", "", "")
	switch words[0] {
	case "connect":
		h.note(h.emqx.Authenticate(ctx, &pb.AuthenticateRequest{
			Conn: conn, Clientinfo: &pb.ClientInfo{ProtoName: "lines", Clientid: rest[0]}, Password: rest[1],
		}))
		h.send(ctx, conn, "connected")
	case "publish":
		qos, _ := strconv.Atoi(rest[2])
		h.note(h.emqx.Publish(ctx, &pb.PublishRequest{Conn: conn, Topic: rest[0], Payload: []byte(rest[1]), Qos: uint32(qos)}))
		h.send(ctx, conn, "published")
	case "subscribe":
		h.note(h.emqx.Subscribe(ctx, &pb.SubscribeRequest{Conn: conn, Topic: rest[0]}))
	case "unsubscribe":
		h.note(h.emqx.Unsubscribe(ctx, &pb.UnsubscribeRequest{Conn: conn, Topic: rest[0]}))
	case "raw":
		h.note(h.emqx.RawPublish(ctx, &pb.RawPublishRequest{Topic: "t"}))
	case "keepalive":
		seconds, _ := strconv.Atoi(rest[0])
		h.note(h.emqx.StartTimer(ctx, &pb.TimerRequest{Conn: conn, Interval: uint32(seconds)}))
	case "ping":
		h.send(ctx, conn, "pong")
	case "flood":
		h.send(ctx, conn, strings.Repeat("x", maxHeld))
	case "lost":
		h.send(ctx, "nobody", "hello")
		h.send(ctx, "", "hello")
	case "bye":
		h.note(h.emqx.Close(ctx, &pb.CloseSocketRequest{Conn: conn}))
	case "later": // the author did not wait
		h.later.Go(func() {
			<-h.release
			h.send(context.WithoutCancel(ctx), conn, "late")
		})
	case "fail":
		return fmt.Errorf("no such table")
	case "mute":
		h.mute.Store(true)
	case "hang":
		<-h.release
	}
	return nil
}

func (h *lines) OnTimerTimeout(ctx context.Context, r *pb.TimerTimeoutRequest) (*pb.EmptySuccess, error) {
	if h.mute.Load() {
		<-h.release
	}
	h.send(ctx, r.GetConn(), "too silent")
	return &pb.EmptySuccess{}, nil
}

func (h *lines) OnReceivedMessages(ctx context.Context, r *pb.ReceivedMessagesRequest) (*pb.EmptySuccess, error) {
	for _, m := range r.GetMessages() {
		h.send(ctx, r.GetConn(), fmt.Sprintf("%s: %s", m.GetTopic(), m.GetPayload()))
	}
	return &pb.EmptySuccess{}, nil
}

func (h *lines) send(ctx context.Context, conn, text string) {
	h.note(h.emqx.Send(ctx, &pb.SendBytesRequest{Conn: conn, Bytes: []byte(text + "\n")}))
}

func (h *lines) note(r *pb.CodeResponse, err error) {
	if err == nil && r.GetCode() == pb.ResultCode_SUCCESS {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.codes = append(h.codes, fmt.Sprint(r.GetCode(), " ", r.GetMessage(), err))
}

func (h *lines) noted() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.codes, "\n")
}

// start runs the handler and an adapter for it until the test ends.
func start(t *testing.T, config Config, options ...grpc.ServerOption) (*Adapter, *lines, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.Handler, config.Listen = l.Addr().String(), "127.0.0.1:0"
	a, err := Listen(context.Background(), "lines", config)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+a.Address().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	h := &lines{emqx: pb.NewConnectionAdapterClient(conn), open: map[string]bool{}, release: make(chan struct{})}
	g := grpc.NewServer(options...)
	pb.RegisterConnectionUnaryHandlerServer(g, h)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		h.free()
		g.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			t.Error(err)
		}
		h.later.Wait()
		_ = conn.Close()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, h, g.Stop
}

// soon waits until the condition holds.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within 10 seconds: %s", what)
		}
	}
}
