package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// asked is the end of a command.
type asked struct {
	result codec.Result
	err    error
}

// order gives a command and does not wait.
func (d *device) order(ctx context.Context, name, payload string) <-chan asked {
	end := make(chan asked, 1)
	go func() {
		r, err := d.session.Command(ctx, name, json.RawMessage(payload))
		end <- asked{r, err}
	}()
	synctest.Wait()
	return end
}

func (d *device) ended(end <-chan asked) asked {
	d.t.Helper()
	synctest.Wait()
	select {
	case a := <-end:
		return a
	default:
		d.t.Fatal("the command has not ended")
		return asked{}
	}
}

func TestCommandIsAnsweredByTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRig(t).connect(t)
		end := d.order(t.Context(), "ask", `{"a":1}`)
		d.heard("asked 1 {\"a\":1}\n")
		d.say("answer 1 fine\n")
		if a := d.ended(end); a.err != nil || string(a.result.Payload) != `"fine"` {
			t.Errorf("got %s, %v", a.result.Payload, a.err)
		}
		end = d.order(t.Context(), "ask", "")
		d.say("refuse 2\n")
		if a := d.ended(end); a.err != nil || a.result.Err == nil {
			t.Errorf("got %+v, want the device's own refusal", a)
		}
	})
}

func TestCommandEndsWhateverHappens(t *testing.T) {
	cases := []struct {
		name, command string
		then          func(d *device, cancel context.CancelFunc)
		want          error // nil for a result
		closed        string
	}{
		{"answered at once", "tell", nil, nil, ""},
		{"answered at once, and the link ends", "leave", nil, nil, "told to leave"},
		{"the device is busy", "busy", nil, codec.ErrBusy, ""},
		{"the codec does not know it", "unheard of", nil, codec.ErrUnknownCommand, ""},
		{"the codec panics", "panic", nil, codec.ErrBroken, "codec-failed"},
		{"the device leaves", "ask", func(d *device, _ context.CancelFunc) { _ = d.conn.Close() }, ErrGone, "closed-by-device"},
		{"the caller leaves", "ask", func(_ *device, cancel context.CancelFunc) { cancel() }, context.Canceled, ""},
		{"the link is closed", "ask", func(d *device, _ context.CancelFunc) { d.session.Disconnect("operator") }, ErrGone, "operator"},
		{"time runs out", "ask", func(*device, context.CancelFunc) { time.Sleep(time.Minute) }, context.DeadlineExceeded, "login-timeout"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.LoginTime = 30 * time.Second
				d := r.connect(t)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				end := d.order(ctx, c.command, "")
				if c.then != nil {
					c.then(d, cancel)
				}
				if a := d.ended(end); !errors.Is(a.err, c.want) {
					t.Errorf("got %v, want %v", a.err, c.want)
				}
				d.closedFor(c.closed)
				if n := len(d.session.pending.waiting); n != 0 {
					t.Errorf("%d commands are still waited for", n)
				}
			})
		})
	}
}

// What comes with the command itself is the codec's word, not the device's.
func TestResultWithItsOwnCommandConfirmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRig(t).connect(t)
		if a := d.ended(d.order(t.Context(), "tell", "")); !a.result.Unconfirmed || string(a.result.Payload) != "true" {
			t.Errorf("what was only sent: %+v, %v", a.result, a.err)
		}
		if a := d.ended(d.order(t.Context(), "refuse", "")); a.result.Unconfirmed || a.result.Err == nil {
			t.Errorf("what the codec refused: %+v, %v", a.result, a.err)
		}
		end := d.order(t.Context(), "ask", "")
		d.say("answer 3 fine\n")
		if a := d.ended(end); a.result.Unconfirmed {
			t.Errorf("the device's answer: %+v, %v", a.result, a.err)
		}
	})
}

