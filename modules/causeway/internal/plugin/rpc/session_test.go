package rpc

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// pipe is a link of a session, and the device at its other end.
type pipe struct {
	net.Conn
	done   chan struct{}
	once   sync.Once
	reason string
}

func (p *pipe) Send(b []byte) error { _, err := p.Write(b); return err }

func (p *pipe) Close(reason string) {
	p.once.Do(func() {
		p.reason = reason
		close(p.done)
		_ = p.Conn.Close()
	})
}

func (*pipe) Peer() codec.Peer        { return codec.Peer{Listener: "l", Transport: "tcp"} }
func (p *pipe) Done() <-chan struct{} { return p.done }

// gateway is what stands around a session: a hub that takes everything, and an
// observer that keeps the faults.
type gateway struct {
	mu     sync.Mutex
	faults []session.Fault
}

func (g *gateway) Send(_ context.Context, list []message.Message, r message.Receipt) error {
	return g.TrySend(list, r)
}

func (*gateway) TrySend(list []message.Message, r message.Receipt) error {
	for range list {
		r.Settled(nil)
	}
	return nil
}

func (*gateway) Apply(*message.Message)           {}
func (*gateway) Received(int, int)                {}
func (*gateway) Sent(int)                         {}
func (*gateway) Acknowledged(time.Duration, bool) {}

func (g *gateway) Fault(f session.Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.Frame = bytes.Clone(f.Frame)
	g.faults = append(g.faults, f)
}

// device connects a device to a session of the profile, until the test ends.
func device(t *testing.T, p *session.Profile) (far net.Conn, link *pipe) {
	t.Helper()
	near, far := net.Pipe()
	link = &pipe{Conn: near, done: make(chan struct{})}
	s, err := session.Begin(p, link)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(context.Background(), context.Background(), link)
	}()
	t.Cleanup(func() { _ = far.Close(); <-served })
	return far, link
}

func TestASlowPluginCostsItsOwnLinkAndLeavesADeadLetter(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address := serveScript(t, func(stream codecv1.Codec_DialogueServer) error {
		for {
			step, err := stream.Recv()
			if err != nil {
				return err
			}
			answer := &codecv1.Answer{Kind: &codecv1.Answer_Manifest{Manifest: &codecv1.Manifest{}}} // lines
			if f := step.GetReceive(); f != nil {
				if string(f.GetData()) == "slow" {
					<-release
				}
				answer = outcome(&codecv1.Outcome{
					Messages: []*codecv1.Message{{Body: f.GetData()}}, Ack: append(f.GetData(), '\n'),
				})
			}
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
	})
	t.Cleanup(func() { close(release) })
	made, err := dial(t, Config{Endpoints: []string{address}, Deadline: impatient}).New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{}
	p := &session.Profile{
		Listener: "l", CodecName: "plugin", Output: "telemetry", Codec: made,
		FrameBytes: 1024, LoginBytes: 4096, LoginTime: time.Minute, Idle: time.Minute,
		Uplink: g, Router: g, Table: session.NewTable(), Observer: g,
	}
	slow, link := device(t, p)
	other, _ := device(t, p)
	say := func(conn net.Conn, text string) {
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(conn net.Conn, want string) {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Fatalf("heard %q, %v", got, err)
		}
	}
	say(slow, "one")
	hears(slow, "one\n")
	say(slow, "slow")
	for range 100 { // while the other one waits
		say(other, "two")
		hears(other, "two\n")
	}
	if _, err := slow.Read(make([]byte, 1)); err == nil {
		t.Error("the slow frame was answered")
	}
	<-link.Done()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.faults) != 1 || g.faults[0].Kind != session.FaultBroken || string(g.faults[0].Frame) != "slow" ||
		!strings.Contains(g.faults[0].Err.Error(), "no answer within 1s") || link.reason != string(session.FaultBroken) {
		t.Errorf("faults %+v, the link was closed for %q", g.faults, link.reason)
	}
}
