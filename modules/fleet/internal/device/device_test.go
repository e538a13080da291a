package device

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
	"github.com/causeway-iot/causeway/modules/fleet/internal/teltonika"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// server answers devices with a function for each connection.
type server struct {
	listener net.Listener
	talks    sync.WaitGroup
}

func serveStream(t *testing.T, talk func(n int, conn net.Conn, r *bufio.Reader)) *server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: listener}
	s.talks.Go(func() {
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			s.talks.Go(func() {
				defer conn.Close()
				talk(n, conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.talks.Wait()
	})
	return s
}

func serveDatagrams(t *testing.T, answer func(n int, b []byte) []byte) net.Addr {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var loop sync.WaitGroup
	loop.Go(func() {
		b := make([]byte, 2048)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := answer(n, b[:size]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		loop.Wait()
	})
	return conn.LocalAddr()
}

// readPacket reads an AVL packet and returns how many records it holds and the
// number of the first, which is the only 4-byte element.
func readPacket(r io.Reader) (n int, first uint32, err error) {
	head := make([]byte, 8)
	if _, err = io.ReadFull(r, head); err != nil {
		return 0, 0, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[4:])+4)
	if _, err = io.ReadFull(r, data); err != nil {
		return 0, 0, err
	}
	return int(data[1]), firstSequence(data), nil
}

// firstSequence finds the first record's sequence number in AVL data of Codec 8.
func firstSequence(data []byte) uint32 {
	const fixed = 2 + 24 + 2 // codec, count; time to speed; event, total
	i := fixed
	for _, size := range []int{1, 2} {
		i += 1 + int(data[i])*(1+size)
	}
	return binary.BigEndian.Uint32(data[i+2:])
}

func login(conn net.Conn, r *bufio.Reader, answer byte) (string, error) {
	imei := make([]byte, 17)
	if _, err := io.ReadFull(r, imei); err != nil {
		return "", err
	}
	_, err := conn.Write([]byte{answer})
	return string(imei[2:]), err
}

func count(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func options(addr net.Addr, id string, messages uint64) Options {
	return Options{
		ID: id, Address: addr.String(), Dial: Dialer(nil), First: 1, Count: messages, AckTimeout: 100 * time.Millisecond,
	}
}

// live runs a device until it has finished.
func live(t *testing.T, d *Device) report.Device {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d.Run(ctx, nil)
	if ctx.Err() != nil {
		t.Fatalf("the device did not finish: %+v", d.Account())
	}
	return d.Account()
}

func want(t *testing.T, a report.Device, sent, resent uint64, acked report.Ranges) {
	t.Helper()
	if a.Sent != sent || a.Resent != resent || !reflect.DeepEqual(a.Acknowledged, acked) {
		t.Errorf("sent %d, resent %d, acknowledged %v; want %d, %d, %v (%s)",
			a.Sent, a.Resent, a.Acknowledged, sent, resent, acked, a.LastError)
	}
}

func oneTo(n uint64) report.Ranges { return report.Ranges{{From: 1, To: n}} }

func TestTrackerSendsUntilEachRecordIsCounted(t *testing.T) {
	var firsts []uint32
	s := serveStream(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		if imei, err := login(conn, r, 1); err != nil || imei != teltonika.IMEI(1) {
			t.Errorf("login %q, %v", imei, err)
		}
		for {
			n, first, err := readPacket(r)
			if err != nil {
				return
			}
			firsts = append(firsts, first)
			_, _ = conn.Write(count(n))
		}
	})
	a := live(t, NewTracker(options(s.listener.Addr(), teltonika.IMEI(1), 25), TrackerOptions{teltonika.Codec8, 10, false}))
	want(t, a, 25, 0, oneTo(25))
	_ = s.listener.Close()
	s.talks.Wait()
	if fmt.Sprint(firsts) != "[1 11 21]" {
		t.Errorf("packets began with %v", firsts)
	}
}

func TestTrackerSendsAgainWhatWasNotAcknowledged(t *testing.T) {
	s := serveStream(t, func(n int, conn net.Conn, r *bufio.Reader) {
		if _, err := login(conn, r, 1); err != nil {
			return
		}
		for {
			records, first, err := readPacket(r)
			switch {
			case err != nil:
				return
			case n == 1 && first > 5: // taken, and the connection is gone
				return
			case n == 2: // taken, and nothing is said: the device gives up
				_, _ = io.Copy(io.Discard, r)
				return
			case n == 3: // the wrong count
				_, _ = conn.Write(count(records + 1))
				_, _ = io.Copy(io.Discard, r)
				return
			}
			_, _ = conn.Write(count(records))
		}
	})
	a := live(t, NewTracker(options(s.listener.Addr(), teltonika.IMEI(2), 10), TrackerOptions{teltonika.Codec8, 5, false}))
	want(t, a, 10, 15, oneTo(10))
	if a.Connects != 4 || a.Errors != 3 {
		t.Errorf("%d connections, %d errors", a.Connects, a.Errors)
	}
}

func TestTrackerAnswersCommands(t *testing.T) {
	imei := teltonika.IMEI(3)
	for name, c := range map[string]struct {
		commands []string
		silent   bool
		want     string
	}{
		"getver":      {[]string{"getver"}, false, "IMEI:" + imei},
		"getinfo":     {[]string{"getinfo"}, false, "RTC:"},
		"setparam":    {[]string{"setparam 2001:internet;1000:60"}, false, "New value 2001:internet;1000:60"},
		"getparam":    {[]string{"setparam 2001:internet", "getparam 2001"}, false, "Param ID:2001 Value:internet"},
		"a bad one":   {[]string{"setparam apn=internet"}, false, "Wrong parameter: apn=internet"},
		"unknown":     {[]string{"selfdestruct now"}, false, "Unknown command: selfdestruct"},
		"not at all":  {[]string{"getver"}, true, ""},
		"blank space": {[]string{" "}, false, "Unknown command: "},
	} {
		t.Run(name, func(t *testing.T) {
			answers := make(chan string, len(c.commands))
			s := serveStream(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				if _, err := login(conn, r, 1); err != nil {
					return
				}
				n, _, err := readPacket(r)
				for _, command := range c.commands {
					frame := teltonika.AppendAnswer(nil, command)
					frame[10] = 5 // a command has the same form, and another type
					body := frame[8 : len(frame)-4]
					binary.BigEndian.PutUint32(frame[len(frame)-4:], uint32(ibm(body)))
					if _, err := conn.Write(frame); err != nil {
						t.Error(err)
					}
					if c.silent {
						continue
					}
					answer, err := readAnswer(r)
					if err != nil {
						t.Error(err)
					}
					answers <- answer
				}
				if err == nil {
					_, _ = conn.Write(count(n))
				}
				_, _ = io.Copy(io.Discard, r)
			})
			o := options(s.listener.Addr(), imei, 1)
			o.AckTimeout = patience
			a := live(t, NewTracker(o, TrackerOptions{teltonika.Codec8, 1, c.silent}))
			if c.silent {
				if a.Commands != 0 || a.Ignored != 1 {
					t.Errorf("%d answered, %d ignored", a.Commands, a.Ignored)
				}
				return
			}
			last := ""
			for range c.commands {
				last = <-answers
			}
			if !strings.Contains(last, c.want) || a.Commands != uint64(len(c.commands)) {
				t.Errorf("answer %q to %d commands, want %q", last, a.Commands, c.want)
			}
		})
	}
}

func readAnswer(r io.Reader) (string, error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[4:])+4)
	if _, err := io.ReadFull(r, data); err != nil {
		return "", err
	}
	if data[0] != 0x0C || data[2] != 0x06 {
		return "", fmt.Errorf("answer begins with % x", data[:3])
	}
	return string(data[7 : len(data)-5]), nil
}

