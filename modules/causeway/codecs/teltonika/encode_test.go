package teltonika

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// This file is the tests' own device: it writes frames from the specification
// and shares nothing with the decoder, its check sum included.

// slowCRC is CRC-16/IBM bit by bit.
func slowCRC(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		for bit := range 8 {
			mix := (crc ^ uint16(c>>bit)) & 1
			crc >>= 1
			if mix == 1 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

// packetOf wraps a data field for TCP.
func packetOf(data []byte) []byte {
	b := make([]byte, 4, len(data)+12)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, uint32(slowCRC(data)))
}

// datagramOf wraps a data field for UDP.
func datagramOf(packet uint16, avl byte, imei string, data []byte) []byte {
	b := []byte{byte(packet >> 8), byte(packet), 1, avl, byte(len(imei) >> 8), byte(len(imei))}
	b = append(append(b, imei...), data...)
	return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
}

// loginOf is a device's first frame on TCP.
func loginOf(imei string) []byte {
	return append([]byte{0, byte(len(imei))}, imei...)
}

// sent is one element; its group follows from the length of value, and long is
// for the group of Codec 8 Extended that carries lengths.
type sent struct {
	id    uint16
	value []byte
	long  bool
}

// point is one record as a test writes it.
type point struct {
	millis     uint64
	priority   byte
	lon, lat   int32
	altitude   int16
	angle      uint16
	satellites byte
	speed      uint16
	event      uint16
	generation byte
	items      []sent
}

// dataOf writes the data field of the codec with these records.
func dataOf(id byte, points ...point) []byte {
	b := []byte{id, byte(len(points))}
	for _, p := range points {
		b = appendPoint(b, id, p)
	}
	return append(b, byte(len(points)))
}

func appendPoint(b []byte, id byte, p point) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, p.millis)
	b = append(b, p.priority)
	b = be.AppendUint32(b, uint32(p.lon))
	b = be.AppendUint32(b, uint32(p.lat))
	b = be.AppendUint16(b, uint16(p.altitude))
	b = be.AppendUint16(b, p.angle)
	b = append(b, p.satellites)
	b = be.AppendUint16(b, p.speed)
	ident := func(n uint16) {
		if id != codec8 {
			b = append(b, byte(n>>8))
		}
		b = append(b, byte(n))
	}
	count := func(n int) {
		if id == codec8Extended {
			b = append(b, byte(n>>8))
		}
		b = append(b, byte(n))
	}
	ident(p.event)
	if id == codec16 {
		b = append(b, p.generation)
	}
	count(len(p.items))
	for _, width := range []int{1, 2, 4, 8} {
		group := p.of(width)
		count(len(group))
		for _, e := range group {
			ident(e.id)
			b = append(b, e.value...)
		}
	}
	if id == codec8Extended {
		group := p.of(0)
		count(len(group))
		for _, e := range group {
			ident(e.id)
			b = be.AppendUint16(b, uint16(len(e.value)))
			b = append(b, e.value...)
		}
	}
	return b
}

// of selects the elements of one group; zero is the group with lengths.
func (p point) of(width int) []sent {
	var out []sent
	for _, e := range p.items {
		if e.long == (width == 0) && (e.long || len(e.value) == width) {
			out = append(out, e)
		}
	}
	return out
}

// textOf writes the data field of a Codec 12 to 15 packet with one entry.
func textOf(id, kind byte, content []byte) []byte {
	b := []byte{id, 1, kind}
	b = binary.BigEndian.AppendUint32(b, uint32(len(content)))
	b = append(b, content...)
	return append(b, 1)
}

// unhex reads hexadecimal digits, white space aside.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		tb.Fatalf("test data: %v", err)
	}
	return b
}
