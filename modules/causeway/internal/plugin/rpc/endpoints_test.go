package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// named is a codec that says its name to every frame, and counts frames of a link.
func named(name string) codec.Factory {
	return func(json.RawMessage) (codec.Codec, error) { return namer(name), nil }
}

type namer string

func (n namer) Begin(codec.Peer) (codec.Dialogue, error) { return &counting{name: n}, nil }

type counting struct {
	name namer
	n    int
}

func (c *counting) Receive(f codec.Frame, out *codec.Outcome) error {
	c.n++
	out.Reply = fmt.Appendf(nil, "%s %d %s", c.name, c.n, f.Bytes)
	return nil
}

// ask begins a link and returns who answers on it.
func ask(t *testing.T, made codec.Codec) string {
	t.Helper()
	d, err := made.Begin(codec.Peer{Transport: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close(d)
	out, err := receive(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(out.Reply), " ")
	return name
}

func TestLinksGoToHealthyEndpointsInTurnAndStayThere(t *testing.T) {
	one, _ := serve(t, kit.Server{Factory: named("one")})
	two, stopTwo := serve(t, kit.Server{Factory: named("two")})
	c := dial(t, Config{Endpoints: []string{one, two}, Health: 30 * time.Millisecond})
	made, err := c.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	soon(t, "both endpoints are known to be healthy", func() bool {
		return c.endpoints[0].state() == nil && c.endpoints[1].state() == nil
	})
	if a, b := ask(t, made), ask(t, made); a == b {
		t.Errorf("two links went to %s", a)
	}
	var stays []codec.Dialogue
	for range 2 {
		d, err := made.Begin(codec.Peer{})
		if err != nil {
			t.Fatal(err)
		}
		defer codec.Close(d)
		stays = append(stays, d)
	}
	stopTwo()
	answered, ended := 0, 0
	for _, d := range stays {
		if out, err := receive(d, nil); err == nil && string(out.Reply) == "one 1 " {
			answered++
		} else if isBroken(err) {
			ended++
		}
	}
	if answered != 1 || ended != 1 {
		t.Errorf("after the end of one of two, %d links answer and %d have ended", answered, ended)
	}
	for range 4 { // at once, before a health check may have seen it
		if got := ask(t, made); got != "one" {
			t.Errorf("a new link went to %q", got)
		}
	}
}

func TestAnEndpointThatIsNotServingGetsNoNewLinks(t *testing.T) {
	g := grpc.NewServer()
	kit.Server{Factory: named("resting")}.Register(g)
	alive := health.NewServer()
	healthpb.RegisterHealthServer(g, alive)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })

	c := dial(t, Config{Endpoints: []string{l.Addr().String()}, Health: 30 * time.Millisecond})
	made, err := c.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := made.Begin(codec.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close(d)
	alive.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	soon(t, "new links are refused", func() bool {
		_, err := made.Begin(codec.Peer{})
		return isBroken(err) && strings.Contains(err.Error(), "NOT_SERVING")
	})
	if _, err := receive(d, nil); err != nil {
		t.Errorf("the link that was there: %v", err)
	}
	alive.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	soon(t, "new links are let in again", func() bool {
		d, err := made.Begin(codec.Peer{})
		if err == nil {
			codec.Close(d)
		}
		return err == nil
	})
}

func TestAServerWithoutTheHealthServiceIsHealthy(t *testing.T) {
	d := begin(t, dial(t, Config{Endpoints: []string{answering(t, func(*codecv1.Step) *codecv1.Answer { return nothing() })}}))
	if _, err := receive(d, nil); err != nil {
		t.Error(err)
	}
}

func TestManyLinksAtOnceKeepTheirOwnOrder(t *testing.T) {
	const links, frames = 50, 40
	one, _ := serve(t, kit.Server{Factory: named("one")})
	two, _ := serve(t, kit.Server{Factory: named("two")})
	c := dial(t, Config{Endpoints: []string{one, two}, Window: 8, WindowBytes: 100})
	made, err := c.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range links {
		all.Go(func() {
			d, err := made.Begin(codec.Peer{})
			if err != nil {
				t.Error(err)
				return
			}
			defer codec.Close(d)
			for n := range frames {
				out, err := receive(d, fmt.Appendf(nil, "%d/%d", i, n))
				if want := fmt.Sprintf(" %d %d/%d", n+1, i, n); err != nil || !strings.HasSuffix(string(out.Reply), want) {
					t.Errorf("got %q, %v, want %q", out.Reply, err, want)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestADialogueThatNobodyClosesIsGivenUp(t *testing.T) {
	var open atomic.Int32
	address := serveScript(t, func(stream codecv1.Codec_DialogueServer) error {
		open.Add(1)
		defer open.Add(-1)
		for {
			if _, err := stream.Recv(); err != nil {
				return err
			}
			if err := stream.Send(everything()); err != nil {
				return err
			}
		}
	})
	made, err := dial(t, Config{Endpoints: []string{address}}).New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Begin(codec.Peer{}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the server's side of the dialogue has ended", func() bool { runtime.GC(); return open.Load() == 0 })
}

func TestClosingTheClientEndsItsDialogues(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: acme.New})
	c := dial(t, Config{Endpoints: []string{address}})
	d := begin(t, c)
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := receive(d, heartbeat())
	broken(t, d, err, "the plugin is closed")
	if _, err := c.New(nil); !isBroken(err) {
		t.Errorf("a codec of a closed client: %v", err)
	}
}
