// Package state keeps the simulator's small documents in a folder, so that a killed
// simulator comes back with the identities, twins and certificates that its clients know.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is a folder of JSON documents, one file each. It is safe for concurrent use as long
// as one name is saved by one goroutine at a time.
type Dir struct{ path string }

// Open makes the folder when it is missing; only its owner may read it, as it holds keys.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	return &Dir{path: path}, nil
}

// Path returns a file's path in the folder.
func (d *Dir) Path(file string) string { return filepath.Join(d.path, file) }

// Load fills doc from the named document and says whether there is one.
func (d *Dir) Load(name string, doc any) (bool, error) {
	data, err := os.ReadFile(d.Path(name + ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("load state: %w", err)
	}
	if err := json.Unmarshal(data, doc); err != nil {
		return false, fmt.Errorf("load state %s: %w", d.Path(name+".json"), err)
	}
	return true, nil
}

// Save replaces the named document in one step: a killed process leaves the old or the
// new one. It does not wait for the disk, as a power loss is not what it guards against.
func (d *Dir) Save(name string, doc any) error {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("save state %s: %w", name, err)
	}
	if err := d.WriteFile(name+".json", append(data, '\n')); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// WriteFile replaces a file of the folder in one step.
func (d *Dir) WriteFile(file string, data []byte) error {
	temp, err := os.CreateTemp(d.path, ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = temp.Write(data)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), d.Path(file))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}
