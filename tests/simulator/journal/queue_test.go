package journal_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/journal"
)

func waiting(n uint64, expires time.Time) edge.Waiting {
	m := message(n)
	return edge.Waiting{Priority: uint32(n), Expires: expires, Source: m.Source, Message: m.Message}
}

// reopen opens the queue as the next run does.
func reopen(t *testing.T, path string) (*journal.Queue, []edge.Waiting) {
	t.Helper()
	q, left, err := journal.OpenQueue(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q, left
}

func TestAQueueComesBackUntilItIsCleared(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue")
	q, left := reopen(t, path)
	if len(left) != 0 {
		t.Fatalf("a new queue holds %v", left)
	}
	want := []edge.Waiting{waiting(1, time.Time{}), waiting(2, time.Unix(5, 0).UTC()), waiting(3, time.Time{})}
	for _, part := range [][]edge.Waiting{want[:2], want[2:]} {
		if err := q.Push(part); err != nil {
			t.Fatal(err)
		}
	}
	tear(t, path)
	q, left = reopen(t, path)
	if !reflect.DeepEqual(left, want) {
		t.Fatalf("got %+v", left)
	}
	if err := q.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := q.Push(want[:1]); err != nil {
		t.Fatal(err)
	}
	if _, left = reopen(t, path); !reflect.DeepEqual(left, want[:1]) {
		t.Fatalf("after a clear: %+v", left)
	}
}

func TestAQueueThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue")
	if err := os.WriteFile(path, []byte("else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := journal.OpenQueue(path); err == nil {
		t.Fatal("it was taken")
	}
}
