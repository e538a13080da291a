package journal

import (
	"bytes"
	"testing"
)

func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"sequence\":1,\"body\":\"YQ==\"}\n{\"sequence\":2}\n{\"seq"))
	f.Add([]byte("{\"sequence\":1}\n{\"sequence\":1}\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, end, err := read(bytes.NewReader(data), 3)
		if err != nil {
			return
		}
		if end > int64(len(data)) || (end > 0 && data[end-1] != '\n') {
			t.Fatalf("end %d of %q", end, data)
		}
		for i := 1; i < len(messages); i++ {
			if messages[i].Sequence != messages[i-1].Sequence+1 {
				t.Fatalf("numbers of %q", data)
			}
		}
	})
}

func FuzzReadQueue(f *testing.F) {
	f.Add([]byte("{\"priority\":1,\"body\":\"YQ==\"}\n{\"expires\":\"2026-01-01T00:00:00Z\"}\n{\"pri"))
	f.Add([]byte("{\"priority\":-1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, end, err := readQueue(bytes.NewReader(data))
		if err != nil {
			return
		}
		if lines := bytes.Count(data[:end], []byte("\n")); lines != len(messages) {
			t.Fatalf("%d messages of %d lines", len(messages), lines)
		}
	})
}
