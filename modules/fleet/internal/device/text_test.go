package device

import (
	"bufio"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

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
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var served sync.WaitGroup
	served.Go(func() {
		var first net.Addr
		b := make([]byte, 1000)
		for n := 1; ; n++ {
			_, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			switch {
			case n == 1: // answered when it has been sent again
				first = from
			case n == 2: // never answered itself
				_, _ = conn.WriteTo([]byte("ack"), first)
			case from.String() == first.String():
				t.Error("the first socket is still in use")
			default:
				_, _ = conn.WriteTo([]byte("ack"), from)
			}
		}
	})
	o := options(conn.LocalAddr(), "meter-7", 1)
	o.AckTimeout = 20 * time.Millisecond
	if a := live(t, NewMeter(o, "ack")); a.Resent < 2 || !reflect.DeepEqual(a.Acknowledged, oneTo(1)) {
		t.Errorf("the late one was taken: %+v", a)
	}
	conn.Close()
	served.Wait()
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
