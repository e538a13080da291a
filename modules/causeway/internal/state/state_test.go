package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func opened(t *testing.T, dir string) *File {
	t.Helper()
	f := New(dir)
	if err := f.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// fill writes n values of some size and closes the file.
func fill(t *testing.T, dir string, n, size int) {
	t.Helper()
	f := opened(t, dir)
	err := f.Update("room", func(b *Bucket) error {
		for i := range n {
			if err := b.Put(fmt.Appendf(nil, "key-%05d", i), []byte(strings.Repeat("v", size))); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, f *File, after string) (list []string, damaged int) {
	t.Helper()
	err := f.View("room", func(b *Bucket) error {
		b.Ascend([]byte(after), func(key, value []byte) bool {
			if value == nil {
				damaged++
			}
			list = append(list, string(key))
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, damaged
}

func TestWhatWasUpdatedIsThereAfterAnotherStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	fill(t, dir, 3, 10)
	f := opened(t, dir)
	if list, _ := keys(t, f, ""); len(list) != 3 {
		t.Errorf("keys %v", list)
	}
	if list, _ := keys(t, f, "key-00000"); len(list) != 2 || list[0] != "key-00001" {
		t.Errorf("keys after the first: %v", list)
	}
	err := f.Update("room", func(b *Bucket) error { return b.Delete([]byte("key-00001")) })
	if err != nil {
		t.Fatal(err)
	}
	err = f.View("room", func(b *Bucket) error {
		if _, err := b.Get([]byte("key-00001")); !errors.Is(err, ErrNone) {
			t.Errorf("a deleted key: %v", err)
		}
		if v, err := b.Get([]byte("key-00002")); err != nil || string(v) != "vvvvvvvvvv" {
			t.Errorf("%q, %v", v, err)
		}
		if last := b.Last(); string(last) != "key-00002" {
			t.Errorf("last key %q", last)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFailedUpdateChangesNothing(t *testing.T) {
	f := opened(t, t.TempDir())
	reason := errors.New("no")
	err := f.Update("room", func(b *Bucket) error {
		if err := b.Put([]byte("k"), []byte("v")); err != nil {
			return err
		}
		return reason
	})
	if !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
	if list, _ := keys(t, f, ""); len(list) != 0 {
		t.Errorf("keys %v", list)
	}
}

func TestABucketThatWasNeverWrittenIsEmpty(t *testing.T) {
	f := opened(t, t.TempDir())
	if list, _ := keys(t, f, ""); len(list) != 0 {
		t.Errorf("keys %v", list)
	}
	err := f.View("room", func(b *Bucket) error {
		if b.Last() != nil {
			t.Error("it has a last key")
		}
		_, err := b.Get([]byte("k"))
		return err
	})
	if !errors.Is(err, ErrNone) {
		t.Errorf("error %v", err)
	}
}

func TestADamagedFileIsSetAsideAndANewOneBegun(t *testing.T) {
	garble := func(at, n int) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := at; i < at+n && i < len(b); i++ {
				b[i] ^= 0x5a
			}
			return b
		}
	}
	for what, damage := range map[string]func([]byte) []byte{
		"another file":    func([]byte) []byte { return []byte(strings.Repeat("not a database\n", 4000)) },
		"one line":        func([]byte) []byte { return []byte("x") },
		"both heads":      garble(0, 8192),
		"cut in half":     func(b []byte) []byte { return b[:len(b)/2] },
		"cut after heads": func(b []byte) []byte { return b[:3*4096] },
		"pages of zeros":  func(b []byte) []byte { clear(b[3*4096:]); return b },
		"garbled pages":   garble(2*4096, 1<<20),
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 2000, 100)
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			f := New(dir)
			err = f.Open()
			defer func() { _ = f.Close() }()
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("error %v", err)
			}
			if _, err := os.Stat(path + ".damaged"); err != nil {
				t.Error(err)
			}
			if err := f.Update("room", func(b *Bucket) error { return b.Put([]byte("k"), []byte("v")) }); err != nil {
				t.Errorf("the new file: %v", err)
			}
		})
	}
}

func TestAValueThatChangedOnDiskIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 3, 100)
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), strings.Repeat("v", 100))
	b[at+50] = 'w'
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if list, damaged := keys(t, opened(t, dir), ""); len(list) != 3 || damaged != 1 {
		t.Errorf("keys %v, damaged %d", list, damaged)
	}
}

func TestAFileThatCannotBeOpenedIsReportedAndEveryCallFails(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := New(filepath.Join(blocked, "below"))
	if err := f.Open(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("open: %v", err)
	}
	nothing := func(*Bucket) error { return nil }
	if err := f.Update("room", nothing); !errors.Is(err, ErrUnavailable) {
		t.Errorf("update: %v", err)
	}
	if err := f.View("room", nothing); !errors.Is(err, ErrUnavailable) {
		t.Errorf("view: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestAClosedFileIsUnavailable(t *testing.T) {
	f := opened(t, t.TempDir())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.View("room", func(*Bucket) error { return nil }); !errors.Is(err, ErrUnavailable) {
		t.Errorf("view: %v", err)
	}
}

func TestAFileThatAnotherHasOpenIsWaitedForAndNotDamaged(t *testing.T) {
	dir := t.TempDir()
	opened(t, dir)
	err := New(dir).OpenWithin(10 * time.Millisecond)
	if !errors.Is(err, ErrLocked) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDamaged) {
		t.Errorf("opened twice: %v", err)
	}
}
