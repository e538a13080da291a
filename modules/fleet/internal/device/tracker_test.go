package device

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/teltonika"
)

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
					if _, err := conn.Write(commandFrame(command)); err != nil {
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

func commandFrame(command string) []byte {
	frame := teltonika.AppendAnswer(nil, command)
	frame[10] = 5 // a command has the same form, and another type
	body := frame[8 : len(frame)-4]
	binary.BigEndian.PutUint32(frame[len(frame)-4:], uint32(ibm(body)))
	return frame
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
