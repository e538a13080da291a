package session

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// largeRig is a listener whose hub takes messages of 4 KiB.
func largeRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.FrameBytes, r.LoginBytes, r.MessageBytes = 1<<16, 1<<16, 4096
	return r
}

// record is a body of n bytes with a plus at its end.
func record(letter string, n int) string { return strings.Repeat(letter, n-1) + "+" }

func TestALargeMessageIsAcknowledgedWhenAllOfItsPartsAreSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := largeRig(t)
		d := r.connect(t)
		a, b, c := record("a", 2000), record("b", 1500), strings.Repeat("c", 1500)
		d.say("login t-1\ndata " + a + b + c + " x\n")
		if got := r.uplink.taken(); !slices.Equal(got, []string{a, b, c, "x"}) {
			t.Fatalf("%d messages were handed up", len(got))
		}
		if got := r.uplink.seqs; !slices.Equal(got, []uint64{1, 2, 3, 4}) {
			t.Errorf("numbers %v", got)
		}
		for _, body := range []string{c, "x", a} {
			r.uplink.settle(t, body, nil)
			d.heard("welcome\n")
		}
		r.uplink.settle(t, b, nil)
		d.heard("welcome\nack " + a + b + c + "\n")
		r.faults(t)
	})
}

func TestAPartThatIsRefusedRefusesTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := largeRig(t)
		d := r.connect(t)
		a, b := record("a", 4000), strings.Repeat("b", 100)
		r.uplink.refusing = refuse(a, errTooLarge) // one record that is too large by itself
		d.say("data " + a + b + "\n")
		d.heard("")
		r.uplink.settle(t, b, nil)
		d.heard("nak " + a + b + "\n")
		r.faults(t, FaultRefused)
	})
}

func TestWhatIsNotTooLargeOrCannotBeCutStaysWhole(t *testing.T) {
	for name, body := range map[string]string{
		"as large as the hub takes": record("a", 1000) + strings.Repeat("b", 4096-1000-envelopeRoom-len("ltoytelemetryapplication/octet-stream")-1),
		"one record":                strings.Repeat("a", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := largeRig(t)
				r.connect(t).say("data " + body + "\n")
				if got := r.uplink.taken(); len(got) != 1 || got[0] != body {
					t.Fatalf("%d messages were handed up", len(got))
				}
			})
		})
	}
}

func TestACodecThatBreaksWhileItCutsCostsItsLinkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := largeRig(t)
		d := r.connect(t)
		d.say("data !" + strings.Repeat("a", 5000) + "\n")
		d.closedFor("codec-failed")
		d.heard("")
		r.faults(t, FaultBroken)
		if f := r.observer.faults[0]; len(f.Frame) < 5000 {
			t.Errorf("the fault carries %d bytes of the frame", len(f.Frame))
		}
	})
}

func TestPartsTellWhichTheyAreAndLookLikeTheWhole(t *testing.T) {
	var got []message.Message
	keep := keeping(func(m *message.Message) {
		own := *m
		own.Body, own.Properties = slices.Clone(m.Body), slices.Clone(m.Properties)
		got = append(got, own)
	})
	r := largeRig(t)
	r.Uplink, r.Codec = keep, splitting{}
	link, conn := newFakeLink("tcp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	defer s.End()
	frame := []byte(record("a", 3000) + strings.Repeat("b", 3000))
	s.main = s.takeLane(&s.speaks, false) // as Serve does
	if err := s.take(context.Background(), frame, time.Unix(9, 0)); err != nil {
		t.Fatal(err)
	}
	again, err := r.Decode(Again{Device: "t-1", Frame: frame, At: time.Unix(9, 0), Epoch: 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(again) != 2 {
		t.Fatalf("%d parts, and %d when decoded again", len(got), len(again))
	}
	for i := range got {
		want := []message.Property{{Name: "kind", Value: "k"}, {Name: "part", Value: []string{"1/2", "2/2"}[i]}}
		if p := got[i].Properties; !slices.Equal(p, want) {
			t.Errorf("properties %v", p)
		}
		if m := got[i]; m.Device != "t-1" || !m.Created.Equal(time.Unix(7, 0)) || m.ContentType != "text/plain" || measure(&m) > r.MessageBytes {
			t.Errorf("part %d: %+v", i+1, m)
		}
		if !slices.Equal(again[i].Body, got[i].Body) || !slices.Equal(again[i].Properties, want) ||
			again[i].Epoch != 5 || again[i].Seq != uint64(i+1) {
			t.Errorf("part %d, decoded again: %+v", i+1, again[i])
		}
	}
}

// splitting makes one message of a frame, with a property that the parts take over
// and one that they do not.
type splitting struct{ toyDialogue }

func (splitting) Begin(codec.Peer) (codec.Dialogue, error) { return &splitting{}, nil }

func (*splitting) Receive(f codec.Frame, out *codec.Outcome) error {
	m := out.Add()
	m.Body, m.ContentType, m.Device, m.Time = f.Bytes, "text/plain", "t-1", time.Unix(7, 0)
	m.Set("kind", "k")
	m.Set("Part", "of the whole")
	return nil
}
