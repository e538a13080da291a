package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// acmeFraming is how the gateway cuts acme's stream.
const acmeFraming = `{"type": "length", "size": 2, "strip": false}`

// serve runs a kit's server until the test ends, or stop is called.
func serve(tb testing.TB, s kit.Server, options ...grpc.ServerOption) (address string, stop func()) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(ctx, l, options...); err != nil {
			tb.Errorf("serve: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	tb.Cleanup(stop)
	return l.Addr().String(), stop
}

// scripted is a server that answers as the test wants.
type scripted struct {
	codecv1.UnimplementedCodecServer
	dialogue func(codecv1.Codec_DialogueServer) error
}

func (s scripted) Dialogue(stream codecv1.Codec_DialogueServer) error { return s.dialogue(stream) }

// answering is a server that answers Begin with a manifest of everything, and every
// other step by the function; nil ends the dialogue.
func answering(tb testing.TB, answer func(*codecv1.Step) *codecv1.Answer) (address string) {
	tb.Helper()
	return serveScript(tb, func(stream codecv1.Codec_DialogueServer) error {
		for {
			step, err := stream.Recv()
			if err != nil {
				return err
			}
			a := everything()
			if step.GetBegin() == nil {
				a = answer(step)
			}
			if a == nil {
				return nil
			}
			if err := stream.Send(a); err != nil {
				return err
			}
		}
	})
}

func everything() *codecv1.Answer {
	return &codecv1.Answer{Kind: &codecv1.Answer_Manifest{Manifest: &codecv1.Manifest{
		Split: true, Commands: true, Ticks: true, Resumes: true, Explains: true,
	}}}
}

func serveScript(tb testing.TB, dialogue func(codecv1.Codec_DialogueServer) error) (address string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := grpc.NewServer()
	codecv1.RegisterCodecServer(g, scripted{dialogue: dialogue})
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(l) }()
	tb.Cleanup(func() {
		g.Stop()
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
			tb.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// dial makes a client that is closed when the test ends.
func dial(tb testing.TB, config Config) *Client {
	tb.Helper()
	config.Framing = func(spec json.RawMessage) (Cutter, error) { return frame.Parse(spec, 1<<20) }
	c, err := Dial(context.Background(), "test", config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// begin begins a link that is closed when the test ends.
func begin(tb testing.TB, c *Client) codec.Dialogue {
	tb.Helper()
	made, err := c.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := made.Begin(codec.Peer{Listener: "l", Transport: "tcp"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { codec.Close(d) })
	return d
}

// receive gives a frame to a dialogue.
func receive(d codec.Dialogue, b []byte) (codec.Outcome, error) {
	var out codec.Outcome
	err := d.Receive(codec.Frame{Bytes: b, At: time.Unix(1, 0)}, &out)
	return out, err
}

// soon waits until the condition holds.
func soon(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for until := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			tb.Fatalf("not within 10 seconds: %s", what)
		}
	}
}

func isBroken(err error) bool { return errors.Is(err, codec.ErrBroken) }

// heartbeat is a frame of acme that is answered.
func heartbeat() []byte { return []byte{0, 2, 3, 3} }
