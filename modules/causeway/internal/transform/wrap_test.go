package transform

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const gcm = `{"frames":[{"type":"decrypt","cipher":"aes-gcm","key":{"env":"KEY"}}]}`

func TestWithoutAChainThereIsNothingAroundTheCodec(t *testing.T) {
	for _, setting := range []string{"", "null", "{}", `{"frames":[],"bodies":[]}`} {
		if c := chain(t, setting); c != nil || c.Wrap(parrot{}) != codec.Codec(parrot{}) {
			t.Errorf("%q makes a chain", setting)
		}
	}
}

func TestEveryAnswerGoesTheSameWayBack(t *testing.T) {
	setting := `{"frames":[{"type":"decrypt","cipher":"aes-cbc","key":{"env":"KEY"}},{"type":"decompress","algorithm":"gzip"}]}`
	c := chain(t, setting)
	zipped, err := c.frames[1].seal(nil, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.frames[0].seal(nil, zipped)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Wrap(parrot{}).Begin(codec.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: sealed}, &out); err != nil || string(out.Messages[0].Body) != "hello" {
		t.Fatalf("got %+v, %v", out, err)
	}
	for want, got := range map[string][]byte{
		"reply": out.Reply, "ack": out.Ack, "nak": out.Nak, "in": out.Identity.Accept, "out": out.Identity.Refuse,
	} {
		plain, err := c.frames[0].open(nil, got)
		if err == nil {
			plain, err = c.frames[1].open(nil, plain)
		}
		if err != nil || string(plain) != want {
			t.Errorf("%s: the device reads %q, %v", want, plain, err)
		}
	}
}

func TestAnswersStayAsTheyAreWhereThatIsSet(t *testing.T) {
	setting := `{"frames":[{"type":"decrypt","cipher":"aes-gcm","key":{"env":"KEY"},"answers":false}]}`
	sealed, err := chain(t, setting).frames[0].seal(nil, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	var out codec.Outcome
	d := begin(t, setting, parrot{})
	if err := d.Receive(codec.Frame{Bytes: sealed}, &out); err != nil || string(out.Ack) != "ack" {
		t.Errorf("got %q, %v", out.Ack, err)
	}
}

func TestAFrameThatCannotBeOpenedIsMalformed(t *testing.T) {
	var out codec.Outcome
	err := begin(t, gcm, parrot{}).Receive(codec.Frame{Bytes: make([]byte, 40)}, &out)
	if !errors.Is(err, codec.ErrMalformed) || len(out.Messages)+len(out.Reply) > 0 {
		t.Errorf("got %v, %+v", err, out)
	}
}

func TestTheCodecsErrorsStayAndItsReplyIsStillSealed(t *testing.T) {
	c := chain(t, gcm)
	for text, want := range map[string]error{"bad": codec.ErrMalformed, "broken": codec.ErrBroken} {
		sealed, err := c.frames[0].seal(nil, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var out codec.Outcome
		d := begin(t, gcm, parrot{})
		if err := d.Receive(codec.Frame{Bytes: sealed}, &out); !errors.Is(err, want) {
			t.Errorf("%s: got %v", text, err)
		}
		if text == "bad" {
			if plain, err := c.frames[0].open(nil, out.Reply); err != nil || string(plain) != "no" {
				t.Errorf("the reply is %q, %v", plain, err)
			}
		}
	}
}

func TestTheDialogueHasTheAddOnsOfTheCodec(t *testing.T) {
	const bodies = `{"bodies":[{"type":"compress","algorithm":"gzip"}]}`
	g := &gifted{}
	d := begin(t, bodies, g)
	if _, ok := d.(codec.Framer); !ok {
		t.Error("the codec's framing is lost")
	}
	if d := begin(t, gcm, g); d != nil {
		if _, ok := d.(codec.Framer); ok {
			t.Error("a codec cuts what it cannot read")
		}
		if _, ok := d.(codec.Ticker); !ok {
			t.Error("the codec's timers are lost")
		}
		if d.(codec.Explainer).Explain(nil) != nil {
			t.Error("a sealed frame is explained")
		}
	}
	var out codec.Outcome
	if err := d.(codec.Commander).Command(codec.Command{Name: "do"}, &out); err != nil || string(out.Reply) != "do" {
		t.Errorf("command: %q, %v", out.Reply, err)
	}
	out.Reset()
	if err := d.(codec.Ticker).Tick(time.Time{}, &out); err != nil || string(out.Reply) != "tick" {
		t.Errorf("tick: %q, %v", out.Reply, err)
	}
	if err := d.(codec.Resumer).Resume("d9"); err != nil || g.resumed != "d9" {
		t.Errorf("resume: %q, %v", g.resumed, err)
	}
	if len(d.(codec.Explainer).Explain(nil)) != 1 {
		t.Error("nothing is explained")
	}
	type splitter interface {
		SplitBody(m *codec.Message, limit int) [][]byte
	}
	if d.(splitter).SplitBody(nil, 0) != nil {
		t.Error("a compressed body is cut")
	}
	if len(begin(t, gcm, g).(splitter).SplitBody(nil, 0)) != 2 {
		t.Error("the codec's bodies are not cut")
	}
	if err := d.(io.Closer).Close(); err != nil || !g.closed {
		t.Errorf("close: %v", err)
	}
}

func TestACodecWithoutAddOnsGetsNone(t *testing.T) {
	d := begin(t, gcm, parrot{})
	if _, ok := d.(codec.Framer); ok {
		t.Error("it cuts")
	}
	if _, ok := d.(codec.Ticker); ok {
		t.Error("it ticks")
	}
	var out codec.Outcome
	if err := d.(codec.Commander).Command(codec.Command{}, &out); !errors.Is(err, codec.ErrUnknownCommand) {
		t.Errorf("command: %v", err)
	}
	if err := d.(codec.Resumer).Resume("d"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("resume: %v", err)
	}
	if err := d.(io.Closer).Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestALinkKeepsNoLargeBuffer(t *testing.T) {
	const setting = `{"frames":[{"type":"decompress","algorithm":"zstd","maxBytes":200000}]}`
	c := chain(t, setting)
	large, err := c.frames[0].seal(nil, make([]byte, 100_000))
	if err != nil {
		t.Fatal(err)
	}
	small, err := c.frames[0].seal(nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.Wrap(parrot{}).Begin(codec.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	d := made.(*dialogue)
	for _, f := range [][]byte{large, small} {
		var out codec.Outcome
		if err := d.Receive(codec.Frame{Bytes: f}, &out); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(d.buffers[0]); n > keptBuffer {
		t.Errorf("a quiet link keeps %d bytes", n)
	}
}
