package teltonika

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// rich is a record with elements of every width.
func rich() point {
	return point{
		millis: 1560161086000, priority: 1, lon: 252796000, lat: -546872000, altitude: -12, angle: 359,
		satellites: 11, speed: 88, event: 239, generation: 5,
		items: []sent{
			{id: 239, value: []byte{1}},
			{id: 21, value: []byte{4}},
			{id: 66, value: []byte{0x30, 0x39}},
			{id: 16, value: []byte{0, 1, 0x86, 0xA0}},
			{id: 78, value: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		},
	}
}

func TestAWrongCheckSumIsNotAcknowledged(t *testing.T) {
	good := packetOf(dataOf(codec8, rich()))
	for i := 8; i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		refuse(t, loggedIn(t, ""), bad, codec.ErrMalformed)
	}
}

func TestALenientListenerMarksAWrongCheckSum(t *testing.T) {
	d := loggedIn(t, `{"strictCrc":false}`)
	for _, data := range [][]byte{dataOf(codec8, rich()), textOf(codec12, typeResponse, []byte("hi"))} {
		frame := packetOf(data)
		frame[len(frame)-1] ^= 1
		out := receive(t, d, frame)
		if propertyOf(out.Messages[0], "crc") != "bad" {
			t.Errorf("properties %+v", out.Messages[0].Properties)
		}
	}
	if out := receive(t, d, packetOf(dataOf(codec8, rich()))); propertyOf(out.Messages[0], "crc") != "" {
		t.Errorf("a good check sum is marked: %+v", out.Messages[0].Properties)
	}
}

func TestCountsThatDifferAreMalformed(t *testing.T) {
	for _, id := range []byte{codec8, codec8Extended, codec16, codec12} {
		data := dataOf(id, rich())
		if id == codec12 {
			data = textOf(id, typeResponse, []byte("x"))
		}
		data[len(data)-1]++
		refuse(t, loggedIn(t, ""), packetOf(data), codec.ErrMalformed)
		more := bytes.Clone(data)
		more[1]++
		refuse(t, loggedIn(t, ""), packetOf(more), codec.ErrMalformed)
	}
}

func TestARecordWhoseElementCountsDifferIsMalformed(t *testing.T) {
	data := dataOf(codec8, rich())
	data[2+recordHead+1]++ // the total, behind the event id
	refuse(t, loggedIn(t, ""), packetOf(data), codec.ErrMalformed)
	data[2+recordHead+1] -= 2
	refuse(t, loggedIn(t, ""), packetOf(data), codec.ErrMalformed)
}

func TestAFifthGroupOfCodec8HoldsSixteenBytes(t *testing.T) {
	data := dataOf(codec8, rich())
	data[2+recordHead+1]++
	data = append(data[:len(data)-1], 1, 203)
	data = append(data, bytes.Repeat([]byte{0xAB}, 16)...)
	data = append(data, 1)
	out := receive(t, loggedIn(t, ""), packetOf(data))
	if want := `"avl_203":"` + strings.Repeat("ab", 16) + `"`; !bytes.Contains(out.Messages[0].Body, []byte(want)) {
		t.Errorf("body %s, want %s in it", out.Messages[0].Body, want)
	}
}

func TestATruncatedPacketIsMalformedAtEveryLength(t *testing.T) {
	for _, id := range []byte{codec8, codec8Extended, codec16} {
		p := rich()
		if id == codec8Extended {
			p.items = append(p.items, sent{id: 256, value: []byte("WVWZZZ1JZXW000001"), long: true})
		}
		data := dataOf(id, p, p)
		for n := minData; n < len(data); n++ {
			cut := bytes.Clone(data[:n])
			cut[n-1] = cut[1]
			refuse(t, loggedIn(t, ""), packetOf(cut), codec.ErrMalformed)
			refuse(t, begin(t, "", "udp"), datagramOf(1, 1, imei, cut), codec.ErrMalformed)
		}
		frame := datagramOf(1, 1, imei, data)
		for n := range len(frame) {
			refuse(t, begin(t, "", "udp"), frame[:n], codec.ErrMalformed)
		}
	}
}

