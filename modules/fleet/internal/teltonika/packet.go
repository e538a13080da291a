package teltonika

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The codec numbers of AVL packets.
const (
	Codec8         byte = 0x08
	Codec8Extended byte = 0x8E
)

// MaxRecords is how many records one packet holds: the count is one byte.
const MaxRecords = 255

// IDSequence is the AVL element that carries the sequence number: "Total
// Odometer", 4 bytes, in metres. A device that has moved a metre with every
// record counts them, without an element of its own invention.
const IDSequence = 16

// Record is one AVL record. Its input/output elements are made from Sequence: the
// sequence number itself as element [IDSequence], and a few others of 1, 2 and 8
// bytes, so that every group of the packet is used.
type Record struct {
	Time     time.Time
	Priority byte // 0 low, 1 high, 2 panic
	// Longitude and Latitude are in 1e-7 degrees.
	Longitude, Latitude int32
	// Altitude is in metres, Angle in degrees from north, Speed in km/h.
	Altitude   int16
	Angle      uint16
	Satellites byte
	Speed      uint16
	Sequence   uint32
}

// element is one input/output element.
type element struct {
	id    uint16
	size  int
	value uint64
}

// elements are in ascending order of size, as the packet's groups are.
func (r *Record) elements() [7]element {
	return [7]element{
		{id: 239, size: 1, value: 1},                                              // ignition
		{id: 240, size: 1, value: uint64(min(r.Speed, 1))},                        // movement
		{id: 21, size: 1, value: uint64(1 + r.Sequence%5)},                        // GSM signal
		{id: 66, size: 2, value: uint64(12000 + r.Sequence%900)},                  // external voltage, mV
		{id: 67, size: 2, value: uint64(3900 + r.Sequence%200)},                   // battery voltage, mV
		{id: IDSequence, size: 4, value: uint64(r.Sequence)},                      // total odometer, m
		{id: 78, size: 8, value: 0x0100_0000_1C6B_0001 + uint64(r.Sequence)%2<<8}, // iButton
	}
}

// AppendLogin appends what a TCP link begins with.
func AppendLogin(dst []byte, imei string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(imei)))
	return append(dst, imei...)
}

// AppendPacket appends an AVL packet for TCP. There are 1 to MaxRecords records.
func AppendPacket(dst []byte, codec byte, records []Record) []byte {
	dst, body := beginFrame(dst)
	dst = appendData(dst, codec, records)
	return endFrame(dst, body)
}

// AppendDatagram appends an AVL packet for UDP; id and avlID come back in the
// acknowledgement.
func AppendDatagram(dst []byte, id uint16, avlID byte, imei string, codec byte, records []Record) []byte {
	start := len(dst)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, id)
	dst = append(dst, 0x01, avlID) // a byte that is "not usable"
	dst = AppendLogin(dst, imei)
	dst = appendData(dst, codec, records)
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-start-2))
	return dst
}

// ParseDatagramAck reads the acknowledgement of a datagram.
func ParseDatagramAck(b []byte) (id uint16, avlID byte, records int, err error) {
	if len(b) != 7 || binary.BigEndian.Uint16(b) != 5 {
		return 0, 0, 0, fmt.Errorf("acknowledgement %x: want 7 bytes that begin with 0005", b)
	}
	return binary.BigEndian.Uint16(b[2:]), b[5], int(b[6]), nil
}

// beginFrame appends preamble and room for the length.
func beginFrame(dst []byte) (frame []byte, body int) {
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	return dst, len(dst)
}

// endFrame fills in the length and appends the checksum.
func endFrame(dst []byte, body int) []byte {
	binary.BigEndian.PutUint32(dst[body-4:], uint32(len(dst)-body))
	return binary.BigEndian.AppendUint32(dst, uint32(checksum(dst[body:])))
}

func appendData(dst []byte, codec byte, records []Record) []byte {
	dst = append(dst, codec, byte(len(records)))
	for i := range records {
		dst = appendRecord(dst, codec, &records[i])
	}
	return append(dst, byte(len(records)))
}

func appendRecord(dst []byte, codec byte, r *Record) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Time.UnixMilli()))
	dst = append(dst, r.Priority)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Longitude))
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Latitude))
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.Altitude))
	dst = binary.BigEndian.AppendUint16(dst, r.Angle)
	dst = append(dst, r.Satellites)
	dst = binary.BigEndian.AppendUint16(dst, r.Speed)
	elements := r.elements()
	dst = appendNumber(dst, codec, 0) // the event: none, a periodic record
	dst = appendNumber(dst, codec, len(elements))
	rest := elements[:]
	for _, size := range [4]int{1, 2, 4, 8} {
		n := 0
		for n < len(rest) && rest[n].size == size {
			n++
		}
		dst = appendNumber(dst, codec, n)
		for _, e := range rest[:n] {
			dst = appendNumber(dst, codec, int(e.id))
			dst = appendValue(dst, e)
		}
		rest = rest[n:]
	}
	if codec == Codec8Extended {
		dst = append(dst, 0, 0) // no elements of variable length
	}
	return dst
}

// appendNumber appends an id or a count: two bytes in Codec 8 Extended, else one.
func appendNumber(dst []byte, codec byte, n int) []byte {
	if codec == Codec8Extended {
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	return append(dst, byte(n))
}

func appendValue(dst []byte, e element) []byte {
	for shift := 8 * (e.size - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(e.value>>shift))
	}
	return dst
}

// checksum is CRC-16/IBM: polynomial 0x8005 reflected, from 0.
func checksum(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		crc ^= uint16(c)
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
