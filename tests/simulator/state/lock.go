package state

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrInUse is returned for a folder that another simulator holds.
var ErrInUse = errors.New("the state folder is in use by another simulator")

// Lock keeps other simulators away until it is released or the process ends.
func (d *Dir) Lock() (release func() error, err error) {
	f, err := os.OpenFile(d.Path(".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", d.path, ErrInUse), f.Close())
	}
	return f.Close, nil
}
