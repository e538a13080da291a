package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/journal"
)

func message(n uint64) edge.Upstream {
	return edge.Upstream{Sequence: n, Source: "/messages/modules/m/outputs/o", Message: edge.Message{
		From: edge.Identity{Device: "edge", Module: "m"}, Output: "o", Body: []byte{0, byte(n), 255},
		Properties: map[string]string{"a": "b"},
	}}
}

func TestAJournalComesBackWithoutItsTornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	first, old, err := journal.Open(path, 10)
	if err != nil || len(old) != 0 {
		t.Fatal(old, err)
	}
	for n := uint64(1); n <= 30; n += 2 {
		if err := first.Append([]edge.Upstream{message(n), message(n + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	tear(t, path)
	for range 2 {
		again, old, err := journal.Open(path, 10)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(old); n < 10 || old[n-1].Sequence != 30 || string(old[n-1].Message.Body) != string([]byte{0, 30, 255}) {
			t.Fatalf("got %d, the last %+v", n, old[len(old)-1])
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func tear(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"sequence":31,"bo`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAJournalWithAGapIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, []byte("{\"sequence\":1}\n{\"sequence\":3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := journal.Open(path, 10); err == nil || !strings.Contains(err.Error(), "3 follows 1") {
		t.Fatalf("got %v", err)
	}
}
