package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// whole is a codec that uses all of the contract that acme leaves out.
type whole struct {
	peer   codec.Peer
	device string
}

func newWhole(options json.RawMessage) (codec.Codec, error) {
	o := struct {
		Speed int `json:"speed"`
	}{Speed: 1}
	if err := codec.DecodeOptions(options, &o); err != nil {
		return nil, err
	}
	switch o.Speed {
	case 0:
		return nil, codec.Optionf("/speed", "got 0, allowed are 1 to 9")
	case 9:
		return nil, errors.New("too fast for this machine")
	}
	return &whole{}, nil
}

func (*whole) Begin(p codec.Peer) (codec.Dialogue, error) {
	if p.Listener == "closed" {
		return nil, errors.New("not today")
	}
	return &whole{peer: p}, nil
}

// Split takes what ends with a semicolon; %xx stands for a byte.
func (*whole) Split(data []byte, _ bool) (int, []byte, error) {
	end := bytes.IndexByte(data, ';')
	switch {
	case end < 0 && len(data) > 100:
		return 0, nil, errors.New("no end in sight")
	case end < 0:
		return 0, nil, nil
	case end == 0:
		return 1, nil, nil // nothing is between two of them
	case data[0] == '!':
		return end + 1, nil, codec.ErrMalformed
	}
	f := data[:end:end]
	if i := bytes.IndexByte(f, '%'); i >= 0 {
		f = append(f[:i], bytes.ToUpper(f[i+1:])...) // in place, as a framing may
	}
	return end + 1, f, nil
}

func (w *whole) Receive(f codec.Frame, out *codec.Outcome) error {
	switch text := string(f.Bytes); {
	case text == "who":
		out.Identity = codec.Identity{Device: "d1", Secret: "s", Accept: []byte("in"), Refuse: []byte("out")}
	case text == "me":
		m := out.Add()
		m.Device, m.ContentType, m.Body, m.Time = w.device, "text/plain", f.Bytes, f.At
		m.Set("listener", w.peer.Listener)
		m.Set("transport", w.peer.Transport)
		m.Set("address", w.peer.Remote.String())
		if id := w.peer.TLS; id != nil {
			m.Set("name", id.CommonName+" "+strings.Join(id.Names, " ")+" "+id.Fingerprint)
		}
		out.Ack, out.Nak = []byte("ack"), []byte("nak")
	case text == "refused":
		out.Reply = []byte("no")
		return codec.ErrRefused
	case text == "bye":
		out.Close = "bye"
	default:
		out.Add().Body = f.Bytes
		out.Ack = []byte("not to be seen")
		out.Reply = []byte("what?")
		return errors.New("of no kind")
	}
	return nil
}

func (*whole) Tick(now time.Time, out *codec.Outcome) error {
	out.Reply = now.AppendFormat(nil, time.RFC3339)
	return nil
}

func (w *whole) Resume(device string) error {
	if w.device = device; device == "nobody" {
		return codec.ErrRefused
	}
	return nil
}

func (*whole) Explain(f []byte) []codec.Field {
	return []codec.Field{{Offset: 0, Len: 1, Name: "first", Value: "1"}, {Offset: 1, Len: len(f) - 1, Name: "rest"}}
}

func TestTheWholeContractCrossesTheWire(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: newWhole})
	codectest.Replay(t, dial(t, Config{Endpoints: []string{address}}).New, "testdata")
}

func beginWhole(t *testing.T, p codec.Peer) codec.Dialogue {
	t.Helper()
	address, _ := serve(t, kit.Server{Factory: newWhole})
	made, err := dial(t, Config{Endpoints: []string{address}}).New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := made.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { codec.Close(d) })
	return d
}

func TestThePeerAndTheDeviceAreTold(t *testing.T) {
	d := beginWhole(t, codec.Peer{
		Listener: "l", Transport: "udp", Remote: netip.MustParseAddrPort("192.0.2.1:9"),
		TLS: &codec.TLSIdentity{CommonName: "cn", Names: []string{"a", "b"}, Fingerprint: "ff"},
	})
	if _, own := d.(codec.Framer); own {
		t.Error("datagrams are cut")
	}
	if err := d.(codec.Resumer).Resume("d7"); err != nil {
		t.Fatal(err)
	}
	out, err := receive(d, []byte("me"))
	if err != nil {
		t.Fatal(err)
	}
	m := out.Messages[0]
	want := []codec.Property{{Name: "listener", Value: "l"}, {Name: "transport", Value: "udp"},
		{Name: "address", Value: "192.0.2.1:9"}, {Name: "name", Value: "cn a b ff"}}
	if m.Device != "d7" || !reflect.DeepEqual(m.Properties, want) || !m.Time.Equal(time.Unix(1, 0)) {
		t.Errorf("got %+v", m)
	}
	if err := d.(codec.Resumer).Resume("nobody"); !errors.Is(err, codec.ErrRefused) {
		t.Errorf("resume nobody: %v", err)
	}
}

func TestExplanationsCrossTheWireAndStayWithinTheFrame(t *testing.T) {
	d := beginWhole(t, codec.Peer{Transport: "tcp"})
	got := d.(codec.Explainer).Explain([]byte("abc"))
	if want := []codec.Field{{Offset: 0, Len: 1, Name: "first", Value: "1"}, {Offset: 1, Len: 2, Name: "rest"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if got := d.(codec.Explainer).Explain(nil); len(got) != 0 { // the codec names a byte that is not there
		t.Errorf("got %v", got)
	}
}

func TestOptionsAndLinksAreRefusedByTheServer(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: newWhole})
	c := dial(t, Config{Endpoints: []string{address}})
	for options, want := range map[string]codec.OptionError{
		`{"speed": 0}`:   {Pointer: "/speed", Reason: "got 0, allowed are 1 to 9"},
		`{"height": 1}`:  {Pointer: "/height", Reason: "unknown field, known are speed"},
		`{"speed": 9}`:   {Reason: "too fast for this machine"},
		`{"speed": "x"}`: {Pointer: "/speed", Reason: `got "x", want integer`},
	} {
		_, err := c.New(json.RawMessage(options))
		if got, ok := errors.AsType[*codec.OptionError](err); !ok || *got != want {
			t.Errorf("options %s: %v", options, err)
		}
	}
	made, err := c.New(json.RawMessage(`{"speed": 2}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Begin(codec.Peer{Listener: "closed"}); !errors.Is(err, codec.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestWhatAPluginCannotDoIsNotAsked(t *testing.T) {
	address, _ := serve(t, kit.Server{Factory: named("plain")})
	d := begin(t, dial(t, Config{Endpoints: []string{address}}))
	var out codec.Outcome
	if err := d.(codec.Commander).Command(codec.Command{Name: "do"}, &out); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("command: %v", err)
	}
	if err := d.(codec.Resumer).Resume("d"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("resume: %v", err)
	}
	if err := d.(codec.Ticker).Tick(time.Now(), &out); err != nil || len(out.Reply) > 0 {
		t.Errorf("tick: %v", err)
	}
	if got := d.(codec.Explainer).Explain([]byte("x")); got != nil {
		t.Errorf("explain: %v", got)
	}
	if _, own := d.(codec.Framer); own {
		t.Error("it cuts the stream, and nobody said so")
	}
}
