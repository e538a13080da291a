package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tracker is a Teltonika device over TCP, written from the public protocol
// description: login by IMEI, AVL packets in Codec 8, commands in Codec 12.
type tracker struct {
	id   string
	t    *testing.T
	conn net.Conn
	seq  uint32
}

// sequenceID is the AVL id that carries the sequence number: 199 (trip odometer),
// four bytes.
const sequenceID = 199

// dialTracker connects and logs in; accepted is the gateway's answer.
func dialTracker(t *testing.T, addr, imei string) (d *tracker, accepted bool) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatalf("dial tracker %s: %v", imei, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d = &tracker{id: imei, t: t, conn: conn}
	login := binary.BigEndian.AppendUint16(nil, uint16(len(imei)))
	d.write(append(login, imei...))
	answer := d.read(1, 10*time.Second)
	return d, answer[0] == 1
}

// login is dialTracker for a device that must be let in.
func login(t *testing.T, addr, imei string) *tracker {
	t.Helper()
	d, accepted := dialTracker(t, addr, imei)
	if !accepted {
		t.Fatalf("tracker %s was refused", imei)
	}
	return d
}

func (d *tracker) write(b []byte) {
	d.t.Helper()
	_ = d.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := d.conn.Write(b); err != nil {
		d.t.Fatalf("tracker writes: %v", err)
	}
}

func (d *tracker) read(n int, limit time.Duration) []byte {
	d.t.Helper()
	b, err := d.tryRead(n, limit)
	if err != nil {
		d.t.Fatalf("tracker waits for %d bytes: %v", n, err)
	}
	return b
}

func (d *tracker) tryRead(n int, limit time.Duration) ([]byte, error) {
	b := make([]byte, n)
	_ = d.conn.SetReadDeadline(time.Now().Add(limit))
	_, err := io.ReadFull(d.conn, b)
	return b, err
}

// silent asserts that nothing comes for a while.
func (d *tracker) silent(during time.Duration) {
	d.t.Helper()
	if b, err := d.tryRead(1, during); !errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Fatalf("tracker expected silence for %v, got % x, %v", during, b, err)
	}
}

// send sends a packet of n records with the next sequence numbers.
func (d *tracker) send(n int) {
	d.t.Helper()
	body := []byte{8, byte(n)}
	for range n {
		d.seq++
		body = append(body, record(d.seq)...)
	}
	d.write(packet(append(body, byte(n))))
}

// acknowledged waits for the acknowledgement and returns the number in it.
func (d *tracker) acknowledged(limit time.Duration) int {
	d.t.Helper()
	return int(binary.BigEndian.Uint32(d.read(4, limit)))
}

// record is one Codec 8 record: time, position, one I/O element.
func record(seq uint32) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()))
	b = append(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(252797000))
	b = binary.BigEndian.AppendUint32(b, uint32(546872000))
	b = append(b, 0, 100, 0, 90, 9, 0, 50) // altitude, angle, satellites, speed
	b = append(b, 0, 1, 0, 0)              // event, elements, of one byte, of two
	b = append(b, 1, sequenceID)           // of four bytes
	b = binary.BigEndian.AppendUint32(b, seq)
	return append(b, 0) // of eight
}

// packet wraps a codec's data: preamble, length, data, CRC-16/IBM.
func packet(data []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(len(data)))
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, uint32(crc16(data)))
}

func crc16(data []byte) (crc uint16) {
	for _, v := range data {
		crc ^= uint16(v)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// command waits for a Codec 12 command and returns its text.
func (d *tracker) command(limit time.Duration) (string, error) {
	head, err := d.tryRead(8, limit)
	if err != nil {
		return "", err
	}
	data, err := d.tryRead(int(binary.BigEndian.Uint32(head[4:]))+4, limit)
	if err != nil {
		return "", err
	}
	body, crc := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	if uint32(crc16(body)) != crc || body[0] != 12 || body[1] != 1 || body[2] != 5 {
		return "", fmt.Errorf("not a Codec 12 command: % x", data)
	}
	size := binary.BigEndian.Uint32(body[3:])
	return string(body[7 : 7+size]), nil
}

// answer sends a Codec 12 answer.
func (d *tracker) answer(text string) {
	d.t.Helper()
	body := []byte{12, 1, 6}
	body = binary.BigEndian.AppendUint32(body, uint32(len(text)))
	body = append(body, text...)
	d.write(packet(append(body, 1)))
}
