package teltonika

import (
	"strconv"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// usual is what a FMB tracker sends by default, once a record: nineteen elements.
func usual() point {
	return point{
		millis: 1726000000123, lon: 252796123, lat: 546872456, altitude: 105, angle: 214, satellites: 14, speed: 63,
		event: 0,
		items: []sent{
			{id: 239, value: []byte{1}}, {id: 240, value: []byte{1}}, {id: 80, value: []byte{1}},
			{id: 21, value: []byte{5}}, {id: 200, value: []byte{0}}, {id: 69, value: []byte{1}},
			{id: 1, value: []byte{1}}, {id: 179, value: []byte{0}},
			{id: 181, value: []byte{0, 12}}, {id: 182, value: []byte{0, 7}}, {id: 66, value: []byte{0x37, 0x9B}},
			{id: 24, value: []byte{0, 63}}, {id: 205, value: []byte{0x12, 0x34}}, {id: 206, value: []byte{0, 77}},
			{id: 67, value: []byte{0x0F, 0xD1}}, {id: 68, value: []byte{0, 0}},
			{id: 241, value: []byte{0, 0, 0x60, 0x18}}, {id: 199, value: []byte{0, 0, 0x12, 0x34}},
			{id: 16, value: []byte{0, 0x9A, 0x12, 0x34}},
		},
	}
}

func points(n int) []point {
	list := make([]point, n)
	for i := range list {
		list[i] = usual()
		list[i].millis += uint64(i) * 1000
	}
	return list
}

// load is a dialogue and a frame for it.
type load struct {
	name    string
	d       codec.Dialogue
	frame   []byte
	records int
}

// loads are what the guard and the benchmarks receive.
func loads(tb testing.TB) []load {
	tb.Helper()
	const n = 16
	var list []load
	for _, c := range []struct {
		name string
		id   byte
	}{{"codec8", codec8}, {"codec8E", codec8Extended}, {"codec16", codec16}} {
		data := dataOf(c.id, points(n)...)
		d, frame := begin(tb, "", "udp"), datagramOf(1, 1, imei, data)
		receive(tb, d, frame)
		list = append(list,
			load{c.name + "/tcp", loggedIn(tb, ""), packetOf(data), n},
			load{c.name + "/udp", d, frame, n})
	}
	data := dataOf(codec8, points(n)...)
	return append(list,
		load{"one record", loggedIn(tb, ""), packetOf(dataOf(codec8, usual())), 1},
		load{"body packet", loggedIn(tb, `{"body":"packet"}`), packetOf(data), n},
		load{"units", loggedIn(tb, `{"units":true}`), packetOf(data), n},
		load{"ids", loggedIn(tb, `{"names":"id"}`), packetOf(data), n})
}

func TestAKnownPacketCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	for _, c := range loads(t) {
		var out codec.Outcome
		n := testing.AllocsPerRun(100, func() {
			out.Reset()
			if err := c.d.Receive(codec.Frame{Bytes: c.frame, At: arrival()}, &out); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	for _, c := range loads(b) {
		b.Run(c.name, func(b *testing.B) {
			var out codec.Outcome
			b.ReportAllocs()
			b.SetBytes(int64(len(c.frame)))
			for b.Loop() {
				out.Reset()
				if err := c.d.Receive(codec.Frame{Bytes: c.frame, At: arrival()}, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.records), "ns/record")
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	d := begin(b, "", "tcp").(*stream)
	frame := packetOf(dataOf(codec8, points(16)...))
	b.ReportAllocs()
	for b.Loop() {
		if n, _, err := d.Split(frame, false); n != len(frame) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkCheckSum(b *testing.B) {
	table := newCRCTable()
	for _, n := range []int{64, 1280} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			data := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				table.sum(data)
			}
		})
	}
}
