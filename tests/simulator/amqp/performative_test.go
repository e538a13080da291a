package amqp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func performatives() []frameBody {
	source := &Source{
		Address: "/a", Durable: 1, ExpiryPolicy: "session-end", Timeout: 7, DistributionMode: "copy",
		Filter: Map{{Symbol("f"), Described{uint64(1), "x"}}}, DefaultOutcome: &Modified{Failed: true},
		Outcomes: []Symbol{"amqp:accepted:list", "amqp:rejected:list"}, Capabilities: []Symbol{"q"},
	}
	fault := &Error{Condition: CondNotAllowed, Description: "no", Info: Map{{Symbol("k"), int32(1)}}}
	return []frameBody{
		&Open{ContainerID: "c", Hostname: "h", MaxFrame: 65536, ChannelMax: 8191, IdleTimeout: 240000,
			Desired: []Symbol{"a", "b"}, Properties: Map{{Symbol("product"), "x"}}},
		&Open{MaxFrame: 512},
		&Begin{RemoteChannel: Some(uint16(3)), NextOutgoingID: 1, IncomingWindow: 2, OutgoingWindow: 3, HandleMax: 4},
		&Attach{Name: "l", Handle: 1, Receiver: true, SenderMode: SenderSettled, ReceiverMode: ReceiverSecond,
			Source: source, Target: &Target{Address: "/b", Dynamic: true}, InitialDeliveryCount: Some(uint32(0)),
			MaxMessageSize: Some(uint64(1 << 20)), Properties: Map{{Symbol("com.microsoft:client-version"), "1"}}},
		&Attach{Name: "refused", SenderMode: SenderMixed},
		&Flow{NextIncomingID: Some(uint32(1)), IncomingWindow: 5000, OutgoingWindow: 5000, Handle: Some(uint32(0)),
			DeliveryCount: Some(uint32(9)), LinkCredit: Some(uint32(1000)), Drain: true, Echo: true},
		&Transfer{Handle: 1, DeliveryID: Some(uint32(0)), Tag: []byte{1}, Format: Some(uint32(0x80013700)),
			Settled: Some(false), More: true, RcvSettle: Some(uint8(1)), State: &Received{Section: 1, Offset: 2},
			Payload: []byte("payload")},
		&Transfer{Handle: 1, Aborted: true, Payload: []byte{}},
		&Disposition{Receiver: true, First: 1, Last: Some(uint32(5)), Settled: true, State: &Accepted{}},
		&Disposition{First: 1, State: &Rejected{Err: fault}},
		&Disposition{First: 1, State: &Released{}},
		&Disposition{First: 1, State: &Modified{Undeliverable: true, Annotations: Map{{Symbol("a"), true}}}},
		&Detach{Handle: 1, Closed: true, Err: fault},
		&End{}, &End{Err: fault}, &Close{}, &Close{Err: &Error{Condition: CondForced}},
	}
}

func TestPerformativesAreReadAsTheyWereWritten(t *testing.T) {
	for _, p := range performatives() {
		got, err := parseBody(p.append(nil))
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%T came back as %+v, %v; was %+v", p, got, err, p)
		}
	}
}

func TestFieldsOfTheWrongTypeAreRefused(t *testing.T) {
	cases := []struct{ name, hex string }{
		{"no descriptor", "45"},
		{"unknown descriptor", "005399" + "45"},
		{"open with a number for a name", "005310" + "c0030152" + "01"},
		{"attach with a settle mode of nine", "005312" + "c00a05" + "a10161" + "43" + "42" + "5009" + "40"},
		{"detach with something for an error", "005316" + "c00603" + "43" + "41" + "005324" + "45"},
		{"disposition with an unknown symbolic state", "005315" + "c00d05" + "41434041" + "00a30461626364" + "45"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := parseBody(data); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestSymbolicDescriptorsStandForTheNumbers(t *testing.T) {
	body := append([]byte{0, 0xa3, byte(len("amqp:begin:list"))}, "amqp:begin:list"...)
	body = append(body, 0xc0, 5, 4, 0x40, 0x43, 0x43, 0x43)
	p, err := parseBody(body)
	if b, ok := p.(*Begin); err != nil || !ok || b.HandleMax != 1<<32-1 {
		t.Fatalf("got %+v, %v", p, err)
	}
}

func TestFramesOutOfBoundsAreRefused(t *testing.T) {
	cases := []struct {
		name  string
		frame []byte
	}{
		{"shorter than its head", []byte{0, 0, 0, 4, 2, 0, 0, 0}},
		{"larger than allowed", []byte{0, 1, 0, 1, 2, 0, 0, 0}},
		{"body before the head's end", []byte{0, 0, 0, 8, 1, 0, 0, 0}},
		{"body behind the frame's end", []byte{0, 0, 0, 8, 3, 0, 0, 0}},
		{"unknown type", []byte{0, 0, 0, 8, 2, 7, 0, 0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := newFrameReader(strings.NewReader(string(c.frame)), maxFrame)
			if _, _, _, err := in.next(); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzPerformative(f *testing.F) {
	for _, p := range performatives() {
		f.Add(p.append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseBody(data)
		if err != nil {
			return
		}
		// What was read can be written, and read as the same again.
		out := p.(frameBody).append(nil)
		q, err := parseBody(out)
		if err != nil {
			t.Fatalf("%x became %x: %v", data, out, err)
		}
		if again := q.(frameBody).append(nil); string(again) != string(out) {
			t.Fatalf("%x became %x, then %x", data, out, again)
		}
	})
}

func FuzzFrames(f *testing.F) {
	var all []byte
	for _, p := range performatives() {
		all = appendFrame(all, frameAMQP, 1, p)
	}
	f.Add(all)
	f.Add([]byte{0, 0, 0, 12, 3, 1, 0, 0, 9, 9, 9, 9, 0, 0, 0, 8, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := newFrameReader(strings.NewReader(string(data)), 4096)
		total := 0
		for {
			_, _, body, err := in.next()
			if err != nil {
				return
			}
			if total += frameHead + len(body); total > len(data) {
				t.Fatalf("%d bytes of frames in %d", total, len(data))
			}
		}
	})
}

func FuzzSASL(f *testing.F) {
	f.Add((&saslInit{Mechanism: "PLAIN", Response: []byte("\x00u\x00p"), Hostname: "h"}).append(nil))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = parseSASL(data) })
}

func TestAFrameTellsItsSize(t *testing.T) {
	b := appendFrame([]byte{9}, frameAMQP, 0x0102, &Close{})
	if binary.BigEndian.Uint32(b[1:]) != uint32(len(b)-1) || b[7] != 1 || b[8] != 2 {
		t.Errorf("% x", b)
	}
}
