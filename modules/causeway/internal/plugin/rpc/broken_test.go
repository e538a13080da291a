package rpc

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// impatient is a deadline that a loaded machine keeps for what is answered at once.
const impatient = time.Second

func nothing() *codecv1.Answer {
	return &codecv1.Answer{Kind: &codecv1.Answer_Outcome{Outcome: &codecv1.Outcome{}}}
}

func outcome(o *codecv1.Outcome) *codecv1.Answer {
	return &codecv1.Answer{Kind: &codecv1.Answer_Outcome{Outcome: o}}
}

// broken checks that an error costs the link and says why, and that the dialogue has
// ended with it.
func broken(t *testing.T, d codec.Dialogue, err error, want string) {
	t.Helper()
	if !isBroken(err) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want a broken codec and %q", err, want)
	}
	if _, again := receive(d, []byte("x")); again == nil || again.Error() != err.Error() {
		t.Errorf("the next frame: %v", again)
	}
}

func TestASlowServerCostsTheLinkWhenTheDeadlineEnds(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address := answering(t, func(s *codecv1.Step) *codecv1.Answer {
		if string(s.GetReceive().GetData()) == "slow" {
			<-release
		}
		return nothing()
	})
	t.Cleanup(func() { close(release) }) // before the server is stopped
	c := dial(t, Config{Endpoints: []string{address}, Deadline: impatient})
	slow, quick := begin(t, c), begin(t, c)
	_, err := receive(slow, []byte("slow"))
	broken(t, slow, err, "no answer within 1s")
	if _, err := receive(quick, []byte("x")); err != nil {
		t.Errorf("the other link: %v", err)
	}
}

func TestAnEndpointWhoseTickIsLateGetsNoneForAWhile(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address := answering(t, func(s *codecv1.Step) *codecv1.Answer {
		if s.GetTick() != nil {
			<-release
		}
		return nothing()
	})
	t.Cleanup(func() { close(release) })
	c := dial(t, Config{Endpoints: []string{address}})
	first, second := begin(t, c), begin(t, c)
	var out codec.Outcome
	err := first.(codec.Ticker).Tick(time.Now(), &out)
	broken(t, first, err, "no answer within 500ms")
	if err := second.(codec.Ticker).Tick(time.Now(), &out); err != nil {
		t.Errorf("the tick of another link: %v", err)
	}
	if _, err := receive(second, nil); err != nil {
		t.Errorf("a frame of another link: %v", err)
	}
	c.endpoints[0].rested.Store(0)
	if err := second.(codec.Ticker).Tick(time.Now(), &out); !isBroken(err) {
		t.Errorf("a tick after the rest: %v", err)
	}
}

func TestAFullWindowIsToldOf(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	inside := make(chan struct{}, 1)
	address := answering(t, func(s *codecv1.Step) *codecv1.Answer {
		if string(s.GetReceive().GetData()) == "slow" {
			inside <- struct{}{}
			<-release
		}
		return nothing()
	})
	for want, config := range map[string]Config{
		"the window of 1 steps is full": {Window: 1},
		"the window of 4 bytes is full": {WindowBytes: 4},
	} {
		config.Endpoints, config.Deadline = []string{address}, impatient
		c := dial(t, config)
		slow, waiting := begin(t, c), begin(t, c)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = receive(slow, []byte("slow"))
		}()
		<-inside
		c.config.Deadline = impatient / 3 // shorter than that of the step which is in the way
		_, err := receive(waiting, []byte("next"))
		broken(t, waiting, err, want)
		<-ended
	}
	close(release)
}

