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
