package payload

import (
	"encoding/binary"
	"fmt"
)

// PacketRecords is how many records a packet holds: what a tracker sends after a while
// without coverage.
const PacketRecords = 16

// imei returns a made-up IMEI with its check digit.
func imei(n int) string {
	body := fmt.Sprintf("35209308%06d", n%1_000_000)
	sum := 0
	for i, c := range body {
		d := int(c - '0')
		if i%2 == 1 { // every second digit counts twice, digit by digit
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return fmt.Sprintf("%s%d", body, (10-sum%10)%10)
}

// Login is what a tracker's connection begins with; the answer is the byte 1. Other kinds
// have none.
func (s *Source) Login() []byte {
	if s.kind != Teltonika {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s.ids[0]))), s.ids[0]...) //nolint:gosec // 15
}

// record is one AVL record of Codec 8 as the public page lays it out, with the elements that
// trackers send by default. The offsets are where the time and the odometer stand.
var record = makeRecord()

const (
	recordTime     = 0
	recordOdometer = 8 + 1 + 15 + 2 + 1 + 3*2 + 1 + 2*3 + 1 + 1
)

func makeRecord() []byte {
	b := make([]byte, 8) // time
	b = append(b, 0)     // priority
	b = binary.BigEndian.AppendUint32(b, 252_797_000)
	b = binary.BigEndian.AppendUint32(b, 546_872_000)
	b = append(b, 0, 112, 0, 90, 9, 0, 54)                // altitude, angle, satellites, speed
	b = append(b, 0, 7)                                   // event, elements
	b = append(b, 3, 239, 1, 240, 1, 21, 4)               // ignition, movement, signal
	b = append(b, 2, 66, 0x2e, 0xe7, 67, 0x0f, 0x43)      // voltages
	b = append(b, 1, 16, 0, 0, 0, 0)                      // odometer
	return append(b, 1, 78, 1, 0, 0, 0, 0x1c, 0x6b, 1, 1) // iButton
}

// appendPacket appends a packet whose records are numbered from first.
func appendPacket(dst []byte, first uint32, now int64) []byte {
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	body := len(dst)
	dst = append(dst, 0x08, PacketRecords)
	for i := range uint32(PacketRecords) {
		at := len(dst)
		dst = append(dst, record...)
		binary.BigEndian.PutUint64(dst[at+recordTime:], uint64(now/1e6)) //nolint:gosec // after 1970
		binary.BigEndian.PutUint32(dst[at+recordOdometer:], first+i)
	}
	dst = append(dst, PacketRecords)
	binary.BigEndian.PutUint32(dst[body-4:], uint32(len(dst)-body)) //nolint:gosec // about a kilobyte
	return binary.BigEndian.AppendUint32(dst, uint32(checksum(dst[body:])))
}

// crcTable is CRC-16/IBM: polynomial 0x8005 reflected, from 0.
var crcTable = makeCRC()

func makeCRC() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) //nolint:gosec // below 256
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		table[i] = crc
	}
	return table
}

func checksum(b []byte) (crc uint16) {
	for _, c := range b {
		crc = crc>>8 ^ crcTable[byte(crc)^c]
	}
	return crc
}
