package payload

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"testing"
)

func TestALineHas120BytesOfJSON(t *testing.T) {
	s := NewSource(Lines, 17, 2)
	const now = 1_790_000_000_123_456_789
	lines := bytes.SplitAfter(s.Append(nil, 3, now), []byte("\n"))
	if len(lines) != 4 || len(lines[3]) != 0 {
		t.Fatalf("%d lines", len(lines)-1)
	}
	for i, want := range []Message{
		{[]byte("d0000017"), 0, now}, {[]byte("d0000018"), 0, now}, {[]byte("d0000017"), 1, now},
	} {
		if len(lines[i]) != 120 || !json.Valid(lines[i]) {
			t.Errorf("%d bytes: %s", len(lines[i]), lines[i])
		}
		got, ok := Parse(bytes.TrimSpace(lines[i]), nil)
		if !ok || !bytes.Equal(got.Device, want.Device) || got.Number != want.Number || got.Sent != now {
			t.Errorf("read %s %+v %v, want %+v", got.Device, got, ok, want)
		}
	}
	if s.Sent() != 3 {
		t.Errorf("sent %d", s.Sent())
	}
}

func TestAPrefixedDocumentSaysItsLength(t *testing.T) {
	b := NewSource(Prefixed, 0, 1).Append(nil, 2, 1_790_000_000_000_000_000)
	n := int(binary.BigEndian.Uint16(b))
	if len(b) != 2*(n+2) || !json.Valid(b[2:n+2]) {
		t.Errorf("%d bytes with a length of %d: %s", len(b), n, b)
	}
}

func TestADocumentThatWasEncodedAgainIsRead(t *testing.T) {
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(NewSource(Datagrams, 5, 1).Append(nil, 1, 1_790_000_000_000_000_001)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := Parse(again, nil)
	if !ok || string(got.Device) != "d0000005" || got.Number != 0 || got.Sent != 1_790_000_000_000_000_001 {
		t.Errorf("%s: %+v %v", again, got, ok)
	}
}

func TestBodiesOfOthersAreForeign(t *testing.T) {
	for _, body := range []string{
		"", "{}", `{"id":"d0000001"}`, `{"id":"x","seq":5,"t":1790000000000000000}`, `{"id":"d`,
		`{"timestamp":"yesterday","io":{"totalOdometer":1}}`, `{"timestamp":"2026-01-01T00:00:00Z"}`, `{"timestamp":"`,
	} {
		if m, ok := Parse([]byte(body), []byte("device")); ok {
			t.Errorf("%s was read as %+v", body, m)
		}
	}
}

func TestAPacketIsCodec8WithItsChecksum(t *testing.T) {
	public, err := hex.DecodeString("0C010500000007676574696E666F01") // an example of the public page
	if err != nil {
		t.Fatal(err)
	}
	if got := checksum(public); got != 0x4312 {
		t.Fatalf("checksum %#x", got)
	}
	s := NewSource(Teltonika, 145225, 1)
	if got := string(s.Login()); got != "\x00\x0f352093081452251" {
		t.Errorf("login %q", got)
	}
	s.Append(nil, PacketRecords, 0)
	b := s.Append(nil, PacketRecords, 1_790_000_000_123_000_000)
	body := b[8 : len(b)-4]
	if binary.BigEndian.Uint32(b) != 0 || int(binary.BigEndian.Uint32(b[4:])) != len(body) {
		t.Errorf("head % x", b[:8])
	}
	if body[0] != 8 || body[1] != PacketRecords || body[len(body)-1] != PacketRecords {
		t.Errorf("counts % x ... % x", body[:2], body[len(body)-1:])
	}
	if len(body) != 3+PacketRecords*len(record) {
		t.Errorf("%d bytes", len(body))
	}
	second := body[2+len(record):]
	if got := binary.BigEndian.Uint32(second[recordOdometer:]); got != PacketRecords+1 || second[recordOdometer-1] != 16 {
		t.Errorf("odometer %d behind element %d", got, second[recordOdometer-1])
	}
	if got := binary.BigEndian.Uint64(second); got != 1_790_000_000_123 {
		t.Errorf("time %d", got)
	}
}

func TestARecordIsRead(t *testing.T) {
	body := `{"timestamp":"2026-11-28T12:00:00.250Z","priority":"low","io":{"ignition":1,"totalOdometer":123,"iButton":"01"}}`
	m, ok := Parse([]byte(body), []byte("352093081452251"))
	if !ok || m.Number != 123 || m.Sent%1e9 != 250e6 || string(m.Device) != "352093081452251" {
		t.Errorf("%+v %v", m, ok)
	}
	if _, ok := Parse([]byte(body), nil); ok {
		t.Error("a record of nobody was read")
	}
}

func TestKinds(t *testing.T) {
	if k, err := ParseKind("teltonika"); err != nil || k != Teltonika {
		t.Error(k, err)
	}
	if _, err := ParseKind("carrier pigeon"); err == nil {
		t.Error("no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(NewSource(Lines, 1, 1).Append(nil, 1, 1_790_000_000_000_000_000), []byte("d"))
	f.Add([]byte(`{"timestamp":"2026-11-28T12:00:00Z","io":{"totalOdometer":123}}`), []byte("d"))
	f.Fuzz(func(t *testing.T, body, device []byte) {
		if m, ok := Parse(body, device); ok && m.Number >= 1<<32-1 {
			t.Errorf("number %d", m.Number)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s := NewSource(Lines, 1, 1)
	buf := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		buf = s.Append(buf[:0], 1, 1_790_000_000_000_000_000)
	}
}
