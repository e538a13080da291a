package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

func TestFaultsCostAsMuchAsTheyMust(t *testing.T) {
	cases := []struct {
		name, say, heard, closed string
		faults                   []FaultKind
	}{
		{"a malformed frame keeps the link", "nonsense\nhello\n", "what?\nhello yourself\n", "", []FaultKind{FaultMalformed}},
		{"a protocol error closes it", "evil\nhello\n", "enough\n", "protocol", []FaultKind{FaultProtocol}},
		{"a panic closes it, and nothing half done is used", "panic\nhello\n", "", "codec-failed", []FaultKind{FaultBroken}},
		{"a frame over the limit closes it", strings.Repeat("x", 3000), "", "framing", []FaultKind{FaultProtocol}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				other, d := r.connect(t), r.connect(t)
				d.say(c.say)
				d.heard(c.heard)
				d.closedFor(c.closed)
				r.faults(t, c.faults...)
				other.say("hello\n")
				other.heard("hello yourself\n")
				if got := r.uplink.taken(); len(got) != 0 {
					t.Errorf("messages of a bad frame were handed up: %q", got)
				}
			})
		})
	}
}

func TestCodecThatCutsTheStreamItself(t *testing.T) {
	lines := func(data []byte, _ bool) (int, []byte, error) {
		i := bytes.IndexByte(data, '\n')
		switch {
		case i < 0:
			return 0, nil, nil
		case bytes.HasPrefix(data, []byte("!panic")):
			panic("splitter is broken")
		case bytes.HasPrefix(data, []byte("!malformed")):
			return i + 1, nil, codec.ErrMalformed
		case bytes.HasPrefix(data, []byte("!protocol")):
			return 0, nil, codec.ErrProtocol
		case bytes.HasPrefix(data, []byte("!other")):
			return 0, nil, errors.New("something else")
		case bytes.HasPrefix(data, []byte("!stuck")):
			return 0, data[:i], nil
		}
		return i + 1, data[:i], nil
	}
	cases := []struct {
		say, heard, closed string
		faults             []FaultKind
	}{
		{"hello\nhello\n", "hello yourself\nhello yourself\n", "", nil},
		{"!panic\nhello\n", "", "codec-failed", []FaultKind{FaultBroken}},
		{"!malformed\nhello\n", "hello yourself\n", "", []FaultKind{FaultMalformed}},
		{"!protocol\nhello\n", "", "protocol", []FaultKind{FaultProtocol}},
		{"!other\nhello\n", "", "protocol", []FaultKind{FaultProtocol}},
		{"!stuck\nhello\n", "", "protocol", []FaultKind{FaultProtocol}},
	}
	for _, c := range cases {
		t.Run(strings.TrimSpace(c.say), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.Codec = toy{splitter: lines}
				d := r.connect(t)
				d.say(c.say)
				d.heard(c.heard)
				d.closedFor(c.closed)
				r.faults(t, c.faults...)
			})
		})
	}
}

func TestBeginTellsOfACodecThatRefusesOrPanics(t *testing.T) {
	r := newRig(t)
	for port, want := range map[uint16]string{1: "not from this port", 2: "at the very beginning"} {
		link, conn := newFakeLink("tcp")
		link.peer.Remote = netip.AddrPortFrom(netip.IPv4Unspecified(), port)
		if _, err := Begin(r.Profile, link); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("begin gives %v, want %q", err, want)
		}
		_ = conn.Close()
	}
	if links, _ := r.Table.Counts(); links != 0 {
		t.Errorf("%d links are in the table", links)
	}
}

func TestLinksThatSayNothingUsefulAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		for range 9 { // a slow-loris is no login
			d.say("hello\n")
			time.Sleep(time.Second)
		}
		d.closedFor("")
		time.Sleep(2 * time.Second)
		d.closedFor("login-timeout")
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.LoginBytes = 100
		d := r.connect(t)
		for range 20 {
			d.say("hello\n")
		}
		d.closedFor("protocol")
		r.faults(t, FaultProtocol)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.LoginBytes = 100
		d := r.connect(t)
		d.say("login t-1\n")
		for range 100 { // once it is known it may speak on
			d.say("hello\n")
		}
		d.closedFor("")
	})
}

func TestIdleTime(t *testing.T) {
	for _, idle := range []time.Duration{time.Second, 5 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.Idle = idle
			d := r.connect(t)
			for range 20 {
				d.say("login t-1\n")
				time.Sleep(idle * 3 / 4)
			}
			d.closedFor("")
			d.say("hel") // a frame that never ends is no sign of life
			time.Sleep(idle / 2)
			d.closedFor("idle")
			r.faults(t)
		})
	}
}

func TestALinkThatRestsKnowsUntilWhen(t *testing.T) {
	cases := []struct {
		name, said string
		want       func(r *rig) time.Duration
	}{
		{"before a login", "", func(r *rig) time.Duration { return r.LoginTime }},
		{"after one", "login t-1\n", func(r *rig) time.Duration { return r.Idle }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				link, conn := newFakeLink("tcp")
				defer conn.Close()
				s, err := Begin(r.Profile, link)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				go func() { _, _ = conn.Write([]byte(c.said)) }()
				if until := s.Serve(t.Context(), r.draining, link); until.Sub(began) != c.want(r) {
					t.Errorf("rests for %v, want %v", until.Sub(began), c.want(r))
				}
				time.Sleep(c.want(r)) // within the bubble's own time
				if until := s.Serve(t.Context(), r.draining, link); !until.IsZero() || link.closedFor() == "" {
					t.Errorf("after that time it rests until %v, closed for %q", until, link.closedFor())
				}
			})
		})
	}
}

