package guest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// toy is a codec whose frames say what is to happen.
type toy struct{ known string }

func (d *toy) Begin(p codec.Peer) (codec.Dialogue, error) {
	if p.TLS != nil && p.TLS.CommonName == "nobody" {
		return nil, errors.New("nobody may come in")
	}
	if p.Transport == "udp" {
		return codec.Func(func(codec.Frame, *codec.Outcome) error { return nil }), nil
	}
	return &toy{}, nil
}

func (d *toy) Receive(f codec.Frame, out *codec.Outcome) error {
	switch string(f.Bytes) {
	case "panic":
		panic("oops")
	case "bad":
		out.Reply = []byte("?")
		return codec.ErrMalformed
	case "worse":
		return errors.New("of no kind")
	}
	out.Identity = codec.Identity{Device: "d" + d.known, Secret: "s", Accept: []byte("a"), Refuse: []byte("r")}
	out.Reply, out.Ack, out.Nak, out.Close = []byte("1"), []byte("2"), []byte("3"), "4"
	m := out.Add()
	m.Body, m.ContentType, m.ContentEncoding = f.Bytes, "application/json", "utf-8"
	m.Time = f.At
	m = out.Add()
	m.Body, m.ContentType, m.Device = f.Bytes, "text/plain", "other"
	m.Set("k", "v")
	out.Results = append(out.Results, codec.Result{Correlation: "c", Payload: json.RawMessage("[]")},
		codec.Result{Correlation: "e", Err: errors.New("no")})
	return nil
}

func (d *toy) Split(data []byte, atEOF bool) (int, []byte, error) {
	switch {
	case strings.HasPrefix(string(data), "line\n"):
		return 5, data[:4:4], nil
	case data[0] == ' ':
		return 1, nil, nil
	case data[0] == '!':
		return 0, nil, codec.ErrProtocol
	case data[0] == '+':
		return 9, nil, nil
	case data[0] == '~':
		return 1, []byte("other"), nil
	}
	return 0, nil, nil
}

func (d *toy) Command(c codec.Command, out *codec.Outcome) error {
	out.Reply = []byte(c.Correlation + c.Name + string(c.Payload))
	return nil
}

func (d *toy) Tick(now time.Time, out *codec.Outcome) error {
	out.Reply = []byte(now.Format(time.RFC3339))
	return nil
}

func (d *toy) Resume(device string) error {
	d.known = device
	return nil
}

// show is what a call wrote: tags with their bytes.
func show(s *Served, call func()) string {
	s.open()
	call()
	if s.block() == nil {
		return ""
	}
	var parts []string
	if n := binary.LittleEndian.Uint32(s.result); int(n) != len(s.result)-headSize {
		return "a length that is wrong"
	}
	eachRecord(s.result[headSize:], func(t byte, data []byte) {
		text := string(data)
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			text = hex.EncodeToString(data)
		}
		parts = append(parts, string("0123456789"[t/10])+string("0123456789"[t%10])+":"+text)
	})
	return strings.Join(parts, " ")
}

func TestCallsAreWrittenDown(t *testing.T) {
	s := Serve(func(options json.RawMessage) (codec.Codec, error) {
		return &toy{}, codec.DecodeOptions(options, &struct{}{})
	}, fstest.MapFS{"cases/one.txtar": {Data: []byte("text")}, "readme": {Data: []byte("x")}})
	peer := func(records ...string) (b []byte) {
		for i := 0; i < len(records); i += 2 {
			b = appendRecord(b, records[i][0], records[i+1])
		}
		return b
	}
	for _, c := range []struct {
		name string
		call func()
		want string
	}{
		{"examples", s.cases, "50:036f6e6574657874"},
		{"options that are wrong", func() { s.configure([]byte(`{"x":1}`)) }, "01:012f783a20756e6b6e6f776e206669656c642c206b6e6f776e2061726520"},
		{"options", func() { s.configure([]byte(`{}`)) }, ""},
		{"a link", func() { s.begin(7, peer("\x01", "l", "\x02", "tcp", "\x03", "192.0.2.1:5")) }, ""},
		{"a link of datagrams", func() { s.begin(8, peer("\x02", "udp")) }, ""},
		{"a link from nowhere", func() { s.begin(9, peer("\x03", "here")) }, "01:0161646472657373206f6620746865206465766963653a206e6f7420616e2069703a706f7274"},
		{"a link that is refused", func() { s.begin(9, peer("\x04", "nobody", "\x05", "n", "\x06", "f")) }, "01:036e6f626f6479206d617920636f6d6520696e"},
		{"resume", func() { s.resume(7, []byte("7")) }, ""},
		{"a frame", func() { s.receive(7, 1e9, []byte("{}")) },
			"02:d7 03:s 04:a 05:r 06:1 07:2 08:3 09:4 22:{} 20:00ca9a3b00000000 16:{} 18:text/plain 17:other 21:016b76 32:c 33:[] 32:e 34:no"},
		{"a bad frame", func() { s.receive(7, 0, []byte("bad")) }, "06:? 01:01"},
		{"a frame with an error of no kind", func() { s.receive(7, 0, []byte("worse")) }, "01:016f66206e6f206b696e64"},
		{"a frame that panics", func() { s.receive(7, 0, []byte("panic")) },
			"01:08" + hex.EncodeToString([]byte("panic: oops"))},
		{"a command", func() { s.command(7, peer("\x01", "c", "\x02", "do", "\x03", "[1]")) }, "06:cdo[1]"},
		{"a tick", func() { s.tick(7, 1e9) }, "06:1970-01-01T00:00:01Z"},
		{"a line", func() { s.split(7, []byte("line\nmore"), false) }, "48:000000000400000005000000"},
		{"noise", func() { s.split(7, []byte(" line"), false) }, "49:01000000"},
		{"too little", func() { s.split(7, []byte("li"), false) }, ""},
		{"a stream that is refused", func() { s.split(7, []byte("!"), false) }, "01:02"},
		{"more than there is", func() { s.split(7, []byte("+"), false) }, "01:08" + hex.EncodeToString([]byte("consumed 9 of 1 bytes"))},
		{"what was not sent", func() { s.split(7, []byte("~"), true) },
			"01:08" + hex.EncodeToString([]byte("a frame that is no part of what was consumed"))},
		{"a command without commands", func() { s.command(8, nil) }, "01:07"},
		{"a datagram", func() { s.receive(8, 0, nil) }, ""},
		{"a tick without timers", func() { s.tick(8, 0) }, ""},
		{"resume without", func() { s.resume(8, nil) }, "01:07"},
		{"a stream of datagrams", func() { s.split(8, []byte("x"), false) }, "01:07"},
		{"the end", func() { s.end(7) }, ""},
		{"a frame after the end", func() { s.receive(7, 0, []byte("{}")) },
			"01:08" + hex.EncodeToString([]byte("panic: runtime error: invalid memory address or nil pointer dereference"))},
	} {
		if got := show(s, c.call); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	if s.alloc(0) == nil || s.alloc(8) != &s.input[0] || len(s.input) != 8 {
		t.Error("no memory for what comes in")
	}
	if !s.splits {
		t.Error("a Framer was not found")
	}
}
