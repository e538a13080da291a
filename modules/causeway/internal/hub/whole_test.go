package hub_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/netip"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	jsoncodec "github.com/causeway-iot/causeway/modules/causeway/codecs/json"
	"github.com/causeway-iot/causeway/modules/causeway/codecs/teltonika"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/route"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
)

// device is a link whose bytes are in memory: after the opening, the same packet as
// often as asked, in reads of at most 16 KiB.
type device struct {
	opening, packet []byte
	left            int
	rest            []byte
	done            chan struct{}
}

func (d *device) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && n < 16<<10 {
		if len(d.rest) == 0 {
			switch {
			case d.opening != nil:
				d.rest, d.opening = d.opening, nil
			case d.left > 0:
				d.rest, d.left = d.packet, d.left-1
			case n == 0:
				return 0, io.EOF
			default:
				return n, nil
			}
		}
		c := copy(p[n:min(len(p), 16<<10)], d.rest)
		n, d.rest = n+c, d.rest[c:]
	}
	return n, nil
}

func (d *device) SetReadDeadline(time.Time) error { return nil }
func (d *device) Send([]byte) error               { return nil }
func (d *device) Close(string)                    {}
func (d *device) Done() <-chan struct{}           { return d.done }
func (d *device) Peer() codec.Peer {
	return codec.Peer{Listener: "l", Transport: "tcp", Remote: netip.MustParseAddrPort("192.0.2.1:5027")}
}

// mute observes nothing.
type mute struct{}

func (mute) Received(int, int)                {}
func (mute) Sent(int)                         {}
func (mute) Acknowledged(time.Duration, bool) {}
func (mute) Fault(f session.Fault)            { panic(f.Err) }

// draining is an uplink that passes what it has when it is full: the hub's part,
// without a second goroutine that would blur the count of allocations.
type draining struct{ *hub.Uplink }

func (u draining) Send(ctx context.Context, outcome []message.Message, r message.Receipt) error {
	if u.Stats().Bytes > 1<<20 {
		for u.Pass() {
		}
	}
	return u.Uplink.Send(ctx, outcome, r)
}

// line is the 120-byte document of the comparisons in docs.
const line = `{"id":"meter-07","seq":1234567,"temperature":21.53,"humidity":44.1,"pressure":1013.25,"state":"ok","pad":"xxxxxxxxx"}` + "\n"

// shapes are the known messages that go all the way: frame, codec, session, route,
// batch, settlement, acknowledgement.
func shapes(tb testing.TB) map[string]struct {
	profile         *session.Profile
	opening, packet []byte
	messages        int
} {
	tb.Helper()
	uplink := draining{hub.NewUplink(hub.UplinkOptions{})}
	profile := func(name, options string, factory codec.Factory, lines bool) *session.Profile {
		c, err := factory([]byte(options))
		if err != nil {
			tb.Fatal(err)
		}
		routes, faults := route.Compile([]route.Rule{{Name: "all", Output: "telemetry"}})
		if faults != nil {
			tb.Fatal(faults)
		}
		p := &session.Profile{
			Listener: "l", CodecName: name, Output: "telemetry", Codec: c, Admission: session.AdmitFunc(func(string) bool { return true }),
			FrameBytes: 65536, LoginBytes: 65536, LoginTime: time.Hour, Idle: time.Hour,
			Uplink: uplink, Router: routes, Table: session.NewTable(), Observer: mute{},
		}
		if lines {
			if p.Framing, err = frame.Parse([]byte(`{"type":"line"}`), p.FrameBytes); err != nil {
				tb.Fatal(err)
			}
		}
		return p
	}
	type shape = struct {
		profile         *session.Profile
		opening, packet []byte
		messages        int
	}
	return map[string]shape{
		"json line": {profile("json", `{"id":"/id","ack":"OK"}`, jsoncodec.New, true), nil, []byte(line), 1},
		"teltonika packet of 16 records": {
			profile("teltonika", `{}`, teltonika.New, false), []byte("\x00\x0f356307042441013"), packet(16), 16,
		},
	}
}

// packet is a Codec 8 packet of n records with one element each.
func packet(n byte) []byte {
	body := []byte{8, n}
	for range n {
		body = append(body, 0, 0, 1, 0x9a, 0, 0, 0, 0, 1) // time, priority
		body = append(body, 0x0f, 0x11, 0x5d, 0x08, 0x20, 0x98, 0x9e, 0x40)
		body = append(body, 0, 100, 0, 90, 9, 0, 50)                  // altitude, angle, satellites, speed
		body = append(body, 0, 2, 1, 21, 3, 0, 1, 199, 0, 0, 0, 7, 0) // event, elements by width
	}
	body = append(body, n)
	crc := uint16(0)
	for _, v := range body {
		crc ^= uint16(v)
		for range 8 { // CRC-16/IBM
			crc = crc>>1 ^ 0xA001*(crc&1)
		}
	}
	out := append([]byte{0, 0, 0, 0, 0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append(out, 0, 0, byte(crc>>8), byte(crc))
}

// travel sends so many packets all the way.
func travel(tb testing.TB, p *session.Profile, opening, packet []byte, packets int) {
	tb.Helper()
	d := &device{opening: opening, packet: packet, left: packets, done: make(chan struct{})}
	s, err := session.Begin(p, d)
	if err != nil {
		tb.Fatal(err)
	}
	finished := make(chan struct{})
	go func() {
		s.Serve(context.Background(), context.Background(), d)
		close(finished)
	}()
	u := p.Uplink.(draining)
	for {
		select {
		case <-finished:
			return
		default:
			if !u.Pass() {
				runtime.Gosched()
			}
		}
	}
}

func TestAMessageOfAKnownShapeAllocatesNothingAllTheWay(t *testing.T) {
	if hub.RaceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	// The collector empties pools, and how many acknowledgements are outstanding at
	// once depends on the scheduler: without the first, the best of some runs counts.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const packets, runs = 20_000, 4
	for name, s := range shapes(t) {
		least := math.Inf(1)
		for range runs {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			travel(t, s.profile, s.opening, s.packet, packets)
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.Mallocs-before.Mallocs)/float64(packets*s.messages))
		}
		if least > 0.05 { // a link itself costs some
			t.Errorf("%s: %.3f allocations a message, want none", name, least)
		}
	}
}

func BenchmarkWholeUplink(b *testing.B) {
	for name, s := range shapes(b) {
		b.Run(fmt.Sprintf("%s/messages=%d", name, s.messages), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(s.packet)))
			travel(b, s.profile, s.opening, s.packet, b.N)
			b.ReportMetric(float64(b.N*s.messages)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
