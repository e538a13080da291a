package spool

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/spool/spooltest"
)

func encoded(index uint64, records ...[]byte) []byte {
	return appendEntry(nil, header{index: index, head: 1, time: time.Unix(1700000000, 5)}, records)
}

func TestAnEntryOfAnotherIndexIsNotRead(t *testing.T) {
	b := encoded(7, []byte("a"), []byte("b"))
	if got, _ := readRecords(nil, b, 8); len(got) != 0 {
		t.Errorf("read %q", got)
	}
	b[0] ^= 1 // the header is damaged, the records know where they belong
	if got, _ := readRecords(nil, b, 8); len(got) != 0 {
		t.Errorf("read %q", got)
	}
	if got, lost := readRecords(nil, b, 7); len(got) != 2 || lost != 0 {
		t.Errorf("read %q, lost %d", got, lost)
	}
}

func FuzzAnEntryIsReadBackOrLessOfIt(f *testing.F) {
	f.Add([]byte("one\x00two\x00three"), uint16(0), uint8(0), uint16(999))
	f.Add([]byte("\x00\x00a"), uint16(45), uint8(1), uint16(80))
	f.Add(bytes.Repeat([]byte("ab\x00"), 100), uint16(60), uint8(200), uint16(300))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, flip uint8, end uint16) {
		records := bytes.Split(data, []byte{0})
		b := encoded(3, records...)
		if got, lost := readRecords(nil, b, 3); lost != 0 || !slices.EqualFunc(got, records, bytes.Equal) {
			t.Fatalf("read %q, lost %d", got, lost)
		}
		b[int(at)%len(b)] ^= flip
		b = b[:min(len(b), int(end))]
		got, _ := readRecords(nil, b, 3)
		rest := records
		for _, r := range got { // a subsequence
			i := slices.IndexFunc(rest, func(w []byte) bool { return bytes.Equal(w, r) })
			if i < 0 {
				t.Fatalf("invented %q", r)
			}
			rest = rest[i+1:]
		}
	})
}

func FuzzBytesThatAreNoEntry(f *testing.F) {
	f.Add([]byte("nothing"), uint64(1))
	f.Add(encoded(1), uint64(1))
	f.Add(encoded(9, []byte("x"), nil), uint64(9))
	b := encoded(2, []byte("x"))
	binary.LittleEndian.PutUint32(b[4:], 1<<31)
	f.Add(b, uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, index uint64) {
		readHeader(b)
		got, lost := readRecords(nil, b, index)
		size := 0
		for _, r := range got {
			size += recordSize + len(r)
		}
		if size > len(b) || lost < 0 {
			t.Fatalf("%d bytes of records in %d, lost %d", size, len(b), lost)
		}
	})
}

func FuzzASegmentFileOfAnyBytes(f *testing.F) {
	disk := spooltest.New()
	s := quiet(f, disk, nil)
	mustAppend(f, s, batch(0, 3, 20), batch(3, 1, 0))
	mustAppend(f, s, batch(4, 2, 50))
	disk.Kill()
	name := disk.Names()[0]
	disk.Change(name, func(b []byte) []byte {
		f.Add(b[:600], uint16(0), uint8(0))
		f.Add(b[:600], uint16(100), uint8(7))
		return b
	})
	f.Fuzz(func(t *testing.T, file []byte, at uint16, flip uint8) {
		if len(file) > 0 {
			file[int(at)%len(file)] ^= flip
		}
		disk := disk.Clone()
		disk.Change(name, func([]byte) []byte { return append([]byte{}, file...) })
		s := quiet(t, disk, nil)
		readAll(t, s)
		next := mustAppend(t, s, batch(0, 1, 10))
		if got, err := s.Read(next); err != nil || len(got) != 1 {
			t.Fatalf("what is appended then reads %d records, %v", len(got), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		same(t, readAll(t, quiet(t, disk, nil)), readAll(t, quiet(t, disk.Clone(), nil)))
	})
}
