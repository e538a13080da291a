package spooltest

import (
	"errors"
	"io"
	"io/fs"
	"slices"
)

// file is an open file of a Disk.
type file struct {
	d      *Disk
	inode  *inode
	name   string
	life   int
	named  bool
	closed bool
}

// begin asks whether an operation on the file may happen.
func (f *file) begin(op string) error {
	if f.life != f.d.life {
		return ErrPower
	}
	if f.closed {
		return fs.ErrClosed
	}
	return f.d.step(op, f.name)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.begin(OpRead); err != nil {
		return 0, err
	}
	if off >= int64(len(f.inode.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.inode.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.begin(OpWrite); err != nil {
		if !errors.Is(err, ErrPower) { // half of it comes before the error
			f.inode.put(write{off: off, bytes: slices.Clone(p[:len(p)/2])})
		}
		return 0, err
	}
	if err := f.d.room(off + int64(len(p)) - int64(len(f.inode.data))); err != nil {
		return 0, err
	}
	f.inode.put(write{off: off, bytes: slices.Clone(p)})
	return len(p), nil
}

// Sync makes contents and then the name safe. After a failure what was written since
// the last sync is read back, but never becomes safe, as on Linux.
func (f *file) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.begin(OpSync); err != nil {
		if !errors.Is(err, ErrPower) {
			f.inode.pending = nil
		}
		return err
	}
	for _, w := range f.inode.pending {
		f.inode.safe = w.apply(f.inode.safe)
	}
	f.inode.pending = nil
	if f.named {
		return nil
	}
	if err := f.d.syncNames(f.name); err != nil {
		return err
	}
	f.named = true
	return nil
}

func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}
