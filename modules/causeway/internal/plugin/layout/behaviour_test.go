package layout

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// begin compiles a layout and begins a link with it.
func begin(tb testing.TB, text, transport string) codec.Dialogue {
	tb.Helper()
	p, err := Compile("x", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := p.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{Transport: transport})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// valueOf is what an expression is for the frame of one byte.
func valueOf(tb testing.TB, text string, b byte) (string, error) {
	tb.Helper()
	d := begin(tb, fmt.Sprintf(`
layout: 1
counters: {n: {from: 7, to: 8}}
messages:
  a:
    fields:
      - {name: x, type: u8, enum: {1: one, 2: two}}
      - {name: s, value: "'abc'"}
      - {name: h, value: "x / 2"}
      - {name: gone, when: x > 300, value: "1"}
      - {name: v, value: %q}
    message: {body: [v]}
`, text), "tcp")
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: []byte{b}, At: time.Unix(1000, 5)}, &out); err != nil {
		return "", err
	}
	body := string(out.Messages[0].Body)
	return body[len(`{"v":`) : len(body)-1], nil
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"1 + 2 * 3": "7", "(1 + 2) * 3": "9", "7 / 2": "3.5", "7 % 4": "3", "div(7, 2)": "3", "-x": "-2", "~x": "-3",
		"0x10 | 1": "17", "6 & 3 ^ 1": "3", "1 << 4 >> 2": "4", "x == 2 && !(x > 2)": "true", "x < 1 || x >= 2": "true",
		"x == 'two'": "true", "'one' != x": "true", "s + '-' + text(x)": `"abc-two"`, "len(s)": "3", "s == 'abc'": "true",
		"x > 1 ? 'a' : 'b'": `"a"`, "x > 1 ? 1 : 2.5": "1", "has(x)": "true", "has(gone)": "false", "gone + 1": "1",
		"int(2.5)": "3", "int(-2.5)": "-3", "int(1e300)": "0", "abs(-2)": "2", "min(1, h)": "1", "max(2, h)": "2", "text(1.5)": `"1.5"`, "text(true)": `"true"`,
		"1.5 - h": "0.5", "h <= 1": "true", "h != 1": "false", "true != false": "true", "1 / 0": "null", "now": "1000", "frame_size": "1",
		"next(n) * 100 + next(n) * 10 + next(n)": "787", "device + '.'": `"."`, "s + s == \"abcabc\"": "true",
	} {
		if got, err := valueOf(t, text, 2); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"1 % (x - 2)", "div(1, x - 2)"} {
		if _, err := valueOf(t, text, 2); !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%s: got %v, want malformed", text, err)
		}
	}
}

