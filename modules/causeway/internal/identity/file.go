package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxKeyFile bounds a file of all devices: about 100,000 of them.
	maxKeyFile = 16 << 20
	// readOnly does not wait for a writer, where somebody has put a pipe.
	readOnly = os.O_RDONLY | syscall.O_NONBLOCK
)

type fileSetting struct {
	Kind  string `json:"kind"`
	Order int    `json:"order"`
	Path  string `json:"path"`
}

func (p *keyParser) file(raw json.RawMessage) (Source, error) {
	var set fileSetting
	if err := codec.DecodeOptions(raw, &set); err != nil {
		return nil, err
	}
	if !path.IsAbs(set.Path) {
		return nil, codec.Optionf("/path", "got %q, want the absolute path of a folder, or of a .json or .csv file",
			short(set.Path))
	}
	switch strings.ToLower(path.Ext(set.Path)) {
	case ".json":
		return &keyFile{path: set.Path, parse: parseJSONKeys}, nil
	case ".csv":
		return &keyFile{path: set.Path, parse: parseCSVKeys}, nil
	default:
		return keyFolder{set.Path}, nil
	}
}

// keyFile is one file with the keys of all its devices. It is looked at for each device,
// and read again when it has changed.
type keyFile struct {
	path  string
	parse func(data []byte) (map[string][]byte, error)

	mu   sync.Mutex
	seen stamp
	keys map[string][]byte // by the folded id
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	file     fs.FileInfo
}

func (s stamp) same(info fs.FileInfo) bool {
	return s.file != nil && s.modified.Equal(info.ModTime()) && s.size == info.Size() && os.SameFile(s.file, info)
}

// Credential implements Source.
func (k *keyFile) Credential(_ context.Context, hubDevice string) (Credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return Credential{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	key, ok := k.keys[fold(hubDevice)]
	if !ok {
		return Credential{}, ErrUnknown
	}
	return symmetric(key), nil
}

// Forget has the file read again even if it looks the same: a file that was written twice
// within the clock's grain does.
func (k *keyFile) Forget(string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = stamp{}
}

func (k *keyFile) refresh() error {
	f, err := os.OpenFile(k.path, readOnly, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if k.seen.same(info) {
		return nil
	}
	data, err := readPrivate(f, info, maxKeyFile)
	if err != nil {
		return err
	}
	keys, err := k.parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	k.keys, k.seen = keys, stamp{info.ModTime(), info.Size(), info}
	return nil
}

// readPrivate reads a file of keys whole, if nobody but its owner and group can.
func readPrivate(f *os.File, info fs.FileInfo, most int64) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.Name())
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, but others must have no access to keys: chmod o= it", f.Name(), mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", f.Name(), most)
	}
	return data, err
}
