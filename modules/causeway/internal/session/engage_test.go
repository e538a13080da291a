package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// version is a codec of lines that says in each message which version it is.
type version struct {
	name    string
	resumes bool // knows a device that logged in with an earlier version
	broken  error
	open    atomic.Int64 // dialogues that are not closed
}

func (v *version) Begin(codec.Peer) (codec.Dialogue, error) {
	if v.broken != nil {
		return nil, v.broken
	}
	v.open.Add(1)
	if v.resumes {
		return &resuming{versioned: versioned{version: v}}, nil
	}
	return &versioned{version: v}, nil
}

type versioned struct {
	version *version
	device  string
	asked   string
}

func (d *versioned) Receive(f codec.Frame, out *codec.Outcome) error {
	word, rest, _ := strings.Cut(string(f.Bytes), " ")
	switch word {
	case "login":
		d.device, out.Identity.Device = rest, rest
	case "answer":
		out.Results = append(out.Results, codec.Result{Correlation: d.asked, Payload: []byte(`"` + d.version.name + `"`)})
	default:
		out.Add().Body = fmt.Appendf(nil, "%s by %s of %s", f.Bytes, d.version.name, d.device)
	}
	return nil
}

func (d *versioned) Command(c codec.Command, out *codec.Outcome) error {
	d.asked, out.Reply = c.Correlation, []byte("ask")
	return nil
}

func (d *versioned) Close() error { d.version.open.Add(-1); return nil }

type resuming struct{ versioned }

func (d *resuming) Resume(device string) error {
	if device == "stranger" {
		return errors.New("no such device")
	}
	d.device = device
	return nil
}

func TestALinkGoesOverToAnotherCodecBetweenTwoFrames(t *testing.T) {
	broken := fmt.Errorf("no memory: %w", codec.ErrBroken)
	cases := []struct {
		name   string
		login  string
		next   *version
		want   string // who decodes the frame after the swap
		faults []FaultKind
	}{
		{"nobody logged in", "", &version{name: "two"}, "after by two of ", nil},
		{"a login that can be resumed", "login t-1\n", &version{name: "two", resumes: true}, "after by two of t-1", nil},
		{"a login that cannot", "login t-1\n", &version{name: "two"}, "after by one of t-1", nil},
		{"a codec that cannot begin", "", &version{name: "two", broken: broken}, "after by one of ", []FaultKind{FaultBroken}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, one := newRig(t), &version{name: "one"}
				r.Codec = one
				d := r.connect(t)
				d.say(c.login + "before\n")
				before := r.Swap(c.next, false)
				d.say("during\n") // the link waits for it with the codec that it has
				d.say("after\n")
				d.say("after\n")
				bodies := r.uplink.taken()
				if len(bodies) != 4 || bodies[2] != c.want || bodies[3] != c.want {
					t.Errorf("messages %q, want %q after the swap", bodies, c.want)
				}
				r.faults(t, c.faults...)
				if stays := strings.Contains(c.want, "one"); (before.Users() == 1) != stays {
					t.Errorf("%d links use the codec before", before.Users())
				}
				_ = d.conn.Close()
				<-d.served
				if n := before.Users(); n != 0 {
					t.Errorf("%d links use the codec before, after the end", n)
				}
				if one.open.Load() != 0 || c.next.open.Load() != 0 {
					t.Errorf("%d and %d dialogues are not closed", one.open.Load(), c.next.open.Load())
				}
			})
		})
	}
}

func TestALinkThatAwaitsAnAnswerGoesOverLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Codec = &version{name: "one"}
		d := r.connect(t)
		d.say("before\n")
		answer := make(chan string, 1)
		go func() {
			result, err := d.session.Command(t.Context(), "ask", nil)
			answer <- fmt.Sprint(string(result.Payload), err)
		}()
		synctest.Wait()
		r.Swap(&version{name: "two"}, false)
		d.say("during\n")
		d.say("during\n")
		d.say("answer\n")
		if got := <-answer; got != `"one"<nil>` {
			t.Errorf("the answer is %s", got)
		}
		d.say("after\n")
		d.say("after\n")
		want := []string{"before by one of ", "during by one of ", "during by one of ", "after by two of "}
		if got := r.uplink.taken(); !slices.Equal(got[:3], want[:3]) || got[len(got)-1] != want[3] {
			t.Errorf("messages %q", got)
		}
	})
}

func TestLinksThatBeginAfterwardsAndFramesDecodedAgainUseTheOtherCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Codec = &version{name: "one"}
		r.Swap(&version{name: "two", resumes: true}, false)
		r.connect(t).say("new\n")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"new by two of "}) {
			t.Errorf("messages %q", got)
		}
		list, err := r.Decode(Again{Frame: []byte("old"), Device: "t-9"})
		if err != nil || string(list[0].Body) != "old by two of t-9" {
			t.Errorf("decoded again: %v, %v", list, err)
		}
	})
}

func TestAnExchangeUnderTrafficLosesAndRepeatsNothing(t *testing.T) {
	h, conn := open(t, "tcp")
	const lines = 3000
	go func() {
		for i := range lines {
			if i%100 == 0 {
				h.profile.Swap(codec.Func(echoID), false)
			}
			if _, err := fmt.Fprintf(conn, "line %d\n", i); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range lines {
		var word string
		var n int
		if _, err := fmt.Fscanln(conn, &word, &n); err != nil || n != i {
			t.Fatalf("acknowledged is %s %d, want %d: %v", word, n, i, err)
		}
	}
}

func TestALinkThatCannotGoOverIsClosedWhereTheExchangeInsists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Codec = &version{name: "one"}
		known, stranger := r.connect(t), r.connect(t)
		known.say("login t-1\nbefore\n")
		before := r.Swap(&version{name: "two"}, true)
		known.say("during\n")
		stranger.say("during\n")
		stranger.say("after\n")
		known.closedFor("codec-exchanged")
		<-known.served
		stranger.closedFor("") // it goes over, as nobody has logged in
		want := []string{"before by one of t-1", "during by one of t-1", "during by one of ", "after by two of "}
		if got := r.uplink.taken(); !slices.Equal(got, want) {
			t.Errorf("messages %q, want %q", got, want)
		}
		if n := before.Users(); n != 0 {
			t.Errorf("%d links use the codec before", n)
		}
		r.faults(t)
	})
}
