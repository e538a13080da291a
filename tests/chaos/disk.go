package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// diskBytes is the size of the gateway's own file system: room for a spool of some
// segments, little enough to be filled in a moment.
const diskBytes = 256 << 20

// mountTimeout bounds one call of mount or umount.
const mountTimeout = 20 * time.Second

// Disk is where the gateway keeps its data: a small file system of its own where the
// test may mount one, otherwise a plain folder, which can be made read-only for
// everybody but root and cannot be full.
type Disk struct {
	// Data is the gateway's data directory.
	Data string
	root string
	own  bool
}

// NewDisk mounts a small tmpfs on the folder. What it cannot do it says in
// [Disk.Kind].
func NewDisk(folder string) (*Disk, error) {
	d := &Disk{root: folder, Data: filepath.Join(folder, "data")}
	err := mount("-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=755", diskBytes), "chaos", folder)
	d.own = err == nil
	if err := os.Mkdir(d.Data, 0o755); err != nil { //nolint:gosec // nothing secret
		return nil, errors.Join(fmt.Errorf("chaos disk: %w", err), d.Close())
	}
	return d, nil
}

// Kind says what the disk is.
func (d *Disk) Kind() string {
	if d.own {
		return fmt.Sprintf("a tmpfs of %d MiB, which is filled and remounted read-only", diskBytes>>20)
	}
	return "a plain folder (mounting was not allowed): never full, read-only by its mode"
}

// CanFill says whether Fill can work.
func (d *Disk) CanFill() bool { return d.own }

// Fill leaves not one byte of the disk free; Empty takes that back.
func (d *Disk) Fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		if errors.Is(err, syscall.ENOSPC) {
			size /= 2
			continue
		}
		if err != nil {
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

// Empty takes away what Fill has written.
func (d *Disk) Empty() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("empty the disk: %w", err)
	}
	return nil
}

func (d *Disk) ballast() string { return filepath.Join(d.root, "ballast") }

// ReadOnly makes the data directory read-only or writable. No process may have files
// of it open for writing.
func (d *Disk) ReadOnly(yes bool) error {
	if d.own {
		option := "remount,rw"
		if yes {
			option = "remount,ro"
		}
		return mount("-o", option, d.root)
	}
	mode := fs.FileMode(0o755)
	if yes {
		mode = 0o555
	}
	return errors.Join(filepath.WalkDir(d.Data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return os.Chmod(path, mode)
	}), os.Chmod(d.Data, mode))
}

// Close unmounts the disk. Nothing may use it any more.
func (d *Disk) Close() error {
	if !d.own {
		return d.ReadOnly(false)
	}
	return run("umount", d.root)
}

func mount(args ...string) error { return run("mount", args...) }

func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), mountTimeout)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}
