package chaos

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// errNoSegment: there is no file to tear.
var errNoSegment = errors.New("no segment file")

// frameAlign is the alignment of what the log writes: its frames are padded to it.
const frameAlign = 8

// Tear makes the newest segment file below the folder end as a power loss leaves it: a
// record that was being written when the power went, the first part of an older one or
// noise, behind everything that was synced. Files are allocated ahead and filled with
// zeros, so that the end is behind the last byte that is not zero. What was synced
// stays: the promise holds for it.
func Tear(folder string, dice *rand.Rand) (name string, err error) {
	name, err = newestSegment(folder)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("tear: %w", err)
	}
	defer f.Close()
	size, end, err := written(f)
	if err != nil {
		return "", fmt.Errorf("tear %s: %w", name, err)
	}
	torn := make([]byte, 1+dice.IntN(4096))
	from := int64(0)
	if end > 32 && dice.IntN(2) == 0 { // what was a record once; 32 bytes are the file's head
		from = (32 + dice.Int64N(end-32)) | 1 // off by a byte: never a whole record again
	}
	if from == 0 {
		for i := range torn {
			torn[i] = byte(dice.UintN(256)) //nolint:gosec // below 256
		}
	} else if _, err := f.ReadAt(torn, from); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("tear %s: %w", name, err)
	}
	at := (end + frameAlign - 1) / frameAlign * frameAlign
	if size > at {
		torn = torn[:min(int64(len(torn)), size-at)] // a segment does not grow
	}
	if _, err := f.WriteAt(torn, at); err != nil {
		return "", fmt.Errorf("tear %s: %w", name, err)
	}
	return name, nil
}

// newestSegment finds the segment that was written last: names ascend.
func newestSegment(folder string) (name string, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".wal") && filepath.Base(path) > filepath.Base(name) {
			name = path
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && name == "":
		return "", fmt.Errorf("tear: %w below %s", errNoSegment, folder)
	case err != nil:
		return "", fmt.Errorf("tear: %w", err)
	}
	return name, nil
}

// written returns the size of a file and the end of what is not zero in it.
func written(f *os.File) (size, end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	buf := make([]byte, 64<<10)
	for at := info.Size(); at > 0 && end == 0; {
		n := min(at, int64(len(buf)))
		at -= n
		if _, err := f.ReadAt(buf[:n], at); err != nil {
			return 0, 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if buf[i] != 0 {
				end = at + i + 1
				break
			}
		}
	}
	return info.Size(), end, nil
}