func TestCommandThatTheLinkDoesNotTakeWasNotSent(t *testing.T) {
	for _, transport := range []string{"tcp", "udp"} {
		for _, name := range []string{"tell", "ask", "leave"} {
			t.Run(transport+" "+name, func(t *testing.T) {
				r := newToldRig(t)
				link, conn := newFakeLink(transport)
				defer conn.Close()
				s, err := Begin(r.Profile, link)
				if err != nil {
					t.Fatal(err)
				}
				defer s.End()
				link.deaf = errors.New("no room in the socket")
				if a, err := s.Give(t.Context(), Order{Device: "d", Name: name}); !errors.Is(err, link.deaf) {
					t.Errorf("got %+v, %v", a, err)
				}
				if got := r.uplink.taken(); !slices.Equal(got, []string{"sent d " + name, "expired d " + name + " (not-sent)"}) {
					t.Errorf("told %q", got)
				}
				if open := link.closedFor() == ""; open != (transport == "udp" && name != "leave") {
					t.Errorf("the link is closed for %q", link.closedFor())
				}
			})
		}
	}
}

func TestCommandToADeviceThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRig(t).connect(t)
		d.session.End()
		for range 20 { // whichever case of the select comes first
			if _, err := d.session.Command(t.Context(), "ask", nil); !errors.Is(err, ErrGone) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestLaterCommandsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRig(t).connect(t)
		first, second := d.order(t.Context(), "ask", "1"), d.order(t.Context(), "ask", "2")
		d.heard("asked 1 1\n")
		ctx, cancel := context.WithCancel(t.Context())
		third := d.order(ctx, "ask", "3")
		cancel()
		if a := d.ended(third); !errors.Is(a.err, context.Canceled) {
			t.Errorf("got %v", a.err)
		}
		d.say("answer 1 one\n")
		d.ended(first)
		d.heard("asked 1 1\nasked 2 2\n")
		d.say("answer 1 again\nanswer 2 two\n") // the first is a result that nobody waits for
		if a := d.ended(second); string(a.result.Payload) != `"two"` {
			t.Errorf("got %s, %v", a.result.Payload, a.err)
		}
	})
}

func TestResultThatComesTooLateIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		d := r.connect(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := d.order(ctx, "ask", "1")
		time.Sleep(2 * time.Second)
		d.ended(late)
		next := d.order(t.Context(), "ask", "2")
		d.say("answer 1 late\n")
		d.say("answer 2 mine\n")
		if a := d.ended(next); string(a.result.Payload) != `"mine"` {
			t.Errorf("got %s, %v", a.result.Payload, a.err)
		}
		r.faults(t)
	})
}

func TestCodecWithoutCommands(t *testing.T) {
	r := newRig(t)
	r.Codec = codec.Func(func(codec.Frame, *codec.Outcome) error { return nil })
	link, conn := newFakeLink("tcp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	defer s.End()
	if _, err := s.Command(t.Context(), "ask", nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestRawBytesAndTheNextFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRig(t).connect(t)
		if b, err := d.session.Raw(t.Context(), []byte("raw\x00\n"), false); b != nil || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		d.heard("raw\x00\n")
		reply, failure := make(chan []byte, 1), make(chan error, 1)
		raw := func(ctx context.Context) {
			b, err := d.session.Raw(ctx, []byte("?\n"), true)
			reply <- b
			failure <- err
		}
		go raw(t.Context())
		synctest.Wait()
		if _, err := d.session.Raw(t.Context(), nil, true); !errors.Is(err, codec.ErrBusy) {
			t.Errorf("a second caller gets %v", err)
		}
		d.say("hello\n") // is decoded as well
		if b, err := <-reply, <-failure; string(b) != "hello" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		d.heard("raw\x00\n?\nhello yourself\n")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		raw(ctx)
		if b, err := <-reply, <-failure; b != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q, %v", b, err)
		}
		go raw(t.Context())
		synctest.Wait()
		d.session.Disconnect("operator")
		if _, err := <-reply, <-failure; !errors.Is(err, ErrGone) {
			t.Errorf("got %v", err)
		}
		if _, err := d.session.Raw(t.Context(), []byte("x"), false); err == nil {
			t.Error("a closed link took bytes")
		}
	})
}

func TestRawKeepsABoundedPartOfTheFrame(t *testing.T) {
	var c commands
	frame, err := c.awaitFrame()
	if err != nil {
		t.Fatal(err)
	}
	c.raw(bytes.Repeat([]byte("x"), 2*rawLimit))
	c.raw([]byte("the next frame is nobody's"))
	if b := <-frame; len(b) != rawLimit {
		t.Errorf("%d bytes were kept", len(b))
	}
}
