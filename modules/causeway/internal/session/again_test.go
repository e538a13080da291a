package session

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

func TestFaultsCarryTheBytesThatTheyAreAbout(t *testing.T) {
	cases := []struct {
		say, frame string
		uncut      bool
	}{
		{"nonsense here\n", "nonsense here", false},
		{"evil deed\n", "evil deed", false},
		{"panic now\n", "panic now", false},
		{"hello\n" + strings.Repeat("x", 3000), strings.Repeat("x", 1024+1024), true},
		{"login stranger\n", "", false},
	}
	for _, c := range cases {
		t.Run(c.say[:8], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.connect(t).say(c.say)
				if len(r.observer.faults) != 1 {
					t.Fatalf("faults %v", r.observer.faults)
				}
				if f := r.observer.faults[0]; string(f.Frame) != c.frame || f.Uncut != c.uncut {
					t.Errorf("%d bytes %.40q, uncut %v", len(f.Frame), f.Frame, f.Uncut)
				}
			})
		})
	}
}

func TestWhatIsLeftOfADatagramIsCarriedToo(t *testing.T) {
	r := newRig(t)
	framing, err := frame.Parse([]byte(`{"type":"length","size":2,"strip":true}`), 1024)
	if err != nil {
		t.Fatal(err)
	}
	r.Framing = framing
	link, conn := newFakeLink("udp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	defer s.End()
	s.Datagram([]byte("\x00\x05hello\x00\x09le"), time.Now())
	if f := r.observer.faults[0]; string(f.Frame) != "\x00\x09le" || !f.Uncut {
		t.Errorf("%q, uncut %v", f.Frame, f.Uncut)
	}
}

func TestAMessageThatIsRefusedBeforeTheHubIsCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.uplink.refusing = func(body string) error {
			if body == "large" {
				return &message.Refused{Message: &message.Message{Device: "t-1", Body: []byte(body)}, Reason: errors.New("large")}
			}
			return nil
		}
		d := r.connect(t)
		d.say("login t-1\ndata large\n")
		if len(r.observer.faults) != 1 {
			t.Fatalf("faults %v", r.observer.faults)
		}
		f := r.observer.faults[0]
		if m := f.Message; f.Kind != FaultRefused || m == nil || string(m.Body) != "large" || m.Device != "t-1" {
			t.Errorf("%+v, message %+v", f, m)
		}
		d.say("from " + strings.Repeat("x", 200) + " small\n")
		if m := r.observer.faults[1].Message; m == nil || string(m.Body) != "small" || m.Device != "" {
			t.Errorf("a message of a device that cannot be one: %+v", m)
		}
	})
}

func TestAFrameIsDecodedAgainOutsideOfItsLink(t *testing.T) {
	at := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	cases := []struct {
		name    string
		again   Again
		device  string // of the listener
		devices string
		bodies  string
		err     error
	}{
		{"its messages", Again{Frame: []byte("data a b"), Device: "t-1"}, "", "t-1 t-1", "a b", nil},
		{"a message that names its device", Again{Frame: []byte("from t-2 a"), Device: "t-1"}, "", "t-2", "a", nil},
		{"the listener's device", Again{Frame: []byte("data a")}, "fixed", "fixed", "a", nil},
		{"nobody's", Again{Frame: []byte("data a")}, "", "l", "a", nil},
		{"no messages", Again{Frame: []byte("hello")}, "", "", "", nil},
		{"a piece of a stream", Again{Frame: []byte("login t-3\ndata a\ndata alarm\n"), Uncut: true}, "", "t-3 t-3", "a alarm", nil},
		{"a piece that ends within a frame", Again{Frame: []byte("data a\nda"), Uncut: true}, "", "", "", codec.ErrMalformed},
		{"still malformed", Again{Frame: []byte("nonsense")}, "", "", "", codec.ErrMalformed},
		{"still a panic", Again{Frame: []byte("panic")}, "", "", "", codec.ErrBroken},
		{"a device that may not come in", Again{Frame: []byte("login stranger")}, "", "", "", codec.ErrRefused},
		{"a device that cannot be one", Again{Frame: []byte("data a"), Device: strings.Repeat("x", 129)}, "", "", "", codec.ErrRefused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.Device = c.device
			c.again.At, c.again.Epoch = at, 7
			list, err := r.Decode(c.again)
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			var devices, bodies []string
			for i, m := range list {
				devices, bodies = append(devices, m.Device), append(bodies, string(m.Body))
				if m.Epoch != 7 || m.Seq != uint64(i+1) || m.Listener != "l" || m.Codec != "toy" || !m.Created.Equal(at) {
					t.Errorf("%+v", m)
				}
				if want := map[bool]string{true: "alarms", false: "telemetry"}[string(m.Body) == "alarm"]; m.Output != want {
					t.Errorf("output %q, want %q", m.Output, want)
				}
			}
			if strings.Join(devices, " ") != c.devices || strings.Join(bodies, " ") != c.bodies {
				t.Errorf("devices %q, bodies %q", devices, bodies)
			}
			if len(r.uplink.taken()) != 0 {
				t.Error("something was sent")
			}
		})
	}
}

// resumed is a codec that has to know its device.
type resumed struct{ toyDialogue }

func (d *resumed) Resume(device string) error {
	switch device {
	case "unsupported":
		return errors.ErrUnsupported
	case "bad":
		return codec.ErrRefused
	}
	return nil
}

type resumer struct{}

func (resumer) Begin(codec.Peer) (codec.Dialogue, error) { return &resumed{}, nil }

func TestADialogueIsToldWhoseFrameIsDecodedAgain(t *testing.T) {
	r := newRig(t)
	r.Codec = resumer{}
	for device, want := range map[string]error{"t-1": nil, "unsupported": nil, "": nil, "bad": codec.ErrRefused} {
		if _, err := r.Decode(Again{Frame: []byte("data a"), Device: device}); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("device %q: %v", device, err)
		}
	}
}
