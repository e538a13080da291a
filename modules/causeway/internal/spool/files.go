package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/types"
)

// Files is the file layer below the spool. The real one is used unless Options
// name another, as tests do. A file of Create or OpenWriter makes itself and its
// name durable in Sync; Delete and Rename are durable when they return.
type Files interface {
	types.VFS
	Folder
}

// Folder is what the spool does to files beyond raft-wal's own file layer.
type Folder interface {
	// Lock takes the directory for this process, creating it if need be. ErrInUse
	// when another process has it.
	Lock(dir string) (io.Closer, error)
	// Size returns how long a file is.
	Size(dir, name string) (int64, error)
	// Truncate cuts a file; it need not be durable.
	Truncate(dir, name string, size int64) error
	// Rename gives a file another name, in place of what bore it.
	Rename(dir, from, to string) error
}

// disk is the real file layer. Raft-wal's own leaves a file behind when space for
// it cannot be reserved, and reports the deletion of what is gone as a failure for
// ever.
type disk struct{}

// diskFile makes its name durable with its first contents.
type diskFile struct {
	*os.File
	dir string // empty once the name is durable
}

func (f *diskFile) Sync() error {
	if err := syncData(f.File); err != nil {
		return err
	}
	if f.dir == "" {
		return nil
	}
	if err := syncDir(f.dir); err != nil {
		return err
	}
	f.dir = ""
	return nil
}

func (disk) ListDir(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		if f.Type().IsRegular() {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

func (disk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := reserve(f, int64(size)); err != nil {
		f.Close()
		return nil, errors.Join(fmt.Errorf("reserve %d bytes: %w", size, err), os.Remove(f.Name()))
	}
	return &diskFile{File: f, dir: dir}, nil
}

func (disk) OpenReader(dir, name string) (types.ReadableFile, error) {
	return os.Open(filepath.Join(dir, name))
}

func (disk) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, dir: dir}, nil
}

func (disk) Delete(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

func (disk) Size(dir, name string) (int64, error) {
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (disk) Truncate(dir, name string, size int64) error {
	return os.Truncate(filepath.Join(dir, name), size)
}

func (disk) Rename(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return syncDir(dir)
}

func (disk) Lock(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