func TestAServerThatVanishesCostsItsLinks(t *testing.T) {
	t.Parallel()
	address, stop := serve(t, kit.Server{Factory: acme.New, Framing: acmeFraming})
	c := dial(t, Config{Endpoints: []string{address}, Deadline: impatient})
	made, err := c.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := made.Begin(codec.Peer{Transport: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close(d)
	stop()
	_, err = receive(d, heartbeat())
	broken(t, d, err, address)
	soon(t, "new links are refused", func() bool {
		began := time.Now()
		_, err := made.Begin(codec.Peer{})
		return isBroken(err) && time.Since(began) < impatient/2 && strings.Contains(err.Error(), "no endpoint of test is healthy")
	})
}

func TestAServerThatAcceptsAndSaysNothingIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := dial(t, Config{Endpoints: []string{l.Addr().String()}, Deadline: impatient})
	began := time.Now()
	if _, err := c.New(nil); !isBroken(err) || time.Since(began) > 10*impatient {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestAServerThatEndsTheDialogueCostsTheLink(t *testing.T) {
	d := begin(t, dial(t, Config{Endpoints: []string{answering(t, func(*codecv1.Step) *codecv1.Answer { return nil })}}))
	_, err := receive(d, []byte("x"))
	broken(t, d, err, "the server ended the dialogue")
}

func TestAPanicOfTheServersCodecCostsTheLink(t *testing.T) {
	factory := func(json.RawMessage) (codec.Codec, error) {
		return codec.Func(func(codec.Frame, *codec.Outcome) error { panic("out of paper") }), nil
	}
	address, _ := serve(t, kit.Server{Factory: factory})
	d := begin(t, dial(t, Config{Endpoints: []string{address}}))
	if _, err := receive(d, []byte("x")); !isBroken(err) || !strings.Contains(err.Error(), "out of paper") {
		t.Errorf("got %v", err)
	}
}

func TestWrongAnswersCostTheLink(t *testing.T) {
	message := func(m *codecv1.Message) *codecv1.Answer {
		return outcome(&codecv1.Outcome{Messages: []*codecv1.Message{m}})
	}
	cases := map[string]struct {
		answer *codecv1.Answer
		want   string
	}{
		"nothing":     {&codecv1.Answer{}, "no outcome"},
		"a manifest":  {everything(), "no outcome"},
		"a cut":       {&codecv1.Answer{Kind: &codecv1.Answer_Cut{Cut: &codecv1.Cut{}}}, "no outcome"},
		"broken JSON": {message(&codecv1.Message{Body: []byte("{"), ContentType: "application/json", ContentEncoding: "utf-8"}), "not JSON"},
		"JSON in no character set": {message(&codecv1.Message{Body: []byte("1"), ContentType: "application/json"}),
			`encoding ""`},
		"a property twice": {message(&codecv1.Message{Properties: []*codecv1.Property{{Name: "a"}, {Name: "A"}}}), "set twice"},
		"a time that is none": {message(&codecv1.Message{Time: &timestamppb.Timestamp{Nanos: -1}}),
			"timestamp"},
		"a result that is not JSON": {outcome(&codecv1.Outcome{Results: []*codecv1.Result{{Payload: []byte("so")}}}), "not JSON"},
		"too many messages": {outcome(&codecv1.Outcome{Messages: make([]*codecv1.Message, maxMessages+1)}),
			"at most 1024"},
		"hundreds of thousands of messages": {outcome(&codecv1.Outcome{Messages: make([]*codecv1.Message, 400_000)}),
			"more than 16384 fields"},
		"text that is none":   {outcome(&codecv1.Outcome{Close: "\xff"}), "UTF-8"},
		"an answer too large": {outcome(&codecv1.Outcome{Reply: make([]byte, 2<<20)}), "larger than max"},
		"a failure of a kind that is not known": {&codecv1.Answer{Failure: &codecv1.Failure{Kind: 99, Text: "so"}},
			"so"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			address := answering(t, func(*codecv1.Step) *codecv1.Answer { return c.answer })
			d := begin(t, dial(t, Config{Endpoints: []string{address}, AnswerBytes: 1 << 20}))
			out, err := receive(d, []byte("x"))
			if !isBroken(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if c.answer.GetFailure() == nil && len(out.Messages) > 0 {
				t.Errorf("of a wrong answer %d messages were taken", len(out.Messages))
			}
		})
	}
}

func TestWrongCutsCostTheLink(t *testing.T) {
	for name, cut := range map[string]*codecv1.Cut{
		"more than there is":         {Advance: 4},
		"a frame behind the cut":     {Advance: 1, Frame: &codecv1.Cut_At{At: &codecv1.Range{Offset: 1, Length: 1}}},
		"a frame that takes nothing": {Frame: &codecv1.Cut_Unescaped{Unescaped: []byte("x")}},
		"a range that overflows":     {Advance: 3, Frame: &codecv1.Cut_At{At: &codecv1.Range{Offset: 2, Length: 1<<32 - 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(t, dial(t, Config{Endpoints: []string{answering(t, func(*codecv1.Step) *codecv1.Answer {
				return &codecv1.Answer{Kind: &codecv1.Answer_Cut{Cut: cut}}
			})}}))
			_, _, err := d.(codec.Framer).Split([]byte("abc"), false)
			broken(t, d, err, "wrong answer")
		})
	}
}

func TestAWrongBeginningRefusesTheCodec(t *testing.T) {
	for want, answer := range map[string]*codecv1.Answer{
		"no manifest":       nothing(),
		`the type "gap"`:    manifest(`{"type": "gap", "milliseconds": 5}`),
		"got \"knife\"":     manifest(`{"type": "knife"}`),
		"names the framing": manifest(`{`),
	} {
		address := serveScript(t, func(stream codecv1.Codec_DialogueServer) error {
			if _, err := stream.Recv(); err != nil {
				return err
			}
			return stream.Send(answer)
		})
		_, err := dial(t, Config{Endpoints: []string{address}}).New(nil)
		if !isBroken(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func manifest(framing string) *codecv1.Answer {
	return &codecv1.Answer{Kind: &codecv1.Answer_Manifest{Manifest: &codecv1.Manifest{Framing: framing}}}
}
