package teltonika

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const imei = "352093086403655"

// arrival is when the frames of the tests arrive.
func arrival() time.Time { return time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC) }

// compile makes a codec with these options, "" for none.
func compile(tb testing.TB, options string) codec.Codec {
	tb.Helper()
	c, err := New(json.RawMessage(options))
	if err != nil {
		tb.Fatalf("New(%s): %v", options, err)
	}
	return c
}

// dialogue starts a link.
func dialogue(tb testing.TB, c codec.Codec, transport string) codec.Dialogue {
	tb.Helper()
	d, err := c.Begin(codec.Peer{Listener: "trackers", Transport: transport})
	if err != nil {
		tb.Fatalf("Begin: %v", err)
	}
	return d
}

// begin starts a dialogue with these options.
func begin(tb testing.TB, options, transport string) codec.Dialogue {
	tb.Helper()
	return dialogue(tb, compile(tb, options), transport)
}

// loggedIn starts a TCP dialogue whose device has logged in.
func loggedIn(tb testing.TB, options string) *stream {
	tb.Helper()
	d := begin(tb, options, "tcp").(*stream)
	receive(tb, d, loginOf(imei))
	return d
}

// receive feeds one frame that must be good.
func receive(tb testing.TB, d codec.Dialogue, frame []byte) *codec.Outcome {
	tb.Helper()
	out := &codec.Outcome{}
	if err := d.Receive(codec.Frame{Bytes: frame, At: arrival()}, out); err != nil {
		tb.Fatalf("Receive(%x): %v", frame, err)
	}
	return out
}

// refuse feeds one frame that must be refused in this way, without an
// acknowledgement.
func refuse(tb testing.TB, d codec.Dialogue, frame []byte, want error) *codec.Outcome {
	tb.Helper()
	out := &codec.Outcome{}
	err := d.Receive(codec.Frame{Bytes: frame, At: arrival()}, out)
	if !errors.Is(err, want) {
		tb.Fatalf("Receive(%x): %v, want %v", frame, err, want)
	}
	if out.Ack != nil {
		tb.Fatalf("Receive(%x) acknowledges %x what it refuses", frame, out.Ack)
	}
	return out
}

func TestALoginClaimsTheIMEIAndCarriesBothAnswers(t *testing.T) {
	out := receive(t, begin(t, "", "tcp"), unhex(t, "000F333536333037303432343431303133"))
	id := out.Identity
	if id.Device != "356307042441013" || hex.EncodeToString(id.Accept) != "01" || hex.EncodeToString(id.Refuse) != "00" {
		t.Errorf("identity %+v", id)
	}
	if out.Reply != nil || out.Ack != nil || len(out.Messages) != 0 {
		t.Errorf("a login says more than the identity: %+v", out)
	}
}

func TestAPingHasNoAnswer(t *testing.T) {
	out := receive(t, loggedIn(t, ""), []byte{0xFF})
	if out.Reply != nil || out.Ack != nil || len(out.Messages) != 0 {
		t.Errorf("outcome %+v", out)
	}
}

func TestAPacketBeforeLoginClosesTheLink(t *testing.T) {
	d := begin(t, "", "tcp")
	refuse(t, d, packetOf(dataOf(codec8, point{})), codec.ErrProtocol)
	refuse(t, d, packetOf(textOf(codec12, typeResponse, []byte("hi"))), codec.ErrProtocol)
}

func TestASecondLoginMustNameTheSameDevice(t *testing.T) {
	d := loggedIn(t, "")
	if out := receive(t, d, loginOf(imei)); out.Identity.Device != imei {
		t.Errorf("identity %+v", out.Identity)
	}
	refuse(t, d, loginOf("356307042441013"), codec.ErrProtocol)
}

func TestAWrongCheckDigitIsRefusedWhenAskedFor(t *testing.T) {
	const good, bad = "490154203237518", "490154203237519"
	d := begin(t, `{"luhn":true}`, "tcp")
	out := refuse(t, d, loginOf(bad), codec.ErrRefused)
	if hex.EncodeToString(out.Reply) != "00" {
		t.Errorf("reply %x, want 00", out.Reply)
	}
	receive(t, d, loginOf(good))
	u := begin(t, `{"luhn":true}`, "udp")
	refuse(t, u, datagramOf(1, 1, bad, dataOf(codec8, point{})), codec.ErrRefused)
	receive(t, begin(t, "", "tcp"), loginOf(bad))
}

func TestTheAcknowledgementIsTheCountOfRecords(t *testing.T) {
	d := loggedIn(t, "")
	for n := range 5 {
		out := receive(t, d, packetOf(dataOf(codec8, make([]point, n)...)))
		if want := []byte{0, 0, 0, byte(n)}; string(out.Ack) != string(want) || out.Reply != nil {
			t.Errorf("%d records: ack %x, reply %x", n, out.Ack, out.Reply)
		}
		if len(out.Messages) != n {
			t.Errorf("%d records: %d messages", n, len(out.Messages))
		}
	}
}

func TestADatagramIsAcknowledgedByItsIds(t *testing.T) {
	d := begin(t, "", "udp")
	frame := datagramOf(0xCAFE, 7, imei, dataOf(codec8, point{}, point{}))
	out := receive(t, d, frame)
	if hex.EncodeToString(out.Ack) != "0005cafe010702" || out.Reply != nil {
		t.Errorf("ack %x, reply %x", out.Ack, out.Reply)
	}
	if out.Identity.Device != imei {
		t.Errorf("identity %+v", out.Identity)
	}
	if out = receive(t, d, frame); out.Identity.Device != "" {
		t.Errorf("the same device is claimed again: %+v", out.Identity)
	}
	other := datagramOf(1, 1, "356307042441013", dataOf(codec8, point{}))
	if out = receive(t, d, other); out.Identity.Device != "356307042441013" {
		t.Errorf("another device is not claimed: %+v", out.Identity)
	}
}

func TestOnlyKnownTransportsBegin(t *testing.T) {
	if _, err := compile(t, "").Begin(codec.Peer{Transport: "serial"}); err == nil {
		t.Error("Begin accepts the transport serial")
	}
}

// nowhere is a position without a fix.
const nowhere = `{"longitude":0,"latitude":0,"altitude":0,"angle":0,"satellites":0,"speed":0}`

// same compares two JSON documents, white space and order of members aside.
func same(tb testing.TB, got []byte, want string) {
	tb.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		tb.Errorf("body %s: %v", got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		tb.Fatalf("test data: %v", err)
	}
	gb, _ := json.Marshal(g)
	wb, _ := json.Marshal(w)
	if string(gb) != string(wb) {
		tb.Errorf("\ngot  %s\nwant %s", gb, wb)
	}
}

// propertyOf returns the value of one property of a message.
func propertyOf(m codec.Message, name string) string {
	for _, p := range m.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}