func TestADrainEndsALinkThatRested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		link, conn := newFakeLink("tcp")
		defer conn.Close()
		s, err := Begin(r.Profile, link)
		if err != nil {
			t.Fatal(err)
		}
		if s.Serve(t.Context(), r.draining, link).IsZero() {
			t.Fatal("it does not rest")
		}
		r.drain()
		if until := s.Serve(t.Context(), r.draining, link); !until.IsZero() || link.closedFor() != "gateway-stopped" {
			t.Errorf("it rests until %v, closed for %q", until, link.closedFor())
		}
	})
}

func TestDeviceThatLeavesIsStillAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("data a\n")
		_ = d.conn.Close() // as a half-closed connection: the fake still takes what is sent
		d.closedFor("")
		r.uplink.settle(t, "a", nil)
		d.heard("ack a\n")
		d.closedFor("closed-by-device")
	})
	synctest.Test(t, func(t *testing.T) { // but not for ever
		r := newRig(t)
		d := r.connect(t)
		d.say("data a\ndata")
		_ = d.conn.Close()
		time.Sleep(settleAfterEnd + time.Second)
		d.closedFor("closed-by-device")
		r.faults(t, FaultMalformed) // it left within a frame
	})
}

func TestDialogueThatEndsTheLinkIsAcknowledgedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("bye a\n")
		d.closedFor("")
		r.uplink.settle(t, "a", nil)
		d.heard("ack a\n")
		d.closedFor("bye")
		r.faults(t)
	})
}

func TestDrainingStopsReadingAndStillAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("login t-1\ndata a\n")
		r.drain()
		synctest.Wait()
		_ = d.conn.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := d.conn.Write([]byte("data b\n")); err == nil {
			t.Error("the gateway still reads")
		}
		d.closedFor("")
		r.uplink.settle(t, "a", nil)
		d.heard("welcome\nack a\n")
		d.closedFor("gateway-stopped")
	})
}

func TestTheEndOfTheContextEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		link, conn := newFakeLink("tcp")
		defer conn.Close()
		s, err := Begin(r.Profile, link)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() {
			defer close(served)
			s.Serve(ctx, r.draining, link)
		}()
		if _, err := conn.Write([]byte("data a\n")); err != nil {
			t.Fatal(err)
		}
		r.drain()
		synctest.Wait()
		cancel() // without the settlement
		<-served
		if link.written() != "" || link.closedFor() != "gateway-stopped" {
			t.Errorf("heard %q, closed for %q", link.written(), link.closedFor())
		}
	})
}

func TestDeviceThatDoesNotTakeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		d.say("data a\n")
		d.link.mu.Lock()
		d.link.deaf = errors.New("too slow")
		d.link.mu.Unlock()
		r.uplink.settle(t, "a", nil)
		d.say("hello\n")
		d.closedFor("device-write")
		r.faults(t, FaultSend, FaultSend)
	})
}

func TestAnswersAreFramedAsTheListenerSays(t *testing.T) {
	framing, err := frame.Parse(json.RawMessage(`{"type": "length", "size": 2}`), 1024)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Framing = framing
		d := r.connect(t)
		d.say("\x00\x05hello\x00\x06data a\x00\x04ping\x00\x0alogin t-1\n")
		r.uplink.settle(t, "a", nil)
		d.heard("\x00\x0fhello yourself\n\x00\x08welcome\n\x00\x06ack a\n\x00\x05pong\n")
	})
	synctest.Test(t, func(t *testing.T) { // several frames in one datagram
		r := newRig(t)
		r.Framing = framing
		link, conn := newFakeLink("udp")
		defer conn.Close()
		s, err := Begin(r.Profile, link)
		if err != nil {
			t.Fatal(err)
		}
		defer s.End()
		s.Datagram([]byte("\x00\x05hello\x00\x04ping\x00\x0aleft over"), time.Now())
		s.Datagram([]byte("\x00\x05hello\x00\x09le"), time.Now())
		if got := link.written(); got != "\x00\x0fhello yourself\n\x00\x05pong\n\x00\x0fhello yourself\n" {
			t.Errorf("the device heard %q", got)
		}
		r.faults(t, FaultMalformed, FaultMalformed)
	})
}

func TestTimersRunAndNeverHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d, busy := r.connect(t), r.connect(t)
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(ended)
			r.Table.Run(ctx)
		}()
		busy.session.sideMu.Lock() // a command that takes its time
		r.uplink.fill(true)        // and a hub that is away
		time.Sleep(3500 * time.Millisecond)
		d.heard("still there?\n")
		busy.heard("")
		busy.session.sideMu.Unlock()
		r.faults(t, FaultDropped)
		cancel()
		<-ended
		d.session.End()
		d.session.tick(t.Context(), time.Now()) // too late
		d.heard("still there?\n")
	})
}
