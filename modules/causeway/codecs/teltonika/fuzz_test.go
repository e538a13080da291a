package teltonika

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// seeds are frames of every kind.
func seeds(f *testing.F) {
	f.Helper()
	f.Add([]byte{})
	f.Add([]byte{ping})
	f.Add(loginOf(imei))
	p := rich()
	p.items = append(p.items, sent{id: 256, value: []byte("WVWZZZ1JZXW000001"), long: true})
	for _, id := range []byte{codec8, codec8Extended, codec16} {
		f.Add(packetOf(dataOf(id, p, p)))
		f.Add(datagramOf(1, 1, imei, dataOf(id, p, p)))
	}
	for _, id := range []byte{codec12, codec13, codec14, codec15} {
		f.Add(packetOf(textOf(id, typeResponse, []byte("0123456789abcdef"))))
		f.Add(packetOf(textOf(id, typeCommand, []byte("0123456789abcdef"))))
		f.Add(packetOf(textOf(id, typeNack, []byte("01234567"))))
	}
}

// fuzzReceive checks what must hold for any frame.
func fuzzReceive(t *testing.T, d codec.Dialogue, frame []byte) {
	t.Helper()
	before := bytes.Clone(frame)
	end := 0
	for _, f := range d.(codec.Explainer).Explain(frame) {
		if f.Offset < end || f.Len < 0 || f.Offset+f.Len > len(frame) {
			t.Fatalf("field %+v behind %d in %d bytes", f, end, len(frame))
		}
		end = f.Offset + f.Len
	}
	var out codec.Outcome
	err := d.Receive(codec.Frame{Bytes: frame, At: arrival()}, &out)
	if !bytes.Equal(before, frame) {
		t.Fatal("the frame was written to")
	}
	if err != nil {
		if !errors.Is(err, codec.ErrMalformed) && !errors.Is(err, codec.ErrProtocol) && !errors.Is(err, codec.ErrRefused) {
			t.Fatalf("error of no kind: %v", err)
		}
		if out.Ack != nil {
			t.Fatalf("an acknowledgement %x beside the error %v", out.Ack, err)
		}
		return
	}
	for _, m := range out.Messages {
		if !json.Valid(m.Body) {
			t.Fatalf("body is no JSON: %s", m.Body)
		}
	}
}

func FuzzReceiveTCP(f *testing.F) {
	seeds(f)
	lenient := compile(f, `{"strictCrc":false,"units":true}`)
	whole := compile(f, `{"strictCrc":false,"body":"packet","names":"id"}`)
	strict := compile(f, `{"luhn":true}`)
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, c := range []codec.Codec{lenient, whole} {
			d := dialogue(t, c, "tcp").(*stream)
			receive(t, d, loginOf(imei))
			command(t, d, "getver", "")
			fuzzReceive(t, d, frame)
		}
		fuzzReceive(t, dialogue(t, strict, "tcp"), frame)
	})
}

func FuzzReceiveUDP(f *testing.F) {
	seeds(f)
	c := compile(f, "")
	f.Fuzz(func(t *testing.T, frame []byte) {
		fuzzReceive(t, dialogue(t, c, "udp"), frame)
	})
}

func FuzzSplit(f *testing.F) {
	seeds(f)
	c := compile(f, "")
	f.Fuzz(func(t *testing.T, data []byte) {
		d := dialogue(t, c, "tcp").(*stream)
		for len(data) > 0 {
			n, frame, err := d.Split(data, false)
			switch {
			case err != nil:
				if !errors.Is(err, codec.ErrProtocol) || n != 0 || frame != nil {
					t.Fatalf("%d %x %v", n, frame, err)
				}
				return
			case n == 0:
				if frame != nil || len(data) > defaultMaxPacket {
					t.Fatalf("more is asked for behind %d bytes", len(data))
				}
				return
			case n != len(frame) || n > len(data) || n > defaultMaxPacket:
				t.Fatalf("%d bytes of %d taken for a frame of %d", n, len(data), len(frame))
			}
			data = data[n:]
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("Param ID:2001 Value:internet")
	f.Add("New value 2001:internet;2002:user")
	f.Add("OK")
	f.Fuzz(func(t *testing.T, text string) {
		asked, err := parseDesired([]byte(`{"2001":"internet","2002":"user","1":1}`))
		if err != nil {
			t.Fatal(err)
		}
		payload, err := confirmed(asked, text)
		if err == nil && !json.Valid(payload) {
			t.Fatalf("payload %s", payload)
		}
	})
}