// ibm is CRC-16/IBM by division, to be independent of the code under test.
func ibm(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		for bit := range 8 {
			carry := crc&1 != uint16(c>>bit&1)
			if crc >>= 1; carry {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

func TestRefusedTrackerTriesAgain(t *testing.T) {
	s := serveStream(t, func(n int, conn net.Conn, r *bufio.Reader) {
		answer := byte(0)
		if n > 2 {
			answer = 1
		}
		if _, err := login(conn, r, answer); err != nil || answer == 0 {
			return
		}
		if n, _, err := readPacket(r); err == nil {
			_, _ = conn.Write(count(n))
		}
		_, _ = io.Copy(io.Discard, r)
	})
	a := live(t, NewTracker(options(s.listener.Addr(), teltonika.IMEI(4), 1), TrackerOptions{teltonika.Codec8, 1, false}))
	want(t, a, 1, 0, oneTo(1))
	if a.Connects != 1 || a.Errors != 2 || !strings.Contains(a.LastError, "refused") {
		t.Errorf("%d connections, %d errors, %q", a.Connects, a.Errors, a.LastError)
	}
}

func TestUDPTrackerRepeatsAPacketUntilItsOwnAcknowledgement(t *testing.T) {
	ack := func(b []byte, n byte) []byte { return []byte{0, 5, b[2], b[3], 1, b[5], n} }
	for name, answer := range map[string]func(n int, b []byte) []byte{
		"at once":              func(_ int, b []byte) []byte { return ack(b, 1) },
		"the first is lost":    func(n int, b []byte) []byte { return map[bool][]byte{false: ack(b, 1)}[n == 1] },
		"another's number":     func(n int, b []byte) []byte { b[3] += byte(n % 2); return ack(b, 1) },
		"another packet's":     func(n int, b []byte) []byte { b[5] += byte(n % 2); return ack(b, 1) },
		"rubbish":              func(n int, b []byte) []byte { return map[bool][]byte{true: {1}, false: ack(b, 1)}[n == 1] },
		"an empty one as well": func(n int, b []byte) []byte { return map[bool][]byte{true: {}, false: ack(b, 1)}[n == 1] },
	} {
		t.Run(name, func(t *testing.T) {
			addr := serveDatagrams(t, answer)
			o := options(addr, teltonika.IMEI(5), 3)
			o.AckTimeout = 10 * time.Millisecond
			a := live(t, NewUDPTracker(o, TrackerOptions{teltonika.Codec8Extended, 1, false}))
			if a.Sent != 3 || !reflect.DeepEqual(a.Acknowledged, oneTo(3)) {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestMeterWithoutAcknowledgementSendsOnce(t *testing.T) {
	got := make(chan string, 3)
	addr := serveDatagrams(t, func(_ int, b []byte) []byte { got <- string(b); return []byte("whatever") })
	a := live(t, NewMeter(options(addr, "meter-7", 3), ""))
	if a.Sent != 3 || !a.Unconfirmed || a.Acknowledged != nil {
		t.Errorf("%+v", a)
	}
	if first := <-got; !strings.HasPrefix(first, `{"serial":"meter-7","seq":1,"ts":"2`) || !strings.HasSuffix(first, `Z","kWh":1000.125}`) {
		t.Errorf("document %s", first)
	}
}

func TestMeterWithAcknowledgement(t *testing.T) {
	number := func(b []byte) string {
		_, rest, _ := strings.Cut(string(b), `"seq":`)
		n, _, _ := strings.Cut(rest, ",")
		return n
	}
	for name, answer := range map[string]func(n int, b []byte) []byte{
		"plain":                  func(int, []byte) []byte { return []byte("ack\r\n") },
		"with the number":        func(_ int, b []byte) []byte { return []byte("ack " + number(b)) },
		"with a number in JSON":  func(_ int, b []byte) []byte { return []byte(`ack{"seq":` + number(b) + "}") },
		"plain, every other one": func(n int, _ []byte) []byte { return map[bool][]byte{false: []byte("ack")}[n%2 == 1] },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(serveDatagrams(t, answer), "meter-7", 5)
			o.AckTimeout = 10 * time.Millisecond
			a := live(t, NewMeter(o, "ack"))
			if a.Sent != 5 || !reflect.DeepEqual(a.Acknowledged, oneTo(5)) {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestLateAcknowledgementWithoutANumberIsNotTakenForTheNext(t *testing.T) {
	// The first document is answered twice, late; the second never was.
	d := newDevice("meter", "udp", Options{First: 1}, 1, 1)
	d.inflight = []packet{{from: 1, n: 1, tries: 2}}
	ack := event{kind: heardAck}
	if err := d.settle(ack); err != nil || d.settled != 2 {
		t.Fatalf("settled %d, %v", d.settled, err)
	}
	d.inflight = append(d.inflight, packet{from: 2, n: 1, tries: 1})
	if err := d.settle(ack); err != nil || d.settled != 2 {
		t.Errorf("the late one was taken, settled %d, %v", d.settled, err)
	}
	if err := d.settle(ack); err != nil || d.settled != 3 {
		t.Errorf("its own was not taken, settled %d, %v", d.settled, err)
	}
}

func TestLinesAreConfirmedInOrder(t *testing.T) {
	for name, answer := range map[string]string{"with line ends": "OK\r\n", "without": "OK", "among others": "hello\nOK\n"} {
		t.Run(name, func(t *testing.T) {
			lines := make(chan string, 40)
			s := serveStream(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				for {
					text, err := r.ReadString('\n')
					if err != nil {
						return
					}
					lines <- text
					_, _ = conn.Write([]byte(answer))
				}
			})
			want(t, live(t, NewLine(options(s.listener.Addr(), "line-3", 40), "OK", 16)), 40, 0, oneTo(40))
			if first := <-lines; !strings.HasPrefix(first, "line-3,1,2") || !strings.HasSuffix(first, "Z,18.1\n") {
				t.Errorf("line %q", first)
			}
		})
	}
}

func TestRefusedLineIsNotSentAgain(t *testing.T) {
	s := serveStream(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				return
			}
			answer := "OK\n"
			if strings.HasPrefix(text, "line-3,2,") {
				answer = "ERR bad value\n"
			}
			_, _ = conn.Write([]byte(answer))
		}
	})
	a := live(t, NewLine(options(s.listener.Addr(), "line-3", 3), "OK", 1))
	want(t, a, 3, 0, report.Ranges{{From: 1, To: 1}, {From: 3, To: 3}})
	if a.Refused != 1 {
		t.Errorf("%d refused", a.Refused)
	}
}

func TestStopEndsWhenEverythingSentIsConfirmed(t *testing.T) {
	release, seen := make(chan struct{}), make(chan struct{}, 1)
	s := serveStream(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			select {
			case seen <- struct{}{}:
			default:
			}
			<-release
			_, _ = conn.Write([]byte("OK\n"))
		}
	})
	o := options(s.listener.Addr(), "line-1", 0)
	o.Interval, o.AckTimeout = time.Millisecond, patience
	d := NewLine(o, "OK", 4)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(t.Context(), stop)
	}()
	<-seen
	close(stop)
	select {
	case <-ended:
		t.Fatal("the device ended with messages unconfirmed")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the device did not end")
	}
	if a := d.Account(); a.Sent == 0 || a.Acknowledged.Count() != a.Sent {
		t.Errorf("%+v", a)
	}
}

func TestAbsentServerIsAnErrorAndEndsWithTheContext(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan struct{}, 1)
	o := options(listener.Addr(), "line-1", 1)
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := Dialer([]netip.Addr{netip.MustParseAddr("127.0.0.1")})(ctx, network, address)
		select {
		case refused <- struct{}{}:
		default:
			cancel()
		}
		return conn, err
	}
	d := NewLine(o, "OK", 1)
	d.Run(ctx, nil)
	if a := d.Account(); a.Errors == 0 || a.Sent != 0 || !strings.Contains(a.LastError, "connect") {
		t.Errorf("%+v", a)
	}
}

func TestDialerBindsItsSources(t *testing.T) {
	s := serveStream(t, func(_ int, _ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	dial := Dialer(sources)
	seen := map[string]bool{}
	for range 2 {
		conn, err := dial(t.Context(), "tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		seen[host] = true
		_ = conn.Close()
	}
	if len(seen) != 2 {
		t.Errorf("sources %v", seen)
	}
	if _, err := dial(t.Context(), "unix", "x"); err == nil {
		t.Error("unix: no error")
	}
}

func TestScheduleMakesMessagesInTime(t *testing.T) {
	start := time.Unix(1000, 0)
	s := schedule{start: start, first: 5, end: 8, interval: time.Second}
	for after, want := range map[time.Duration]uint64{-1: 5, 0: 6, 999 * time.Millisecond: 6, time.Second: 7, time.Hour: 8} {
		if got := s.due(start.Add(after)); got != want {
			t.Errorf("after %v message %d is next, want %d", after, got, want)
		}
	}
	if at := s.at(7); !at.Equal(start.Add(2 * time.Second)) {
		t.Errorf("message 7 is made at %v", at)
	}
}
