// Package state is the gateway's small memory on disk: one bbolt file, state.db in
// the data directory, with a bucket for each room that keeps something there
// (queued commands, dead letters). It is the only package that imports bbolt.
//
// bbolt syncs each transaction and survives a crash at any moment, but has no
// checksums for what is stored; so every value carries its own CRC-32C, and a
// value that does not match is passed over. A file that cannot be read is set
// aside when it is opened, never a reason not to start.
package state

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrDamaged: the file does not hold what was written.
	ErrDamaged = errors.New("state file is damaged")
	// ErrUnavailable: the file could not be opened, or is closed.
	ErrUnavailable = errors.New("state file is not available")
	// ErrLocked: another process has the file open.
	ErrLocked = errors.New("another process has the state file open")
	// ErrNone: there is no value under that key.
	ErrNone = errors.New("no such key")
)

const (
	name = "state.db"
	// lockWait is how long another process may hold the file: one that was told to
	// end drains for some seconds.
	lockWait = 15 * time.Second
)

// File is the open file. It is safe for concurrent use: one Update at a time, and
// any number of Views beside it.
type File struct {
	dir string
	db  *bbolt.DB
	why error // why db is nil
	sum *crc32.Table
}

// New names the file in a directory. Every call fails with ErrUnavailable until Open.
func New(dir string) *File {
	return &File{dir: dir, why: ErrUnavailable, sum: crc32.MakeTable(crc32.Castagnoli)}
}

// Open opens the file; the directory is made where it is missing. It is called once,
// before the other calls, and Close after them. An error is a report: it wraps
// ErrDamaged when the file was renamed to state.db.damaged and a new one begun, which
// is usable; otherwise it wraps ErrUnavailable, as every later call does.
func (f *File) Open() error { return f.OpenWithin(lockWait) }

// OpenWithin is Open, which waits only so long for another process that has the file
// open; the error wraps ErrLocked then, besides ErrUnavailable.
func (f *File) OpenWithin(wait time.Duration) error {
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return f.unavailable(err)
	}
	db, err := open(path, wait)
	if err == nil {
		f.db = db
		return nil
	}
	if !errors.Is(err, ErrDamaged) {
		return f.unavailable(err)
	}
	aside := path + ".damaged"
	report := fmt.Errorf("state: %w; kept as %s", err, aside)
	if err := os.Rename(path, aside); err != nil {
		return f.unavailable(errors.Join(report, err))
	}
	if db, err = open(path, wait); err != nil {
		return f.unavailable(errors.Join(report, err))
	}
	f.db = db
	return report
}

func (f *File) unavailable(err error) error {
	f.why = fmt.Errorf("state: %w: %w", ErrUnavailable, err)
	return f.why
}

// open opens and looks through the whole file: some 20 ms for the 16 MiB that the
// rooms keep by default.
func open(path string, wait time.Duration) (db *bbolt.DB, err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: wait})
	if err != nil {
		return nil, sorted(err)
	}
	if err = verify(db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// sorted tells damage from a file that cannot be opened: what the system says, or
// another process holds, is no damage.
func sorted(err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return ErrLocked
	}
	if _, errno := errors.AsType[syscall.Errno](err); errno {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// verify reads everything once, here, where a fault of the mapped memory can be
// caught, and has bbolt check the pages then.
func verify(db *bbolt.DB, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: %d bytes, should be %d", ErrDamaged, info.Size(), tx.Size())
		}
		err = tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			if b == nil {
				return fmt.Errorf("%w: a value outside of a bucket", ErrDamaged)
			}
			var sum uint32
			return b.ForEach(func(_, value []byte) error {
				sum = crc32.Update(sum, crc32.IEEETable, value)
				return nil
			})
		})
		if err != nil {
			return err
		}
		for fault := range tx.Check() {
			if err == nil { // the others follow from it, and have to be read
				err = fmt.Errorf("%w: %w", ErrDamaged, fault)
			}
		}
		return err
	})
}

// recovered turns what bbolt panics with on pages that make no sense, and faults of
// the mapped memory, into an error.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, v)
	}
}

// Close ends the file; later calls fail with ErrUnavailable.
func (f *File) Close() error {
	if f.db == nil {
		return nil
	}
	return f.db.Close()
}

// View calls fn with a bucket to read from. What fn is given is valid until it
// returns.
func (f *File) View(bucket string, fn func(*Bucket) error) error {
	if f.db == nil {
		return f.why
	}
	return f.outcome("read", bucket, guarded(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			return fn(&Bucket{in: tx.Bucket([]byte(bucket)), sum: f.sum})
		})
	}))
}

// Update calls fn with a bucket to change. When it returns nil, what fn did is
// synced to disk as a whole; with an error nothing of it is.
func (f *File) Update(bucket string, fn func(*Bucket) error) error {
	if f.db == nil {
		return f.why
	}
	return f.outcome("write", bucket, guarded(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			in, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err != nil {
				return err
			}
			return fn(&Bucket{in: in, sum: f.sum})
		})
	}))
}

func guarded(fn func() error) (err error) {
	defer recovered(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return fn()
}

func (f *File) outcome(what, bucket string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		err = ErrUnavailable
	}
	return fmt.Errorf("state: %s %s: %w", what, bucket, err)
}
