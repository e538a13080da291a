package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrNone: no configuration has been kept yet.
	ErrNone = errors.New("no last good configuration")
	// ErrDamaged: the file does not hold what was written; it was set aside.
	ErrDamaged = errors.New("last good configuration is damaged")
)

const (
	storeName   = "lastgood.json"
	storeFormat = "causeway-config 1 version=%d bytes=%d sha256=%x\n"
	// maxHead bounds the first line: the format with its widest numbers is 140 bytes.
	maxHead = 256
)

// Store keeps the last good document on disk, so that the module starts while the
// hub is away. The file is a head line with version, length and checksum, and the
// document. It is used by one goroutine at a time.
type Store struct{ dir string }

// NewStore returns the store in a directory, which is made on the first Save.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// Save replaces what is kept by the desired properties and their version. After a
// crash at any moment the file holds either the old or the new document.
func (s *Store) Save(desired []byte, version int64) error {
	if err := s.save(desired, version); err != nil {
		return fmt.Errorf("config: keep the last good configuration: %w", err)
	}
	return nil
}

func (s *Store) save(desired []byte, version int64) error {
	if len(desired) > MaxDocument {
		return fmt.Errorf("document has %d bytes, must have at most %d", len(desired), MaxDocument)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(s.dir, storeName+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // gone already after the rename
	data := fmt.Appendf(nil, storeFormat, version, len(desired), sha256.Sum256(desired))
	_, err = temp.Write(append(data, desired...))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), s.path()); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// Load returns the document that was kept last and its version. The error wraps
// ErrNone, or ErrDamaged after the file was renamed to lastgood.json.damaged, or
// says why the disk cannot be read; none of them need stop the start.
func (s *Store) Load() (desired []byte, version int64, err error) {
	file, err := os.Open(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrNone
	}
	if err != nil {
		return nil, 0, fmt.Errorf("config: load the last good configuration: %w", err)
	}
	data := make([]byte, maxHead+MaxDocument+1)
	n, err := readFull(file, data)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, 0, fmt.Errorf("config: load the last good configuration: %w", err)
	}
	desired, version, err = decodeStored(data[:n])
	if err != nil {
		aside := s.path() + ".damaged"
		return nil, 0, errors.Join(fmt.Errorf("config: %w: %w; kept as %s", ErrDamaged, err, aside),
			os.Rename(s.path(), aside))
	}
	return desired, version, nil
}

func (s *Store) path() string { return filepath.Join(s.dir, storeName) }

func decodeStored(data []byte) ([]byte, int64, error) {
	head, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok {
		return nil, 0, errors.New("head line is missing")
	}
	var version int64
	var length int
	var sum []byte
	if _, err := fmt.Sscanf(string(head)+"\n", storeFormat, &version, &length, &sum); err != nil {
		return nil, 0, errors.New("head line is not of this format")
	}
	if length != len(body) {
		return nil, 0, fmt.Errorf("has %d bytes, head says %d", len(body), length)
	}
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, 0, errors.New("checksum does not match")
	}
	return body, version, nil
}

func readFull(file *os.File, data []byte) (int, error) {
	n, err := io.ReadFull(file, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, nil // the file is shorter than the bound, as it should be
	}
	return n, err
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
