package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a server, and a connection to it.
type running struct {
	conn  *grpc.ClientConn
	stop  context.CancelFunc
	ended chan error
}

func run(t *testing.T, s Server) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- s.Serve(ctx, l) }()
	r.conn, err = grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.conn.Close()
		cancel()
		if err := <-r.ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r
}

// open opens a dialogue that ends with the test.
func (r *running) open(t *testing.T) codecv1.Codec_DialogueClient {
	t.Helper()
	stream, err := codecv1.NewCodecClient(r.conn).Dialogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func beginStep(options string) *codecv1.Step {
	return &codecv1.Step{Kind: &codecv1.Step_Begin{Begin: &codecv1.Begin{Options: []byte(options), Peer: &codecv1.Peer{Address: "[::1]:9"}}}}
}

func frameStep(text string) *codecv1.Step {
	return &codecv1.Step{Kind: &codecv1.Step_Receive{Receive: &codecv1.Frame{Data: []byte(text)}}}
}

// exchange sends a step and returns its answer.
func exchange(stream codecv1.Codec_DialogueClient, step *codecv1.Step) (*codecv1.Answer, error) {
	if err := stream.Send(step); err != nil {
		return nil, err
	}
	return stream.Recv()
}

// odd is a codec with faults, chosen by the options.
type odd struct{ how string }

func newOdd(made *int) codec.Factory {
	return func(options json.RawMessage) (codec.Codec, error) {
		*made++
		return odd{string(options)}, nil
	}
}

func (o odd) Begin(p codec.Peer) (codec.Dialogue, error) {
	switch o.how {
	case "panic":
		panic("at the beginning")
	case "refuse":
		return nil, errors.New("not from " + p.Remote.String())
	}
	return o, nil
}

func (odd) Receive(f codec.Frame, out *codec.Outcome) error {
	out.Reply = f.Bytes
	out.Identity.Device = "\xff"
	return fmt.Errorf("so it is: %w", codec.ErrProtocol)
}

func (odd) Split(data []byte, _ bool) (int, []byte, error) { return len(data) + 1, data, nil }

func (odd) Close() error { panic("at the end") }

func TestStepsOutOfPlaceEndTheDialogue(t *testing.T) {
	made := 0
	r := run(t, Server{Factory: newOdd(&made)})
	for name, steps := range map[string][]*codecv1.Step{
		"a frame first":  {frameStep("x")},
		"a second begin": {beginStep(""), beginStep("")},
		"nothing":        {beginStep(""), {}},
	} {
		stream := r.open(t)
		var err error
		for _, step := range steps {
			_, err = exchange(stream, step)
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if made != 1 {
		t.Errorf("the factory was called %d times for the same options", made)
	}
}

func TestCodecsAreKeptForALimitedNumberOfOptions(t *testing.T) {
	made := 0
	s := &service{server: Server{Factory: newOdd(&made)}, codecs: map[string]codec.Codec{}}
	for i := range 2*maxCodecs + 1 {
		if _, err := s.codec(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if len(s.codecs) > maxCodecs {
			t.Fatalf("%d codecs are kept", len(s.codecs))
		}
	}
	if made != 2*maxCodecs+1 {
		t.Errorf("%d were made", made)
	}
}

func TestFaultsOfACodecAreAnswers(t *testing.T) {
	made := 0
	r := run(t, Server{Factory: newOdd(&made)})
	for how, want := range map[string]struct {
		kind codecv1.Failure_Kind
		text string
	}{
		"panic":  {codecv1.Failure_BROKEN, "codec failed: panic: at the beginning at goroutine"},
		"refuse": {codecv1.Failure_REFUSED, "not from [::1]:9"},
	} {
		a, err := exchange(r.open(t), beginStep(how))
		if err != nil || a.GetFailure().GetKind() != want.kind || !strings.HasPrefix(a.GetFailure().GetText(), want.text) {
			t.Errorf("%s: %v, %v", how, a, err)
		}
	}
	stream := r.open(t)
	if a, err := exchange(stream, beginStep("")); err != nil || !a.GetManifest().GetSplit() || a.GetManifest().GetTicks() {
		t.Fatalf("%v, %v", a, err)
	}
	a, err := exchange(stream, frameStep("x"))
	if err != nil || a.GetFailure().GetKind() != codecv1.Failure_PROTOCOL || string(a.GetOutcome().GetReply()) != "x" ||
		a.GetOutcome().GetIdentity().GetDevice() != "\uFFFD" {
		t.Errorf("%v, %v", a, err)
	}
	a, err = exchange(stream, &codecv1.Step{Kind: &codecv1.Step_Split{Split: &codecv1.Split{Data: []byte("ab")}}})
	if err != nil || a.GetFailure().GetKind() != codecv1.Failure_BROKEN || a.GetCut().GetAdvance() != 0 {
		t.Errorf("%v, %v", a, err)
	}
	for _, step := range []*codecv1.Step{
		{Kind: &codecv1.Step_Command{Command: &codecv1.Command{}}}, {Kind: &codecv1.Step_Resume{Resume: &codecv1.Resume{}}},
	} {
		if a, err := exchange(stream, step); err != nil || a.GetFailure().GetKind() != codecv1.Failure_UNSUPPORTED {
			t.Errorf("%T: %v, %v", step.GetKind(), a, err)
		}
	}
	for _, step := range []*codecv1.Step{
		{Kind: &codecv1.Step_Tick{Tick: &codecv1.Tick{}}}, {Kind: &codecv1.Step_Explain{Explain: &codecv1.Explain{}}},
	} {
		if a, err := exchange(stream, step); err != nil || a.GetFailure() != nil || a.GetKind() == nil {
			t.Errorf("%T: %v, %v", step.GetKind(), a, err)
		}
	}
}

func TestAServerThatEndsLetsOpenLinksGoOnForAWhile(t *testing.T) {
	made := 0
	r := run(t, Server{Factory: newOdd(&made), Drain: time.Minute})
	stream := r.open(t)
	if _, err := exchange(stream, beginStep("")); err != nil {
		t.Fatal(err)
	}
	alive := healthpb.NewHealthClient(r.conn)
	if a, err := alive.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || a.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", a, err)
	}
	r.stop()
	for until := time.Now().Add(10 * time.Second); ; {
		if a, err := alive.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || a.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			break // it is told to rest, or takes no new calls any more
		}
		if time.Now().After(until) {
			t.Fatal("the server goes on as if nothing had happened")
		}
	}
	if _, err := exchange(stream, frameStep("x")); err != nil {
		t.Errorf("the link that was open: %v", err)
	}
	if err := stream.CloseSend(); err != nil { // which ends the drain
		t.Fatal(err)
	}
}

func TestAServerNeedsAFactory(t *testing.T) {
	if err := (Server{}).Serve(t.Context(), nil); err == nil {
		t.Error("served without a factory")
	}
}
