// Package spooltest is a disk in memory for tests of the spool and of what uses it:
// it gets full, fails, and loses power, and then what was not synced is lost, in whole
// or in part.
package spooltest

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"github.com/hashicorp/raft-wal/types"
)

// Operations that Fail hears of.
const (
	OpCreate   = "create"
	OpReserve  = "reserve"
	OpWrite    = "write"
	OpRead     = "read"
	OpSync     = "sync"
	OpSyncDir  = "sync directory"
	OpDelete   = "delete"
	OpRename   = "rename"
	OpTruncate = "truncate"
	OpList     = "list"
	OpOpen     = "open"
)

// ErrPower is what every operation gives between CrashAfter and Crash.
var ErrPower = errors.New("no power")

// Disk is one directory in memory: a spool.Files. It is safe for concurrent use.
type Disk struct {
	mu       sync.Mutex
	files    map[string]*inode
	synced   map[string]*inode
	changes  []change // of names, not synced
	fail     func(op, name string) error
	left     int // operations until the power fails, negative: it does not
	capacity int64
	locked   bool
	life     int
}

// change is a name that came (with an inode) or went.
type change struct {
	name  string
	inode *inode
}

// inode is a file: what is read, what is safe, and what was written since.
type inode struct {
	data    []byte
	safe    []byte
	pending []write
}

// write is bytes at an offset, or a new length without bytes.
type write struct {
	off   int64
	bytes []byte
	size  int64
}

// New makes an empty disk without end.
func New() *Disk {
	return &Disk{files: map[string]*inode{}, synced: map[string]*inode{}, left: -1}
}

// Clone returns a disk with the same files, all of them synced.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New()
	for name, f := range d.files {
		copied := &inode{data: slices.Clone(f.data), safe: slices.Clone(f.data)}
		c.files[name], c.synced[name] = copied, copied
	}
	return c
}

// Fail has every operation ask f first; nil ends that. Files in it are told apart by
// name; f must not use the disk.
func (d *Disk) Fail(f func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// SetCapacity bounds the disk in bytes; 0 unbounds it.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used returns what all files take.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// Names returns the files in order.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names()
}

// Change replaces a file's contents, synced and not, by what f makes of a copy of
// them; nil deletes the file.
func (d *Disk) Change(name string, f func([]byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file, ok := d.files[name]
	if !ok {
		return
	}
	b := f(slices.Clone(file.data))
	if b == nil {
		delete(d.files, name)
		delete(d.synced, name)
		return
	}
	file.data, file.safe, file.pending = b, slices.Clone(b), nil
}

// step asks whether an operation may happen.
func (d *Disk) step(op, name string) error {
	if d.left == 0 {
		return ErrPower
	}
	if d.left > 0 {
		d.left--
	}
	if d.fail != nil {
		return d.fail(op, name)
	}
	return nil
}

func (d *Disk) used() (n int64) {
	for _, f := range d.files {
		n += int64(len(f.data))
	}
	return n
}

func (d *Disk) room(more int64) error {
	if d.capacity > 0 && d.used()+more > d.capacity {
		return syscall.ENOSPC
	}
	return nil
}

func (d *Disk) names() []string {
	var names []string
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Lock implements spool.Folder.
func (d *Disk) Lock(string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		return nil, ErrPower
	}
	if d.locked {
		return nil, errors.New("in use")
	}
	d.locked = true
	return unlock{d, d.life}, nil
}

type unlock struct {
	d    *Disk
	life int
}

func (u unlock) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	if u.life == u.d.life {
		u.d.locked = false
	}
	return nil
}

// ListDir implements types.VFS.
func (d *Disk) ListDir(string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpList, ""); err != nil {
		return nil, err
	}
	return d.names(), nil
}

// Create implements types.VFS.
func (d *Disk) Create(_, name string, size uint64) (types.WritableFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpCreate, name); err != nil {
		return nil, err
	}
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &inode{}
	d.name(change{name, f})
	err := d.step(OpReserve, name)
	if err == nil {
		err = d.room(int64(size)) //nolint:gosec // a test's file
	}
	if err != nil {
		if !errors.Is(err, ErrPower) {
			d.name(change{name, nil})
		}
		return nil, err
	}
	f.put(write{size: int64(size)}) //nolint:gosec // a test's file
	return &file{d: d, inode: f, name: name, life: d.life}, nil
}

func (d *Disk) name(c change) {
	apply(d.files, c)
	d.changes = append(d.changes, c)
}

func (d *Disk) syncNames(name string) error {
	if err := d.step(OpSyncDir, name); err != nil {
		return err
	}
	for _, c := range d.changes {
		apply(d.synced, c)
	}
	d.changes = nil
	return nil
}

// OpenReader implements types.VFS.
func (d *Disk) OpenReader(_, name string) (types.ReadableFile, error) { return d.open(name) }

// OpenWriter implements types.VFS.
func (d *Disk) OpenWriter(_, name string) (types.WritableFile, error) { return d.open(name) }

func (d *Disk) open(name string) (*file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpOpen, name); err != nil {
		return nil, err
	}
	f := d.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &file{d: d, inode: f, name: name, life: d.life}, nil
}

// Delete implements types.VFS.
func (d *Disk) Delete(_, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpDelete, name); err != nil {
		return err
	}
	if d.files[name] != nil {
		d.name(change{name, nil})
	}
	return d.syncNames(name)
}

// Rename implements spool.Folder.
func (d *Disk) Rename(_, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpRename, from); err != nil {
		return err
	}
	f := d.files[from]
	if f == nil {
		return fs.ErrNotExist
	}
	d.name(change{to, f})
	d.name(change{from, nil})
	return d.syncNames(from)
}

// Size implements spool.Folder.
func (d *Disk) Size(_, name string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpOpen, name); err != nil {
		return 0, err
	}
	f := d.files[name]
	if f == nil {
		return 0, fs.ErrNotExist
	}
	return int64(len(f.data)), nil
}

// Truncate implements spool.Folder.
func (d *Disk) Truncate(_, name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(OpTruncate, name); err != nil {
		return err
	}
	f := d.files[name]
	if f == nil {
		return fs.ErrNotExist
	}
	f.put(write{size: size})
	return nil
}

func (f *inode) put(w write) {
	f.data = w.apply(f.data)
	f.pending = append(f.pending, w)
}
