package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	// ErrDigest: what was got is not what its SHA-256 says.
	ErrDigest = errors.New("digest mismatch")
	// ErrTooLarge: the program is over the bound.
	ErrTooLarge = errors.New("program too large")
	// ErrMissing: the program was not delivered yet.
	ErrMissing = errors.New("program not delivered")
	// ErrSource: the source is none that is known.
	ErrSource = errors.New("bad source")
)

const (
	// MaxBytes bounds a program: a Go guest of a small codec has 2 MiB.
	MaxBytes = 16 << 20
	// fetchTimeout bounds a download, which a change of configuration waits for.
	fetchTimeout = 30 * time.Second
	// keptFiles bounds what is kept on disk besides what is in use.
	keptFiles = 32
	// redirects are as many as a browser's half: more is a loop.
	redirects = 5
)

// Source says where a program comes from.
type Source struct {
	// URL is file:///path, https://host/path, or put: for what putCodec delivers.
	URL string
	// SHA256 is the program's digest in lower-case hexadecimal. It may be empty for a file
	// only.
	SHA256 string
}

// Program is the bytes of a program.
type Program struct {
	Bytes []byte
	// SHA256 is in lower-case hexadecimal.
	SHA256 string
}

// Library gets programs and keeps them in a directory, which is made when needed. It is
// safe for concurrent use.
type Library struct {
	dir    string
	client *http.Client

	mu      sync.Mutex
	uploads map[string]*upload
}

// NewLibrary returns the library in a directory.
func NewLibrary(dir string) *Library {
	return &Library{dir: dir, uploads: make(map[string]*upload), client: &http.Client{
		Timeout: fetchTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > redirects || r.URL.Scheme != "https" {
				return fmt.Errorf("redirected to %s", r.URL.Redacted())
			}
			return nil
		},
	}}
}

// Check tells what is wrong with a source, without getting it. The error wraps ErrSource.
func (s Source) Check() error {
	u, err := url.Parse(s.URL)
	if err != nil {
		return fmt.Errorf("%w: %q is no URL", ErrSource, s.URL)
	}
	digest, err := hex.DecodeString(s.SHA256)
	switch {
	case s.SHA256 != "" && (err != nil || len(digest) != sha256.Size || strings.ToLower(s.SHA256) != s.SHA256):
		return fmt.Errorf("%w: sha256 must be 64 lower-case hexadecimal digits", ErrSource)
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path):
		return nil
	case u.Scheme != "https" && s.URL != "put:":
		return fmt.Errorf("%w: %q, must be put:, file:///path or https://host/path", ErrSource, s.URL)
	case u.Scheme == "https" && u.Host == "":
		return fmt.Errorf("%w: %q has no host", ErrSource, s.URL)
	case s.SHA256 == "":
		return fmt.Errorf("%w: %q needs a sha256", ErrSource, s.URL)
	}
	return nil
}

// Get returns the program of a source. Where it is kept under the digest already, nothing
// is fetched. Errors wrap ErrSource, ErrDigest, ErrTooLarge, ErrMissing, or say why the
// source cannot be read.
func (l *Library) Get(ctx context.Context, s Source) (*Program, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.SHA256 != "" {
		if p, err := l.kept(s.SHA256); err == nil {
			return p, nil
		}
	}
	b, err := l.fetch(ctx, s)
	if err != nil {
		return nil, err
	}
	p := &Program{Bytes: b, SHA256: digestOf(b)}
	if s.SHA256 != "" && p.SHA256 != s.SHA256 {
		return nil, fmt.Errorf("%w: %s has %s, want %s", ErrDigest, s.URL, p.SHA256, s.SHA256)
	}
	return p, nil
}

// Keep keeps a program on disk, as the last of the name. It is called once the program
// is known to work.
func (l *Library) Keep(name string, p *Program) error {
	if err := l.write(p.SHA256, p.Bytes); err != nil {
		return fmt.Errorf("keep program of codec %s: %w", name, err)
	}
	if err := l.write(name+lastSuffix, []byte(p.SHA256)); err != nil {
		return fmt.Errorf("keep program of codec %s: %w", name, err)
	}
	return nil
}

// lastSuffix marks the files that say which program a name had last.
const lastSuffix = ".last"

// Last returns what was kept last under the name, for a start while its source cannot be
// read.
func (l *Library) Last(name string) (*Program, error) {
	digest, err := os.ReadFile(filepath.Join(l.dir, name+lastSuffix))
	if err != nil {
		return nil, fmt.Errorf("%w: nothing was kept", ErrMissing)
	}
	return l.kept(string(digest))
}

func (l *Library) fetch(ctx context.Context, s Source) ([]byte, error) {
	if s.URL == "put:" {
		return nil, fmt.Errorf("%w: call putCodec with sha256 %s", ErrMissing, s.SHA256)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no URL", ErrSource, s.URL)
	}
	if u.Scheme == "file" {
		f, err := os.Open(u.Path)
		if err != nil {
			return nil, fmt.Errorf("read program: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was read only
		return bounded(f, s.URL)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	answer, err := l.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetch program: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was read only
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch program: %s answers %s", u.Redacted(), answer.Status)
	}
	return bounded(answer.Body, s.URL)
}

func bounded(from io.Reader, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(from, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: %s, at most %d bytes are allowed", ErrTooLarge, what, MaxBytes)
	}
	return b, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// kept reads what is on disk under a digest. What is damaged is not there.
func (l *Library) kept(digest string) (*Program, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, digest))
	if err != nil {
		return nil, err
	}
	if digestOf(b) != digest {
		return nil, fmt.Errorf("%w: the file of %s is damaged", ErrDigest, digest)
	}
	return &Program{Bytes: b, SHA256: digest}, nil
}

// write replaces a file as a whole.
func (l *Library) write(name string, b []byte) error {
	path := filepath.Join(l.dir, name)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(l.dir, "new.*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // gone already after the rename
	_, err = temp.Write(b)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// Prune deletes the programs that are not in use, but for the youngest 32.
func (l *Library) Prune(inUse []string) error {
	entries, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("prune programs: %w", err)
	}
	var idle []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && !strings.HasSuffix(e.Name(), lastSuffix) && !slices.Contains(inUse, e.Name()) {
			idle = append(idle, info)
		}
	}
	slices.SortFunc(idle, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range idle[min(len(idle), keptFiles):] {
		if err := os.Remove(filepath.Join(l.dir, info.Name())); err != nil {
			return fmt.Errorf("prune programs: %w", err)
		}
	}
	return nil
}
