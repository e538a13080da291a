package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/authenticate"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const (
	// lockPatience is how long a command waits for a gateway that is just ending.
	lockPatience = time.Second
	// devicesPage is how many devices are read at once.
	devicesPage = 500
	// maxPasswordLine bounds the first line of a file with a password.
	maxPasswordLine = 4 << 10
	// stateFile is what there is in the data directory of a gateway that has run.
	stateFile = "state.db"
)

func deviceCommands() []command {
	return []command{
		{"devices list", "[-data DIR | -file FILE]", "the devices of the database", listDevices},
		{"devices put", "[-data DIR | -file FILE] [-password FILE] ID", "add or change a device", putDevice},
		{"devices remove", "[-data DIR | -file FILE] ID...", "remove devices", removeDevices},
		{"devices export", "[-data DIR]", "write all devices, with the hashes of their passwords", exportDevices},
		{"devices import", "[-data DIR] FILE", "add or replace the devices of an exported file", importDevices},
	}
}

// store is where the devices of a command are: in the data directory, or in an exported
// file.
type store struct{ data, file *string }

func (c *call) store() store {
	return store{
		data: c.flags.String("data", c.opts.Data, "data `directory` of a gateway that does not run"),
		file: c.flags.String("file", "", "exported `file` to work on, instead of a data directory"),
	}
}

// with opens the devices for a function. What it changes in a file is written when it
// returns nil.
func (s store) with(changes bool, fn func(*authenticate.Database) error) error {
	if *s.file != "" {
		return withFile(*s.file, changes, fn)
	}
	if !changes {
		if _, err := os.Stat(filepath.Join(*s.data, stateFile)); err != nil {
			return fmt.Errorf("read devices: %w", err)
		}
	}
	if _, err := os.Stat(*s.data); err != nil { // a directory that is not there is a mistake
		return fmt.Errorf("open devices: %w", err)
	}
	return withState(*s.data, fn)
}

func withState(dir string, fn func(*authenticate.Database) error) (err error) {
	f := state.New(dir)
	if err := f.OpenWithin(lockPatience); errors.Is(err, state.ErrLocked) {
		return fmt.Errorf("%s is in use: a gateway runs on it. Stop it, or use its direct methods "+
			"putDevice, removeDevice, listAuthDevices, exportDevices and importDevices", filepath.Join(dir, stateFile))
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return fn(authenticate.NewDatabase(authenticate.DatabaseOptions{File: f}))
}

// withFile works on an exported file by way of a database of its own.
func withFile(path string, changes bool, fn func(*authenticate.Database) error) (err error) {
	dir, err := os.MkdirTemp("", "causeway-devices-") // for its owner only
	if err != nil {
		return fmt.Errorf("open devices: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return withState(dir, func(d *authenticate.Database) error {
		in, err := os.Open(path)
		switch {
		case err == nil:
			_, err = d.Import(in)
			err = errors.Join(err, in.Close())
		case changes && errors.Is(err, fs.ErrNotExist): // a file that begins
			err = nil
		}
		if err != nil {
			return err
		}
		if err := fn(d); err != nil || !changes {
			return err
		}
		return replace(path, d)
	})
}

// replace writes the devices over a file, whole or not at all.
func replace(path string, d *authenticate.Database) error {
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // for its owner only
	if err != nil {
		return fmt.Errorf("write devices: %w", err)
	}
	defer os.Remove(out.Name()) //nolint:errcheck // gone already after the rename
	err = d.Export(out)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write devices: %w", err)
	}
	return os.Rename(out.Name(), path)
}

func listDevices(c *call) error {
	from := c.store()
	if err := c.parse(); err != nil {
		return err
	}
	return from.with(false, func(d *authenticate.Database) error {
		after := ""
		for {
			list, err := d.List(after, devicesPage)
			if err != nil || len(list) == 0 {
				return err
			}
			for i := range list {
				if err := c.put(list[i]); err != nil {
					return err
				}
			}
			after = list[len(list)-1].ID
		}
	})
}

func putDevice(c *call) error {
	to := c.store()
	file := c.flags.String("password", "", "`file` whose first line is the password, - for standard input")
	hash := c.flags.String("hash", "", "hash of the `password`, argon2id or bcrypt, instead of it")
	keep := c.flags.Bool("keep", false, "leave the password as it is")
	disabled := c.flags.Bool("disabled", false, "refuse the device")
	expires := c.flags.String("expires", "", "`time` from which it is refused, as 2027-01-31T12:00:00Z")
	listeners := c.flags.String("listeners", "", "`names` of the listeners that it may come in by, with commas")
	note := c.flags.String("note", "", "`text` for people")
	if err := c.parse(); err != nil {
		return err
	}
	if len(c.args) != 1 {
		return usagef("want the id of one device")
	}
	device := authenticate.Device{ID: c.args[0], Disabled: *disabled, Note: *note}
	if *listeners != "" {
		device.Listeners = strings.Split(*listeners, ",")
	}
	var err error
	if *expires != "" {
		if device.Expires, err = time.Parse(time.RFC3339, *expires); err != nil {
			return usagef("time %q, want one as 2027-01-31T12:00:00Z", *expires)
		}
	}
	p := authenticate.Password{Hash: *hash, Keep: *keep}
	if *file != "" {
		if p.Plain, err = c.password(*file); err != nil {
			return err
		}
	}
	return to.with(true, func(d *authenticate.Database) error {
		if err := d.Put(c.ctx, device, p); err != nil {
			return err
		}
		return c.put(map[string]any{"device": device.ID, "stored": true})
	})
}

// password reads the first line of a file: on the command line others could see it.
func (c *call) password(path string) (string, error) {
	in := c.opts.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("read password: the first line is empty")
	}
	return line, nil
}

func removeDevices(c *call) error {
	from := c.store()
	if err := c.parse(); err != nil {
		return err
	}
	if len(c.args) == 0 {
		return usagef("want the ids of devices")
	}
	return from.with(true, func(d *authenticate.Database) error {
		for _, id := range c.args {
			if err := d.Remove(id); err != nil {
				return err
			}
			if err := c.put(map[string]any{"device": id, "removed": true}); err != nil {
				return err
			}
		}
		return nil
	})
}

func exportDevices(c *call) error {
	from := c.store()
	if err := c.parse(); err != nil {
		return err
	}
	return from.with(false, func(d *authenticate.Database) error { return d.Export(c.opts.Stdout) })
}

func importDevices(c *call) error {
	to := c.store()
	if err := c.parse(); err != nil {
		return err
	}
	if len(c.args) != 1 {
		return usagef("want an exported file")
	}
	in := c.opts.Stdin
	if c.args[0] != "-" {
		f, err := os.Open(c.args[0])
		if err != nil {
			return fmt.Errorf("import devices: %w", err)
		}
		defer f.Close()
		in = f
	}
	return to.with(true, func(d *authenticate.Database) error {
		done, err := d.Import(in)
		if err != nil {
			return err
		}
		return c.put(map[string]any{"added": done.Added, "replaced": done.Replaced})
	})
}
