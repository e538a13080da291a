package spool

import (
	"errors"
	"os"
	"syscall"
)

// reserve takes the space of a segment now: a disk that gets full is found here and
// not in the middle of a segment. File systems that cannot reserve do without.
func reserve(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ENOTSUP):
			return nil
		default:
			return err
		}
	}
}

// syncData leaves the times of the file to the system: that saves a journal entry.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// lock holds the directory itself: that works on a read-only disk, and ends with
// the process.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
