package js

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// codecOf compiles a script and makes its codec.
func codecOf(tb testing.TB, source string, limits Limits) codec.Codec {
	tb.Helper()
	p, err := Compile("test.js", []byte(source), limits)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := p.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func begin(tb testing.TB, c codec.Codec) codec.Dialogue {
	tb.Helper()
	d, err := c.Begin(codec.Peer{Listener: "test", Transport: "tcp"})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// said receives a frame and returns the body of its only message.
func said(tb testing.TB, d codec.Dialogue, frame string) string {
	tb.Helper()
	out := &codec.Outcome{}
	if err := d.Receive(codec.Frame{Bytes: []byte(frame)}, out); err != nil {
		tb.Fatal(err)
	}
	if len(out.Messages) != 1 {
		tb.Fatalf("%d messages, want 1", len(out.Messages))
	}
	return string(out.Messages[0].Body)
}

func TestNothingOfOneLinkIsSeenByAnother(t *testing.T) {
	for name, count := range map[string]string{
		"a variable":                `var n = 0; function next() { return ++n; }`,
		"a variable of let":         `let n = 0; const next = () => ++n;`,
		"an undeclared variable":    `n = 0; function next() { return ++n; }`,
		"one declared by its use":   `function next() { if (typeof m === "undefined") m = 0; m++; return m; }`,
		"globalThis":                `globalThis.n = 0; function next() { return ++globalThis.n; }`,
		"a sloppy this":             `function next() { this.n = (this.n || 0) + 1; return this.n; }`,
		"a constructor without new": `function C() { this.m = (this.m || 0) + 1; this.get = function () { return this.m; }; return this; } function next() { return C().get(); }`,
		"a property of a function":  `function next() { next.n = (next.n || 0) + 1; return next.n; }`,
		"the exports":               `exports.n = 0; function next() { return ++exports.n; }`,
	} {
		t.Run(name, func(t *testing.T) {
			c := codecOf(t, count+` function decodeUplink() { return { data: next() }; }`, Limits{})
			var links []codec.Dialogue
			for range 3 * runtime.GOMAXPROCS(0) { // so that some share an engine
				links = append(links, begin(t, c))
			}
			for turn := 1; turn <= 3; turn++ {
				for i, d := range links {
					if got := said(t, d, "x"); got != fmt.Sprint(turn) {
						t.Fatalf("link %d says %s at turn %d", i, got, turn)
					}
				}
			}
		})
	}
}

func TestTheStateOfALinkIsItsOwn(t *testing.T) {
	c := codecOf(t, `module.exports = {
		begin(peer, options) { return { n: 0, who: peer.listener }; },
		receive(frame, state) { state.n += frame.length; return { messages: [{ body: state }] }; },
	}`, Limits{})
	a, b := begin(t, c), begin(t, c)
	said(t, a, "xx")
	if got, want := said(t, a, "xxx")+said(t, b, "x"), `{"n":5,"who":"test"}{"n":1,"who":"test"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, framer := a.(codec.Framer); framer {
		t.Error("a script without split counts as a codec.Framer")
	}
	framed := begin(t, codecOf(t, `exports.split = b => b.length; exports.receive = () => {};`, Limits{}))
	if _, framer := framed.(codec.Framer); !framer {
		t.Error("a script with split is no codec.Framer")
	}
}

func TestWhatAScriptDoesNotOfferIsUnsupported(t *testing.T) {
	d := begin(t, codecOf(t, `exports.receive = () => {};`, Limits{}))
	out := &codec.Outcome{}
	if err := d.(codec.Commander).Command(codec.Command{Name: "x"}, out); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("command: %v, want errors.ErrUnsupported", err)
	}
	if err := d.(codec.Ticker).Tick(time.Now(), out); err != nil {
		t.Errorf("tick: %v", err)
	}
	if err := d.(codec.Resumer).Resume("m1"); err != nil {
		t.Errorf("resume: %v", err)
	}
	if fields := d.(codec.Explainer).Explain([]byte("x")); fields != nil {
		t.Errorf("explain: %v", fields)
	}
	f := begin(t, codecOf(t, `function Decoder() {}`, Limits{}))
	if err := f.(codec.Commander).Command(codec.Command{Name: "x"}, out); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("command of a formatter: %v, want errors.ErrUnsupported", err)
	}
}

func TestManyLinksAtOnce(t *testing.T) {
	c := codecOf(t, `var n = 0;
		function decodeUplink(input) {
			n += input.bytes[0];
			if (input.bytes[1] === 9) for (;;);
			return { data: { n: n, crc: crc("crc16/modbus", input.bytes), hex: toHex(input.bytes) } };
		}`, Limits{Steps: 100_000})
	const links, frames = 200, 20
	var wg sync.WaitGroup
	for i := range links {
		wg.Go(func() {
			d := begin(t, c)
			if i%10 == 0 {
				if err := d.Receive(codec.Frame{Bytes: []byte{1, 9}}, &codec.Outcome{}); !isBroken(err) {
					t.Errorf("endless loop: %v", err)
				}
				return
			}
			for turn := 1; turn <= frames; turn++ {
				if got := said(t, d, "\x01\x02"); !strings.HasPrefix(got, fmt.Sprintf(`{"n":%d,`, turn)) {
					t.Errorf("link %d says %s at turn %d", i, got, turn)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestEnginesGoWithTheirLinks(t *testing.T) {
	p, err := Compile("test.js", []byte(`function Decoder(bytes) { return bytes.length; }`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	const links = 4 * linksOfARealm
	all := make([]codec.Dialogue, links)
	for i := range all {
		all[i] = begin(t, c)
	}
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.realms)
	}
	if n := count(); n < links/linksOfARealm || n > links/linksOfARealm+runtime.GOMAXPROCS(0) {
		t.Errorf("%d engines for %d links", n, links)
	}
	clear(all)
	deadline := time.Now().Add(10 * time.Second)
	for count() > runtime.GOMAXPROCS(0) {
		if time.Now().After(deadline) {
			t.Fatalf("%d engines are left without links", count())
		}
		runtime.GC()
		said(t, begin(t, c), "x")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Begin(codec.Peer{}); !isBroken(err) {
		t.Errorf("a closed program begins: %v", err)
	}
}

func TestABusyMachineChangesNothing(t *testing.T) {
	source := `function Decoder(bytes) { for (var i = 0; i < 5000; i++); return i; }`
	for _, steps := range []int64{20_000, 30_000, 40_000} {
		var first string
		for turn := range 5 {
			err := begin(t, codecOf(t, source, Limits{Steps: steps})).Receive(codec.Frame{}, &codec.Outcome{})
			text := fmt.Sprint(err)
			if turn == 0 {
				first = text
			} else if text != first {
				t.Fatalf("with %d steps: %s, and before %s", steps, text, first)
			}
		}
	}
}
