package mqtthead

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func FuzzPacket(f *testing.F) {
	for _, seed := range []string{
		"\x10\x11\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01d\x00\x00\x00\x00", "\x32\x06\x00\x01a\x00\x01x", "\x40\x02\x00\x01",
		"\x82\x06\x00\x01\x00\x01#\x01", "\xa2\x05\x00\x01\x00\x01#", "\xc0\x00", "\xe0\x00", "\x30\xff\xff\xff\x7f",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			pk, err := readPacket(in)
			if err != nil {
				return
			}
			switch kind := pk.FixedHeader.Type; {
			case kind == packets.Connect && pk.ProtocolVersion != version:
				t.Errorf("version %d", pk.ProtocolVersion)
			case kind == packets.Publish && pk.FixedHeader.Qos > 0 && pk.PacketID == 0:
				t.Error("a publish of quality 1 without an id")
			case kind == packets.Subscribe && len(pk.Filters) == 0:
				t.Error("a subscription to nothing")
			case pk.FixedHeader.Remaining > maxPacket:
				t.Errorf("%d bytes", pk.FixedHeader.Remaining)
			}
		}
	})
}

func FuzzUserName(f *testing.F) {
	f.Add("hub/d/m/?api-version=1")
	f.Add("hub/d/api-version=1&x")
	f.Fuzz(func(t *testing.T, name string) {
		id, err := parseUserName(name)
		if err != nil && !errors.Is(err, errUserName) {
			t.Errorf("error is not errUserName: %v", err)
		}
		if err == nil && id.Device == "" {
			t.Errorf("no device in %q", name)
		}
	})
}

func TestPacketsOfTheHubAreReadByItsReader(t *testing.T) {
	t.Parallel()
	b, err := publication("a/b", []byte("x"), 1, 7)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(b), bytes.NewReader(answer(packets.Puback, 0x1234))))
	pk, err := readPacket(in)
	if err != nil || pk.TopicName != "a/b" || string(pk.Payload) != "x" || pk.PacketID != 7 || pk.FixedHeader.Qos != 1 {
		t.Errorf("%+v, %v", pk, err)
	}
	if pk, err = readPacket(in); err != nil || pk.FixedHeader.Type != packets.Puback || pk.PacketID != 0x1234 {
		t.Errorf("%+v, %v", pk, err)
	}
	if _, err = readPacket(in); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
