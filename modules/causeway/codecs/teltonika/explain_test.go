package teltonika

import (
	"fmt"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// told renders an explanation line by line.
func told(fields []codec.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%d+%d %s = %s\n", f.Offset, f.Len, f.Name, f.Value)
	}
	return b.String()
}

func TestAPacketIsExplained(t *testing.T) {
	got := told(loggedIn(t, "").Explain(packetOf(dataOf(codec16, rich()))))
	const want = `0+4 preamble = 00000000
4+4 data length = 61
8+1 codec = 16
9+1 count = 1
10+8 record 1 timestamp = 2019-06-10T10:04:46.000Z
18+1 record 1 priority = high
19+4 record 1 longitude = 25.2796°
23+4 record 1 latitude = -54.6872°
27+2 record 1 altitude = -12 m
29+2 record 1 angle = 359°
31+1 record 1 satellites = 11
32+2 record 1 speed = 88 km/h
34+2 record 1 event = 239
36+1 record 1 generation = onChange
41+1 record 1 avl 239 ignition = 1
44+1 record 1 avl 21 gsmSignal = 4
48+2 record 1 avl 66 externalVoltage = 12.345 V
53+4 record 1 avl 16 totalOdometer = 100000 m
60+8 record 1 avl 78 iButton = "0102030405060708"
68+1 count = 1
69+4 crc = `
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "(good)\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOtherFramesAreExplained(t *testing.T) {
	d := loggedIn(t, "")
	for _, c := range []struct {
		fields []codec.Field
		want   string
	}{
		{d.Explain([]byte{ping}), "0+1 ping = ff\n"},
		{d.Explain(loginOf(imei)), "0+2 length = 15\n2+15 imei = " + imei + "\n"},
		{d.Explain(packetOf(textOf(codec12, typeCommand, []byte("getver"))[:14])), "codec = 12"},
		{d.Explain(packetOf(textOf(codec15, 0x0B, unhex(t, "654b65a401234567891234564869")))), "text 1 content = Hi"},
		{d.Explain(packetOf([]byte{0x42, 0, 0})), "codec = 66"},
		{d.Explain(append(packetOf([]byte{8, 0, 0})[:14], 1)), "computed"},
		{
			begin(t, "", "udp").(codec.Explainer).Explain(datagramOf(0xCAFE, 5, imei, dataOf(codec8))),
			"2+2 packet id = cafe\n4+1 not used = 01\n5+1 avl packet id = 5\n6+2 imei length = 15\n8+15 imei = " + imei,
		},
	} {
		if got := told(c.fields); !strings.Contains(got, c.want) {
			t.Errorf("got\n%s\nwant %s in it", got, c.want)
		}
	}
}
