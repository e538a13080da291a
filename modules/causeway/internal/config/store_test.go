package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsSavedIsLoaded(t *testing.T) {
	s := NewStore(filepath.Join(t.TempDir(), "deep", "down"))
	if _, _, err := s.Load(); !errors.Is(err, ErrNone) {
		t.Fatalf("an empty store gives %v", err)
	}
	for version, text := range []string{"{}", `{"a":1}` + "\n\n", "", string(bytes.Repeat([]byte("x"), MaxDocument))} {
		if err := s.Save([]byte(text), int64(version)-1); err != nil {
			t.Fatal(err)
		}
		got, v, err := s.Load()
		if err != nil || string(got) != text || v != int64(version)-1 {
			t.Errorf("loaded %d bytes, version %d, %v", len(got), v, err)
		}
	}
	if files, _ := os.ReadDir(s.dir); len(files) != 1 {
		t.Errorf("files are left behind: %v", files)
	}
}

func TestADamagedFileIsSetAsideAndTheNextStartIsClean(t *testing.T) {
	s := NewStore(t.TempDir())
	if err := s.Save([]byte(`{"log":{"level":"debug"}}`), 9); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"truncated":   func(b []byte) []byte { return b[:len(b)-1] },
		"longer":      func(b []byte) []byte { return append(b, 'x') },
		"empty":       func([]byte) []byte { return nil },
		"bit flipped": func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"head broken": func(b []byte) []byte { b[3] = '?'; return b },
		"enormous":    func([]byte) []byte { return make([]byte, 2*MaxDocument) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(s.path(), damage(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Load(); !errors.Is(err, ErrDamaged) {
				t.Errorf("error is %v", err)
			}
			if _, err := os.Stat(s.path() + ".damaged"); err != nil {
				t.Error(err)
			}
			if _, _, err := s.Load(); !errors.Is(err, ErrNone) {
				t.Errorf("the second load gives %v", err)
			}
		})
	}
}

func TestAnUnusableDirectoryIsAnErrorThatNamesIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewStore(file).Save([]byte("{}"), 1); err == nil {
		t.Error("saved into a file")
	}
	if _, _, err := NewStore(file).Load(); err == nil {
		t.Error("loaded from below a file")
	}
}

func FuzzDecodeStored(f *testing.F) {
	f.Add(fmt.Appendf(nil, storeFormat+"{}", 1, 2, sha256.Sum256([]byte("{}"))))
	f.Add([]byte("causeway-config 1 version=-1 bytes=0 sha256=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if body, _, err := decodeStored(data); err == nil && len(body) >= len(data) {
			t.Fatal("a body longer than its file")
		}
	})
}
