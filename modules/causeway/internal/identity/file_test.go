package identity

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// put writes a file that only its owner reads.
func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func source(t *testing.T, setting string, with Surroundings) Source {
	t.Helper()
	keys, _, faults := New(Settings{Keys: raw("s", setting), Most: 100}, with)
	if faults != nil {
		t.Fatal(faults)
	}
	return keys
}

func TestAFileOfAllDevicesIsReadInBothForms(t *testing.T) {
	for name, text := range map[string]string{
		"keys.json":      `{"truck-1": "` + planted + `", "B:2": "` + other + `"}`,
		"empty-name.csv": "truck-1," + planted + "\nB:2," + other + "\n",
		"head.csv":       "deviceId,key\r\ntruck-1," + planted + "\r\n\r\nB:2, \"" + other + "\"",
		"marked.CSV":     "\ufeffdeviceid,KEY\ntruck-1," + planted + " \n B:2," + other,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			put(t, path, text)
			s := source(t, `{"kind":"file","path":"`+path+`"}`, surroundings(nil, nil))
			for device, key := range map[string]string{"truck-1": planted, "b:2": other} {
				c, err := s.Credential(t.Context(), device)
				if err != nil {
					t.Fatal(err)
				}
				signs(t, c, key)
			}
			_, err := s.Credential(t.Context(), "truck-2")
			wraps(t, err, ErrUnknown)
		})
	}
}

func TestAChangedFileCountsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	put(t, path, `{"a": "`+planted+`"}`)
	s := source(t, `{"kind":"file","path":"`+path+`"}`, surroundings(nil, nil))
	if _, err := s.Credential(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	later := path + ".new" // as one replaces a file that others read
	put(t, later, `{"a": "`+other+`"}`)
	if err := os.Rename(later, path); err != nil {
		t.Fatal(err)
	}
	c, err := s.Credential(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, c, other)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = s.Credential(t.Context(), "a")
	wraps(t, err, ErrUnavailable, "keys.json")
}

// Two writes within the grain of the file system's clock look the same.
func TestAFileIsReadAgainAfterTheHubRefusedItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	put(t, path, `{"a": "`+planted+`"}`)
	moment := time.Now()
	if err := os.Chtimes(path, moment, moment); err != nil {
		t.Fatal(err)
	}
	keys, _, faults := New(Settings{Keys: raw("s", `{"kind":"file","path":"`+path+`"}`), Most: 10}, surroundings(nil, nil))
	if faults != nil {
		t.Fatal(faults)
	}
	if _, err := keys.Credential(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put(t, path, `{"a": "`+other+`"}`)
	if err := os.Chtimes(path, moment, moment); err != nil {
		t.Fatal(err)
	}
	keys.Forget("a")
	c, err := keys.Credential(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, c, other)
}

func TestAFolderHasAFileForEachDevice(t *testing.T) {
	dir := t.TempDir()
	chain, key := certificate(t, "cert-1", time.Now().Add(time.Hour))
	put(t, filepath.Join(dir, "truck-1"), planted+"\n")
	put(t, filepath.Join(dir, "cert-1.pem"), chain)
	put(t, filepath.Join(dir, "cert-1.key"), key)
	s := source(t, `{"kind":"file","path":"`+dir+`"}`, surroundings(nil, nil))
	c, err := s.Credential(t.Context(), "truck-1")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, c, planted)
	c, err = s.Credential(t.Context(), "cert-1")
	if err != nil || c.Certificate == nil || c.Sign != nil || c.Certificate.Leaf.Subject.CommonName != "cert-1" {
		t.Errorf("%v, %v", c, err)
	}
	for _, device := range []string{"truck-2", "cert-1.pem", "cert-1.key", "TRUCK-1"} {
		_, err = s.Credential(t.Context(), device)
		wraps(t, err, ErrUnknown)
	}
	put(t, filepath.Join(dir, "truck-1"), other)
	if c, err = s.Credential(t.Context(), "truck-1"); err != nil {
		t.Fatal(err)
	}
	signs(t, c, other)
}

func TestNoIdLeadsOutOfTheFolder(t *testing.T) {
	outside := t.TempDir()
	put(t, filepath.Join(outside, "truck-1"), planted)
	dir := filepath.Join(outside, "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../truck-1", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	folder := keyFolder{dir}
	for _, device := range []string{"../truck-1", "..", ".", "", "/etc/passwd", "folder/../../truck-1", "folder", "a\x00"} {
		_, err := folder.Credential(t.Context(), device)
		wraps(t, err, ErrUnknown)
	}
	_, err := folder.Credential(t.Context(), "link")
	wraps(t, err, ErrUnavailable)
}

func TestFilesThatCannotBeUsedSayWhy(t *testing.T) {
	chain, key := certificate(t, "a", time.Now().Add(time.Hour))
	ended, endedKey := certificate(t, "a", time.Now().Add(-time.Hour))
	_, foreign := certificate(t, "a", time.Now().Add(time.Hour))
	for name, c := range map[string]struct {
		files map[string]string
		why   string
	}{
		"not base64":       {map[string]string{"a": "no key"}, "not base64"},
		"too short":        {map[string]string{"a": "c2hvcnQ="}, "5 bytes"},
		"empty":            {map[string]string{"a": ""}, "0 bytes"},
		"no private key":   {map[string]string{"a.pem": chain}, "a.key beside a.pem"},
		"no certificate":   {map[string]string{"a.pem": "text", "a.key": key}, "certificate"},
		"no key":           {map[string]string{"a.pem": chain, "a.key": "text"}, "key"},
		"another's key":    {map[string]string{"a.pem": chain, "a.key": foreign}, "does not match"},
		"an ended one":     {map[string]string{"a.pem": ended, "a.key": endedKey}, "ended on"},
		"far too large":    {map[string]string{"a": strings.Repeat("A", maxOneKey+1)}, "more than"},
		"too large a cert": {map[string]string{"a.pem": strings.Repeat("A", maxOneKey+1), "a.key": key}, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				put(t, filepath.Join(dir, file), text)
			}
			_, err := keyFolder{dir}.Credential(t.Context(), "a")
			wraps(t, err, ErrUnavailable, c.why)
		})
	}
	_, err := keyFolder{filepath.Join(t.TempDir(), "none")}.Credential(t.Context(), "a")
	wraps(t, err, ErrUnavailable, "none")
}

func TestAFileOfKeysThatOthersMayReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	for mode, refused := range map[os.FileMode]bool{
		0o400: false, 0o600: false, 0o640: false, 0o660: false, 0o644: true, 0o604: true, 0o602: true, 0o666: true,
	} {
		path := filepath.Join(dir, "a")
		put(t, path, planted)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keyFolder{dir}.Credential(t.Context(), "a")
		if refused {
			wraps(t, err, ErrUnavailable, "chmod o=")
		} else if err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPipeInPlaceOfAFileDoesNotStopAnything(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := keyFolder{dir}.Credential(t.Context(), "a")
	wraps(t, err, ErrUnavailable, "regular")
}