func TestATextThatDoesNotFitIsMalformed(t *testing.T) {
	long := textOf(codec12, typeResponse, []byte("hello"))
	binary.BigEndian.PutUint32(long[3:], 6)
	huge := textOf(codec12, typeResponse, []byte("hello"))
	binary.BigEndian.PutUint32(huge[3:], 0xFFFFFFFF)
	short := textOf(codec12, typeResponse, []byte("hello"))
	binary.BigEndian.PutUint32(short[3:], 4)
	for name, data := range map[string][]byte{
		"longer than the packet": long, "four gigabytes": huge, "shorter than the packet": short,
		"without a size":                {codec12, 1, typeResponse, 0, 0, 0, 1},
		"codec 13 without its time":     textOf(codec13, typeResponse, []byte{1, 2, 3}),
		"codec 14 without its IMEI":     textOf(codec14, typeResponse, []byte{1, 2, 3, 4, 5, 6, 7}),
		"codec 15 without its IMEI":     textOf(codec15, 0x0B, []byte{1, 2, 3, 4, 5, 6, 7}),
		"a codec that nobody specified": {0x42, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			refuse(t, loggedIn(t, ""), packetOf(data), codec.ErrMalformed)
		})
	}
}

func TestADatagramWithABadHeadIsMalformed(t *testing.T) {
	good := datagramOf(1, 1, imei, dataOf(codec8, rich()))
	for name, change := range map[string]func([]byte){
		"length":      func(b []byte) { b[1]++ },
		"imei length": func(b []byte) { b[7] = 21 },
		"no imei":     func(b []byte) { b[7] = 0 },
		"huge imei":   func(b []byte) { b[6] = 0xFF },
		"imei":        func(b []byte) { b[8] = 'x' },
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Clone(good)
			change(bad)
			refuse(t, begin(t, "", "udp"), bad, codec.ErrMalformed)
		})
	}
}

func TestAFrameOfNoKindIsMalformed(t *testing.T) {
	for _, frame := range []string{"", "00", "FE", "0000", "0001", "000000000000000000", "00000001000000030800000000000000"} {
		out := &codec.Outcome{}
		err := loggedIn(t, "").Receive(codec.Frame{Bytes: unhex(t, frame)}, out)
		if !errors.Is(err, codec.ErrMalformed) && !errors.Is(err, codec.ErrProtocol) {
			t.Errorf("%s: %v", frame, err)
		}
	}
}

func TestSplitCutsOneFrameAndLeavesTheRest(t *testing.T) {
	packet := packetOf(dataOf(codec8, rich()))
	for name, frame := range map[string][]byte{
		"login": loginOf(imei), "ping": {ping}, "packet": packet, "login of one digit": loginOf("7"),
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(t, "", "tcp").(*stream)
			for n := range len(frame) {
				if advance, cut, err := d.Split(frame[:n], false); advance != 0 || cut != nil || err != nil {
					t.Fatalf("%d of %d bytes: %d %x %v", n, len(frame), advance, cut, err)
				}
			}
			advance, cut, err := d.Split(append(bytes.Clone(frame), packet...), false)
			if err != nil || advance != len(frame) || !bytes.Equal(cut, frame) {
				t.Errorf("%d %x %v, want %x", advance, cut, err, frame)
			}
		})
	}
}

func TestSplitRefusesWithTheFirstByteThatIsCertain(t *testing.T) {
	for _, c := range []struct{ name, bytes string }{
		{"a web request", "47"},
		{"TLS", "16"},
		{"a login of 21 bytes", "0015"},
		{"a login that is no number", "000F41"},
		{"a preamble that is not zero", "000001"},
		{"a data field of 16 MiB", "0000000001"},
		{"a data field over the limit", "000000000000FFF5"},
		{"an empty data field", "0000000000000002"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, b := begin(t, "", "tcp").(*stream), unhex(t, c.bytes)
			if n, frame, err := d.Split(b[:len(b)-1], false); n != 0 || frame != nil || err != nil {
				t.Errorf("one byte less: %d %x %v", n, frame, err)
			}
			if n, frame, err := d.Split(b, false); n != 0 || frame != nil || !errors.Is(err, codec.ErrProtocol) {
				t.Errorf("%d %x %v, want %v", n, frame, err, codec.ErrProtocol)
			}
		})
	}
}

func TestThePacketLimitIsAnOption(t *testing.T) {
	head := unhex(t, "00000000 000004F4") // 1,268 bytes and the envelope are 1,280
	d := begin(t, `{"maxPacket":1280}`, "tcp").(*stream)
	if _, _, err := d.Split(head, false); err != nil {
		t.Error(err)
	}
	head[7]++
	if _, _, err := d.Split(head, false); !errors.Is(err, codec.ErrProtocol) {
		t.Errorf("%v, want %v", err, codec.ErrProtocol)
	}
}
