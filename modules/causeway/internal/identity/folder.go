package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// maxOneKey bounds the file of one device; a chain of certificates is some 10 KiB.
const maxOneKey = 64 << 10

// keyFolder has a file for each device: <id> with its symmetric key, or <id>.pem and
// <id>.key with its certificate chain and private key.
type keyFolder struct{ path string }

// Credential implements Source. Nothing is kept: a changed file counts from the next
// token.
func (k keyFolder) Credential(_ context.Context, hubDevice string) (Credential, error) {
	if CheckID(hubDevice) != nil { // a name within the folder, since ids have no separators
		return Credential{}, ErrUnknown
	}
	root, err := os.OpenRoot(k.path)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer root.Close() //nolint:errcheck // it is only read
	c, err := k.credential(root, hubDevice)
	if err != nil && !errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return c, err
}

func (k keyFolder) credential(root *os.Root, hubDevice string) (Credential, error) {
	chain, err := readOne(root, hubDevice+".pem")
	if err == nil {
		key, err := readOne(root, hubDevice+".key")
		if errors.Is(err, ErrUnknown) {
			return Credential{}, fmt.Errorf("%s has no %[2]s.key beside %[2]s.pem", k.path, hubDevice)
		}
		if err != nil {
			return Credential{}, err
		}
		return certified(chain, key)
	}
	if !errors.Is(err, ErrUnknown) {
		return Credential{}, err
	}
	data, err := readOne(root, hubDevice)
	if err != nil {
		return Credential{}, err
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return Credential{}, ErrUnknown // the id of a device ends like the file of another
	}
	key, err := decodeKey(string(data))
	if err != nil {
		return Credential{}, fmt.Errorf("%s/%s: %w", k.path, hubDevice, err)
	}
	return symmetric(key), nil
}

// readOne reads a file of a folder; ErrUnknown where there is none.
func readOne(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, readOnly, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, ErrUnknown
	}
	return readPrivate(f, info, maxOneKey)
}
