package hub

import (
	"errors"
	"fmt"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// shelf is a disk in memory.
type shelf struct {
	entries [][][]byte
	done    map[uint64]bool
}

func (s *shelf) Append(entries [][][]byte) (uint64, error) {
	first := uint64(len(s.entries)) + 1
	s.entries = append(s.entries, entries...)
	return first, nil
}

func (s *shelf) Read(index uint64) ([][]byte, error) {
	if s.done[index] {
		return nil, nil
	}
	return s.entries[index-1], nil
}

func (s *shelf) Bounds() (first, last uint64) {
	first, last = 1, uint64(len(s.entries))
	for ; first <= last && s.done[first]; first++ {
	}
	return first, last
}

func (s *shelf) Done(index uint64) { s.done[index] = true }

func TestWhatWaitsOfADeviceIsDiscardedUnlessItIsOnItsWay(t *testing.T) {
	disk := &shelf{done: map[uint64]bool{}}
	f := newField(t, wide, func(o *LeavesOptions) { o.Store = func(string) Store { return disk } })
	one := of("d000", 10)
	_, _ = disk.Append([][][]byte{{encode(&one), encode(&one)}, {encode(&one)}})
	f.admit(t, 1)
	f.leaves["d000"].reached(true)
	if n, err := f.Discard(t.Context(), "d000"); !errors.Is(err, ErrLeafBusy) || n != 0 {
		t.Fatalf("attached: %d, %v", n, err)
	}
	f.leaves["d000"].reached(false)
	if err := f.leaves["d000"].uplink.TrySend([]message.Message{one}, &settlements{}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Discard(t.Context(), "d000"); !errors.Is(err, ErrLeafBusy) || n != 0 {
		t.Fatalf("with one in memory: %d, %v", n, err)
	}
	f.leaves["d000"].uplink.Close()
	if n, err := f.Discard(t.Context(), "d000"); err != nil || n != 3 || len(f.refused) != 3 {
		t.Fatalf("%d were discarded, %d refused: %v", n, len(f.refused), err)
	}
	if got := fmt.Sprint(f.refused[0].Message.Device, " ", f.refused[0].Reason); got != "d000 discarded by an operator" {
		t.Errorf("refused: %s", got)
	}
	if n, err := f.Discard(t.Context(), "d000"); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	if err := f.Admit("d000"); err != nil {
		t.Errorf("it cannot come back: %v", err)
	}
}