func TestWorkOnAFrameIsBounded(t *testing.T) {
	double := "layout: 1\nmessages:\n  a:\n    fields:\n      - {name: x0, type: text, size: rest}\n"
	for i := range 60 {
		double += fmt.Sprintf("      - {name: x%d, value: x%d + x%d}\n", i+1, i, i)
	}
	for name, c := range map[string]struct {
		text  string
		frame []byte
		want  error
	}{
		"text that doubles": {double, []byte("x"), codec.ErrBroken},
		"elements of no bytes": {"layout: 1\nmessages: {a: {fields: [{name: n, type: u32}, {name: r, repeat: n, fields: [{name: z, value: n}]}]}}",
			[]byte{255, 255, 255, 255}, codec.ErrMalformed},
		"a count over the frame": {"layout: 1\nmessages: {a: {fields: [{name: n, type: u32}, {name: r, repeat: n, type: u64}]}}",
			[]byte{255, 255, 255, 255, 0}, codec.ErrMalformed},
		"a count below zero": {"layout: 1\nmessages: {a: {fields: [{name: n, type: i8}, {name: r, repeat: n, type: u8}]}}", []byte{255}, codec.ErrMalformed},
		"a head repeated in each record": {`
layout: 1
messages:
  a:
    fields:
      - {name: note, type: text, size: 60000}
      - {name: r, repeat: end, fields: [{name: z, type: u8}]}
    message: {each: r, body: [note, z]}
`, make([]byte, 64000), codec.ErrBroken},
		"too many messages": {"layout: 1\nmessages: {a: {fields: [{name: r, repeat: end, fields: [{name: z, type: u8}]}], message: {each: r}}}",
			make([]byte, 5000), codec.ErrBroken},
		"a sum over the frame for each byte": {"layout: 1\nmessages: {a: {fields: [{name: r, repeat: end, fields: [{name: z, type: u8, checksum: xor, from: start, to: start}, " +
			"{name: y, type: u8, checksum: xor, from: 0, to: 0}]}]}}", make([]byte, 1<<16), nil},
		"an answer that is too long": {"layout: 1\nmessages: {a: {fields: [{name: x, type: text, size: rest}], reply: {raw: [{copy: x}, {copy: x}]}}}",
			make([]byte, 40000), codec.ErrBroken},
	} {
		var out codec.Outcome
		start := time.Now()
		err := begin(t, c.text, "tcp").Receive(codec.Frame{Bytes: c.frame}, &out)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestADecodeIsLinearInTheFrame(t *testing.T) {
	d := begin(t, `
layout: 1
messages:
  a:
    fields:
      - name: outer
        repeat: end
        fields:
          - {name: n, type: u8}
          - name: inner
            repeat: n
            fields: [{name: v, type: u8}, {name: w, repeat: 1, type: u8}]
    message: {}
`, "tcp")
	work := func(n int) int {
		frame := make([]byte, 0, 5*n)
		for range n {
			frame = append(frame, 2, 1, 2, 3, 4)
		}
		var out codec.Outcome
		if err := d.Receive(codec.Frame{Bytes: frame}, &out); err != nil {
			t.Fatal(err)
		}
		r := d.(*dialogue).run
		return baseBudget + budgetPerByte*len(frame) - r.budget
	}
	small, large := work(100), work(10_000)
	if ratio := float64(large) / float64(small); math.Abs(ratio-100) > 5 {
		t.Errorf("a hundred times the frame costs %.1f times the work", ratio)
	}
}

func TestKnownMessagesCostNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	d, frame := loggedIn(t, load(t, "acme").New), acmeData(16)
	var out codec.Outcome
	n := testing.AllocsPerRun(100, func() {
		out.Reset()
		if err := d.Receive(codec.Frame{Bytes: frame}, &out); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExamplesAreCasesThatComeTrue(t *testing.T) {
	ran := 0
	for _, name := range layouts {
		p := load(t, name)
		ran += len(p.Examples())
		t.Run(name, func(t *testing.T) { runExamples(t, p) })
	}
	if ran == 0 {
		t.Error("no layout has an example")
	}
}

func TestExplainNamesEachByte(t *testing.T) {
	d := loggedIn(t, load(t, "acme").New)
	var got []string
	for _, f := range d.(codec.Explainer).Explain(acmeData(1)) {
		got = append(got, fmt.Sprintf("%d+%d %s=%s", f.Offset, f.Len, f.Name, f.Value))
	}
	want := "0+1 type=data|1+2 seq=7|3+1 n=1|4+4 records[0].at=2026-01-01T00:00:00Z|8+2 records[0].temperature=21.5 °C|" +
		"10+2 records[0].battery=3.612 V|12+1 records[0].flags=0|12+1 records[0].door=false|12+1 records[0].motion=false|13+1 sum=68"
	if strings.Join(got, "|") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestDatagramsCarryOneFrame(t *testing.T) {
	text := "layout: 1\nframe: {type: delimited, preset: slip}\nmessages: {a: {fields: [{name: x, type: hex, size: rest}], message: {}, reply: {body: 'c0db'}}}"
	d := begin(t, text, "udp")
	var out codec.Outcome
	datagram := []byte{1, 0xdb, 0xdc, 2, 0xc0}
	if err := d.Receive(codec.Frame{Bytes: datagram}, &out); err != nil || string(out.Messages[0].Body) != `{"x":"01c002"}` {
		t.Errorf("got %v, %v", out.Messages, err)
	}
	if string(out.Reply) != "\xc0\xdb\xdc\xdb\xdd\xc0" || datagram[1] != 0xdb {
		t.Errorf("reply %x, the datagram is %x now", out.Reply, datagram)
	}
	for _, b := range []string{"", "\x01", "\x01\xc0\x02\xc0", strings.Repeat("x", 200_000)} {
		out.Reset()
		if err := d.Receive(codec.Frame{Bytes: []byte(b)}, &out); !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%.8q: got %v", b, err)
		}
	}
}

func TestAMalformedFrameIsAnsweredWhereTheLayoutSaysSo(t *testing.T) {
	d := begin(t, "layout: 1\ncounters: {n: {from: 1}}\nmalformed: {raw: ['15', {type: u8, value: next(n)}]}\n"+
		"messages: {a: {fields: [{type: u8, is: 1}], reply: '06'}}", "udp")
	for frame, want := range map[string]string{"\x01": "\x06", "\x02": "\x15\x01"} {
		var out codec.Outcome
		err := d.Receive(codec.Frame{Bytes: []byte(frame)}, &out)
		if string(out.Reply) != want || (err != nil) != (frame == "\x02") {
			t.Errorf("%q: reply %q, %v, want %q", frame, out.Reply, err, want)
		}
	}
	_, err := Compile("x", []byte("layout: 1\nhead: [{name: h, type: u8}]\nmalformed: [{copy: h}]\nmessages: {a: {}}"))
	if err == nil || !strings.Contains(err.Error(), `3:20: copy: "h" is no field before this place`) {
		t.Errorf("a field of a malformed frame: %v", err)
	}
}

func TestAResumedLinkKnowsItsDevice(t *testing.T) {
	c, err := load(t, "acme").New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{Transport: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.(codec.Resumer).Resume("dev1"); err != nil {
		t.Fatal(err)
	}
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: acmeData(1)}, &out); err != nil || len(out.Messages) != 1 {
		t.Errorf("got %v, %v", out.Messages, err)
	}
}

func TestOnlyALayoutWithAFramingIsAFramer(t *testing.T) {
	for name, want := range map[string]bool{"acme": true, "text": true, "modbus": false, "tlv": false} {
		c, err := load(t, name).New(nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Begin(codec.Peer{Transport: "tcp"})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := d.(codec.Framer); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
