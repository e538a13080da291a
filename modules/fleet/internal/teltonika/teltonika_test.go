package teltonika

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// The frames with a source are examples of the public protocol page.

func TestChecksumOfThePublicExample(t *testing.T) {
	frame := unhex(t, "000000000000000F0C010500000007676574696E666F0100004312") // "getinfo"
	if got := checksum(frame[8 : len(frame)-4]); got != 0x4312 {
		t.Errorf("checksum %#x, want 0x4312", got)
	}
}

func TestLoginBeginsWithItsLength(t *testing.T) {
	want := "000f333536333037303432343431303133"
	if got := hex.EncodeToString(AppendLogin(nil, "356307042441013")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPacketHoldsItsRecords(t *testing.T) {
	at := time.UnixMilli(1560161086000)
	records := []Record{{
		Time: at, Priority: 1, Longitude: -10, Latitude: 547000000, Altitude: 100, Angle: 90, Satellites: 8, Speed: 3, Sequence: 7,
	}}
	for name, c := range map[string]struct {
		codec byte
		data  string
	}{
		"codec 8": {Codec8, "08" + "01" + "0000016b40d8ea30" + "01" + "fffffff6" + "209a8ec0" + "0064" + "005a" + "08" + "0003" +
			"00" + "07" + "03" + "ef01" + "f001" + "1503" + "02" + "422ee7" + "430f43" + "01" + "1000000007" +
			"01" + "4e" + "010000001c6b0101" + "01"},
		"codec 8 extended": {Codec8Extended, "8e" + "01" + "0000016b40d8ea30" + "01" + "fffffff6" + "209a8ec0" + "0064" + "005a" +
			"08" + "0003" + "0000" + "0007" + "0003" + "00ef01" + "00f001" + "001503" + "0002" + "00422ee7" + "00430f43" +
			"0001" + "001000000007" + "0001" + "004e" + "010000001c6b0101" + "0000" + "01"},
	} {
		t.Run(name, func(t *testing.T) {
			data := unhex(t, c.data)
			frame := AppendPacket(nil, c.codec, records)
			if !bytes.Equal(frame[8:len(frame)-4], data) {
				t.Fatalf("data\n got %x\nwant %x", frame[8:len(frame)-4], data)
			}
			if n := binary.BigEndian.Uint32(frame[4:]); int(n) != len(data) || binary.BigEndian.Uint32(frame) != 0 {
				t.Errorf("head % x", frame[:8])
			}
			datagram := AppendDatagram(nil, 0xCAFE, 5, "352093081452251", c.codec, records)
			want := append(unhex(t, "cafe0105000f333532303933303831343532323531"), data...)
			if !bytes.Equal(datagram[2:], want) || int(binary.BigEndian.Uint16(datagram)) != len(want) {
				t.Errorf("datagram\n got %x\nwant %x", datagram, want)
			}
		})
	}
}

func TestDatagramAck(t *testing.T) {
	id, avl, n, err := ParseDatagramAck(unhex(t, "0005cafe010501"))
	if err != nil || id != 0xCAFE || avl != 5 || n != 1 {
		t.Errorf("got %x %d %d, %v", id, avl, n, err)
	}
	for _, bad := range []string{"", "0005cafe0105", "0006cafe010501", "0005cafe01050100"} {
		if _, _, _, err := ParseDatagramAck(unhex(t, bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestReadServer(t *testing.T) {
	for name, c := range map[string]struct {
		in      string
		records uint32
		command string
		want    error
	}{
		"a count":                {"00000003", 3, "", nil},
		"a command":              {"000000000000000F0C010500000007676574696E666F0100004312", 0, "getinfo", nil},
		"a bad checksum":         {"000000000000000F0C010500000007676574696E666F0100004313", 0, "", ErrServer},
		"an answer":              {hex.EncodeToString(AppendAnswer(nil, "hello")), 0, "", ErrServer},
		"a huge command":         {"00000000ffffffff", 0, "", ErrServer},
		"half a count":           {"0000", 0, "", io.ErrUnexpectedEOF},
		"nothing":                {"", 0, "", io.EOF},
		"a command without room": {"0000000000000001" + "0c", 0, "", ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			records, command, err := ReadServer(bufio.NewReader(bytes.NewReader(unhex(t, c.in))))
			if records != c.records || command != c.command || !errors.Is(err, c.want) {
				t.Errorf("got %d %q %v", records, command, err)
			}
		})
	}
}

func TestAnswerOfThePublicExample(t *testing.T) {
	text := "INI:2019/7/22 7:22 RTC:2019/7/22 7:53 RST:2 ERR:1 SR:0 BR:0 CF:0 FG:0 FL:0 TU:0/0 UT:0 SMS:0 NOGPS:0:30 " +
		"GPS:1 SAT:0 RS:3 RF:65 SF:1 MD:0"
	frame := AppendAnswer(nil, text)
	if got := hex.EncodeToString(frame[:15]); got != "00000000000000900c010600000088" {
		t.Errorf("head %s", got)
	}
	if got := hex.EncodeToString(frame[len(frame)-5:]); got != "010000c78f" {
		t.Errorf("tail %s", got)
	}
}

func TestLoginAnswers(t *testing.T) {
	for in, want := range map[string]error{"\x01": nil, "\x00": ErrRefused, "x": ErrServer, "": io.EOF} {
		if err := ReadLogin(strings.NewReader(in)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}

func TestIMEIsHaveTheirCheckDigit(t *testing.T) {
	if got := IMEI(145225); got != "352093081452251" { // an IMEI of the public page
		t.Errorf("got %s", got)
	}
	if a, b := IMEI(1), IMEI(2); a == b || len(a) != 15 {
		t.Errorf("%s and %s", a, b)
	}
}

func FuzzReadServer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1})
	f.Add(unhex(f, "000000000000000F0C010500000007676574696E666F0100004312"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, command, err := ReadServer(bufio.NewReader(bytes.NewReader(b)))
		if err != nil && (records != 0 || command != "") {
			t.Errorf("%d records and %q beside the error %v", records, command, err)
		}
	})
}

func FuzzParseDatagramAck(f *testing.F) {
	f.Add([]byte{0, 5, 0xca, 0xfe, 1, 5, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, _, err := ParseDatagramAck(b); err == nil && len(b) != 7 {
			t.Errorf("%x is no acknowledgement", b)
		}
	})
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
