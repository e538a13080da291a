package chaos

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestTheDiskIsFullAndReadOnlyOnRequest(t *testing.T) {
	d, err := NewDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	t.Log("the disk is ", d.Kind())
	name := filepath.Join(d.Data, "file")
	write := func() error { return os.WriteFile(name, make([]byte, 1<<16), 0o600) }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if d.CanFill() {
		if err := d.Fill(); err != nil {
			t.Fatal(err)
		}
		if err := write(); err == nil {
			t.Error("a full disk takes 64 KiB")
		}
		_ = os.Remove(name) // it may be there, and empty
		if err := d.Empty(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.ReadOnly(true); err != nil {
		t.Fatal(err)
	}
	if err := write(); err == nil {
		t.Error("a read-only disk takes a file")
	}
	if err := d.ReadOnly(false); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("well again, but %v", err)
	}
}

func TestTearWritesBehindWhatIsThereAndChangesNothingOfIt(t *testing.T) {
	folder := t.TempDir()
	dice := rand.New(rand.NewPCG(1, 1))
	if _, err := Tear(folder, dice); !errors.Is(err, errNoSegment) {
		t.Errorf("nothing to tear: %v", err)
	}
	if _, err := Tear(filepath.Join(folder, "absent"), dice); !errors.Is(err, errNoSegment) {
		t.Errorf("no folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "0001.wal"), []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	written := bytes.Repeat([]byte("record, "), 100)
	written = append(written, "end"...)
	name := filepath.Join(folder, "0002.wal")
	for range 50 {
		whole := make([]byte, 8192)
		copy(whole, written)
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Tear(folder, dice)
		if err != nil || got != name {
			t.Fatalf("tore %q, %v", got, err)
		}
		torn, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(torn) != len(whole) || !bytes.HasPrefix(torn, written) || bytes.Equal(torn, whole) {
			t.Fatalf("%d bytes, the written part whole: %v, changed: %v",
				len(torn), bytes.HasPrefix(torn, written), !bytes.Equal(torn, whole))
		}
	}
}
