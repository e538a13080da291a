package device

import (
	"bufio"
	"bytes"
	"net"
	"strconv"
	"time"
	"unicode"
)

// timeFormat is RFC 3339 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// NewMeter returns a meter that sends one JSON document in a datagram:
//
//	{"serial":"meter-7","seq":12,"ts":"2026-11-22T04:00:00.000Z","kWh":1012.5}
//
// With an ack, a document is sent again until a datagram comes that begins with
// that text, in which a number names the message that it confirms. Without, it
// is sent once.
func NewMeter(o Options, ack string) *Device {
	d := newDevice("meter", "udp", o, 1, min(len(ack), 1))
	d.dialect = &meter{id: o.ID, ack: []byte(ack), clock: d.clock}
	return d
}

// NewLine returns a device that writes lines of id, number, time and value:
//
//	line-3,12,2026-11-22T04:00:00.000Z,21.5
//
// With an ack, at most window lines are unconfirmed, and each such text in the
// stream confirms the oldest; a line that begins with ERR or NAK refuses it.
func NewLine(o Options, ack string, window int) *Device {
	if ack == "" {
		window = 0
	}
	d := newDevice("line", "tcp", o, 1, window)
	d.dialect = &line{id: o.ID, ack: []byte(ack), clock: d.clock}
	return d
}

type meter struct {
	id    string
	ack   []byte
	clock *schedule
}

func (m *meter) hello(net.Conn, *bufio.Reader) error { return nil }

func (m *meter) encode(dst []byte, p packet) []byte {
	dst = append(dst, `{"serial":`...)
	dst = strconv.AppendQuote(dst, m.id)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, p.from, 10)
	dst = append(dst, `,"ts":"`...)
	dst = appendTime(dst, m.clock.date(p.from))
	dst = append(dst, `","kWh":`...)
	dst = strconv.AppendFloat(dst, 1000+float64(p.from)/8, 'f', -1, 64)
	return append(dst, '}')
}

func (m *meter) names(id uint64, p packet) bool { return id == p.from }

func (m *meter) next(r *bufio.Reader) (event, error) {
	b, err := datagram(r)
	if err != nil {
		return event{}, err
	}
	b = bytes.TrimSpace(b)
	if len(m.ack) == 0 || !bytes.HasPrefix(b, m.ack) {
		return event{kind: heardOther}, nil
	}
	e := event{kind: heardAck}
	rest := bytes.TrimFunc(b[len(m.ack):], func(c rune) bool { return !unicode.IsDigit(c) })
	if id, err := strconv.ParseUint(string(rest), 10, 64); err == nil {
		e.id, e.hasID = id, true
	}
	return e, nil
}

type line struct {
	id    string
	ack   []byte
	clock *schedule
}

func (l *line) hello(net.Conn, *bufio.Reader) error { return nil }

func (l *line) encode(dst []byte, p packet) []byte {
	dst = append(dst, l.id...)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, p.from, 10)
	dst = append(dst, ',')
	dst = appendTime(dst, l.clock.date(p.from))
	dst = append(dst, ',')
	dst = strconv.AppendFloat(dst, 18+float64(p.from%80)/10, 'f', 1, 64)
	return append(dst, '\n')
}

func (l *line) names(uint64, packet) bool { return false }

// next does not wait for the end of a line after the acknowledgement, since not
// every server writes one.
func (l *line) next(r *bufio.Reader) (event, error) {
	for {
		b, err := r.Peek(1)
		if err != nil {
			return event{}, err
		}
		if b[0] != '\r' && b[0] != '\n' && b[0] != ' ' {
			break
		}
		if _, err := r.Discard(1); err != nil {
			return event{}, err
		}
	}
	for n := 1; n <= len(l.ack); n++ {
		b, err := r.Peek(n)
		if err != nil {
			return event{}, err
		}
		if b[n-1] != l.ack[n-1] {
			return l.other(r)
		}
	}
	if len(l.ack) == 0 {
		return l.other(r)
	}
	_, err := r.Discard(len(l.ack))
	return event{kind: heardAck}, err
}

// other reads a line that is no acknowledgement.
func (l *line) other(r *bufio.Reader) (event, error) {
	b, err := r.ReadSlice('\n') // at most the reader's buffer
	if err != nil {
		return event{}, err
	}
	if bytes.HasPrefix(b, []byte("ERR")) || bytes.HasPrefix(b, []byte("NAK")) {
		return event{kind: heardNak}, nil
	}
	return event{kind: heardOther}, nil
}

func appendTime(dst []byte, t time.Time) []byte { return t.AppendFormat(dst, timeFormat) }
