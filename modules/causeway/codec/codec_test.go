package codec_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestOutcomeKeepsItsMemoryAndForgetsItsContent(t *testing.T) {
	var out codec.Outcome
	fill := func() {
		m := out.Add()
		m.Body, m.Device, m.Time = []byte("body"), "device", time.Unix(1, 0)
		m.Set("kind", "alarm")
		out.Reply, out.Ack, out.Close = []byte("r"), []byte("a"), "bye"
		out.Identity.Device = "device"
		out.Results = append(out.Results, codec.Result{Correlation: "1"})
		out.Scratch = append(out.Scratch, "scratch"...)
	}
	fill()
	out.Reset()
	empty := len(out.Messages)+len(out.Results)+len(out.Scratch)+len(out.Reply)+len(out.Ack)+len(out.Nak) == 0
	if !empty || out.Close != "" || out.Identity.Device != "" {
		t.Errorf("after Reset: %+v", out)
	}
	m := out.Add()
	if m.Body != nil || m.Device != "" || !m.Time.IsZero() || len(m.Properties) != 0 {
		t.Errorf("a message that is used again holds %+v", m)
	}
	out.Reset()
	if n := testing.AllocsPerRun(100, func() { fill(); out.Reset() }); n > 4 { // the literals of fill, under -race
		t.Errorf("%v allocations an outcome", n)
	}
}

func TestMessagesOfAnOutcomeAreDistinct(t *testing.T) {
	var out codec.Outcome
	for range 2 {
		out.Reset()
		for _, device := range []string{"a", "b", "c"} {
			out.Add().Device = device
		}
		var got []string
		for i := range out.Messages {
			got = append(got, out.Messages[i].Device)
		}
		if !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %v", got)
		}
	}
}

func TestRegistryRefusesDoublesAndNamesWhatItKnows(t *testing.T) {
	factory := func(json.RawMessage) (codec.Codec, error) {
		return codec.Func(func(codec.Frame, *codec.Outcome) error { return nil }), nil
	}
	var r codec.Registry
	for _, name := range []string{"b", "a"} {
		if err := r.Add(name, factory); err != nil {
			t.Fatal(err)
		}
	}
	if r.Add("a", factory) == nil || r.Add("", factory) == nil || r.Add("c", nil) == nil {
		t.Error("a double, an empty name or a nil factory was taken")
	}
	if got := r.Names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names %v", got)
	}
	if _, err := r.New("a", nil); err != nil {
		t.Error(err)
	}
	_, err := r.New("z", nil)
	if !errors.Is(err, codec.ErrUnknownCodec) || !strings.Contains(err.Error(), "[a b]") {
		t.Errorf("got %v", err)
	}
}

func TestFuncIsACodecWithoutState(t *testing.T) {
	c := codec.Func(func(f codec.Frame, out *codec.Outcome) error {
		out.Add().Body = f.Bytes
		return nil
	})
	d, err := c.Begin(codec.Peer{Transport: "udp"})
	if err != nil {
		t.Fatal(err)
	}
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: []byte("x")}, &out); err != nil || string(out.Messages[0].Body) != "x" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestOnlyUDPHasDatagrams(t *testing.T) {
	for transport, want := range map[string]bool{"tcp": false, "tls": false, "udp": true} {
		if got := (codec.Peer{Transport: transport}).Datagram(); got != want {
			t.Errorf("%s: got %v", transport, got)
		}
	}
}
