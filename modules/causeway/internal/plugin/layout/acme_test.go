package layout

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	native "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
)

// acme is the protocol of testdata/acme.yaml written by hand, as a measure for the
// layout: it decodes the same cases.
type acme struct {
	device  string
	waiting string
	since   time.Time
}

func newAcme(json.RawMessage) (codec.Codec, error) { return acmeCodec{}, nil }

type acmeCodec struct{}

func (acmeCodec) Begin(codec.Peer) (codec.Dialogue, error) { return &acme{}, nil }

func (*acme) Split(data []byte, _ bool) (int, []byte, error) {
	if len(data) < 2 {
		return 0, nil, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(data))
	if len(data) < n {
		return 0, nil, nil
	}
	return n, data[2:n:n], nil
}

func acmeFrame(dst []byte, kind byte, body ...byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(body)+2))
	dst = append(append(dst, kind), body...)
	sum := kind
	for _, b := range body {
		sum ^= b
	}
	return append(dst, sum)
}

func (d *acme) Receive(f codec.Frame, out *codec.Outcome) error {
	b := f.Bytes
	if len(b) < 2 {
		return fmt.Errorf("acme: frame of %d bytes: %w", len(b), codec.ErrMalformed)
	}
	var sum byte
	for _, c := range b {
		sum ^= c
	}
	if sum != 0 {
		return fmt.Errorf("acme: the sum is wrong: %w", codec.ErrMalformed)
	}
	body := b[1 : len(b)-1]
	switch b[0] {
	case 1:
		ascii := !bytes.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf })
		if len(body) < 1 || len(body) > 20 || !ascii {
			return fmt.Errorf("acme: id %q: %w", body, codec.ErrMalformed)
		}
		d.device = string(body)
		out.Identity = codec.Identity{Device: d.device, Accept: acmeFrame(nil, 0x81, 1), Refuse: acmeFrame(nil, 0x81, 0)}
	case 2:
		return d.data(body, out)
	case 3:
		if len(body) > 0 {
			return fmt.Errorf("acme: heartbeat of %d bytes: %w", len(body), codec.ErrMalformed)
		}
		out.Reply = acmeFrame(nil, 0x83)
	case 0x84:
		if len(body) != 1 {
			return codec.ErrMalformed
		}
		d.answer(body[0], out)
	default:
		return fmt.Errorf("acme: type %d: %w", b[0], codec.ErrMalformed)
	}
	return nil
}

func (d *acme) data(body []byte, out *codec.Outcome) error {
	const record = 9
	if d.device == "" {
		return fmt.Errorf("data before login: %w", codec.ErrProtocol)
	}
	if len(body) < 3 || len(body) != 3+record*int(body[2]) {
		return fmt.Errorf("acme: data of %d bytes: %w", len(body), codec.ErrMalformed)
	}
	seq := binary.BigEndian.Uint16(body)
	for r := body[3:]; len(r) > 0; r = r[record:] {
		m := out.Add()
		m.ContentType, m.ContentEncoding = "application/json", "utf-8"
		m.Time = time.Unix(int64(binary.BigEndian.Uint32(r)), 0).UTC()
		from := len(out.Scratch)
		s := append(out.Scratch, `{"seq":`...)
		s = strconv.AppendUint(s, uint64(seq), 10)
		s = append(s, `,"temperature":`...)
		s = appendDecimal(s, int64(int16(binary.BigEndian.Uint16(r[4:]))), 1)
		s = append(s, `,"battery":`...)
		s = appendDecimal(s, int64(binary.BigEndian.Uint16(r[6:])), 3)
		s = append(s, `,"door":`...)
		s = strconv.AppendBool(s, r[8]&1 != 0)
		s = append(s, `,"motion":`...)
		s = strconv.AppendBool(s, r[8]&2 != 0)
		s = append(s, '}')
		out.Scratch = s
		m.Body = s[from:len(s):len(s)]
		if kind := "reading"; r[8]&2 == 0 {
			m.Set("kind", kind)
		} else {
			m.Set("kind", "alarm")
		}
	}
	from := len(out.Scratch)
	out.Scratch = acmeFrame(out.Scratch, 0x82, byte(seq>>8), byte(seq))
	out.Ack = out.Scratch[from:len(out.Scratch):len(out.Scratch)]
	return nil
}

func (d *acme) answer(status byte, out *codec.Outcome) {
	if d.waiting == "" {
		return
	}
	r := codec.Result{Correlation: d.waiting, Payload: json.RawMessage(`{"ok":true}`)}
	if status != 0 {
		r = codec.Result{Correlation: d.waiting, Err: fmt.Errorf("device refused: %d", status)}
	}
	out.Results = append(out.Results, r)
	d.waiting = ""
}

func (d *acme) Command(c codec.Command, out *codec.Outcome) error {
	if c.Name != "interval" {
		return codec.ErrUnknownCommand
	}
	var p struct {
		Seconds int `json:"seconds"`
	}
	if codec.DecodeOptions(c.Payload, &p) != nil || p.Seconds < 1 || p.Seconds > 65535 {
		return codec.ErrBadCommand
	}
	if d.waiting != "" {
		return codec.ErrBusy
	}
	d.waiting, d.since = c.Correlation, time.Time{}
	out.Reply = acmeFrame(nil, 4, byte(p.Seconds>>8), byte(p.Seconds))
	return nil
}

func (d *acme) Tick(now time.Time, out *codec.Outcome) error {
	switch {
	case d.waiting == "":
	case d.since.IsZero():
		d.since = now
	case now.Sub(d.since) >= time.Minute:
		out.Results = append(out.Results, codec.Result{
			Correlation: d.waiting, Err: errors.New(`layout acme: command "interval": no answer from the device`),
		})
		d.waiting = ""
	}
	return nil
}

// acmeData is a data frame of n records, as Receive gets it.
func acmeData(n int) []byte {
	b := []byte{2, 0, 7, byte(n)}
	for i := range n {
		b = binary.BigEndian.AppendUint32(b, 1767225600+uint32(i))
		b = binary.BigEndian.AppendUint16(b, uint16(215+i))
		b = binary.BigEndian.AppendUint16(b, 3612)
		b = append(b, byte(i%4))
	}
	return append(b, byte(xor(b)))
}

// loggedIn begins a link and lets the device in.
func loggedIn(tb testing.TB, factory codec.Factory) codec.Dialogue {
	tb.Helper()
	c, err := factory(nil)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{Transport: "tcp"})
	if err != nil {
		tb.Fatal(err)
	}
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: []byte{1, 'd', 'e', 'v', 0x64 ^ 0x65 ^ 0x76 ^ 1}}, &out); err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestTheMeasureByHandConformsToo(t *testing.T) {
	hand := t.TempDir()
	copyCases(t, "testdata/acme", hand)
	codectest.Run(t, newAcme, hand)
}

func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 16} {
		frame := acmeData(n)
		for name, factory := range map[string]codec.Factory{"layout": load(b, "acme").New, "hand": newAcme} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				d := loggedIn(b, factory)
				var out codec.Outcome
				b.ReportAllocs()
				for b.Loop() {
					out.Reset()
					if err := d.Receive(codec.Frame{Bytes: frame}, &out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
			})
		}
	}
}

func TestAcmeIsTheSameAsInEveryLanguage(t *testing.T) {
	differences, err := native.Differences(load(t, "acme").New)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
