package plugin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acme.js")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func want(t *testing.T, p *Program, err error, text string) {
	t.Helper()
	if err != nil || string(p.Bytes) != text || p.SHA256 != digestOf([]byte(text)) {
		t.Fatalf("got %+v, %v; want %q", p, err, text)
	}
}

func TestSourcesAreJudgedBeforeTheyAreRead(t *testing.T) {
	digest := digestOf(nil)
	cases := []struct {
		source Source
		reason string
	}{
		{Source{URL: "file:///codecs/acme.js"}, ""},
		{Source{URL: "file:///codecs/acme.js", SHA256: digest}, ""},
		{Source{URL: "https://example.com/acme.js", SHA256: digest}, ""},
		{Source{URL: "put:", SHA256: digest}, ""},
		{Source{URL: "https://example.com/acme.js"}, "needs a sha256"},
		{Source{URL: "put:"}, "needs a sha256"},
		{Source{URL: "http://example.com/acme.js", SHA256: digest}, "must be put:"},
		{Source{URL: "https:///acme.js", SHA256: digest}, "no host"},
		{Source{URL: "file://host/acme.js"}, "must be put:"},
		{Source{URL: "acme.js"}, "must be put:"},
		{Source{URL: ""}, "must be put:"},
		{Source{URL: "%"}, "no URL"},
		{Source{URL: "file:///a", SHA256: "12"}, "64 lower-case"},
		{Source{URL: "file:///a", SHA256: strings.ToUpper(digest)}, "64 lower-case"},
	}
	for _, c := range cases {
		err := c.source.Check()
		if (err == nil) != (c.reason == "") || err != nil && (!errors.Is(err, ErrSource) || !strings.Contains(err.Error(), c.reason)) {
			t.Errorf("%+v: got %v, want %q", c.source, err, c.reason)
		}
	}
}

func TestWhatWasKeptLastIsThereWhenItsFileIsGone(t *testing.T) {
	l, path := NewLibrary(filepath.Join(t.TempDir(), "codecs")), file(t, "one")
	source := Source{URL: "file://" + path}
	if _, err := l.Last("acme"); !errors.Is(err, ErrMissing) {
		t.Errorf("nothing was kept: %v", err)
	}
	p, err := l.Get(t.Context(), source)
	want(t, p, err, "one")
	if err := l.Keep("acme", p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err = l.Get(t.Context(), source) // not kept: it may not work
	want(t, p, err, "two")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err = l.Get(t.Context(), source); err == nil {
		t.Error("the file is gone, and is read")
	}
	p, err = l.Last("acme")
	want(t, p, err, "one")
	if _, err := l.Last("other"); err == nil {
		t.Error("another name has it too")
	}
}

func TestADigestMismatchIsRefused(t *testing.T) {
	l, path := NewLibrary(t.TempDir()), file(t, "other")
	_, err := l.Get(t.Context(), Source{URL: "file://" + path, SHA256: digestOf([]byte("wanted"))})
	if !errors.Is(err, ErrDigest) {
		t.Errorf("got %v", err)
	}
}

func TestADownloadIsKeptForWhenItsHostIsAway(t *testing.T) {
	answers := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers++
		switch r.URL.Path {
		case "/acme":
			fmt.Fprint(w, "program")
		case "/away":
			http.Redirect(w, r, "http://example.com/acme", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, MaxBytes+1))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	l := NewLibrary(t.TempDir())
	l.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}
	defer l.client.CloseIdleConnections()
	source := Source{URL: server.URL + "/acme", SHA256: digestOf([]byte("program"))}
	p, err := l.Get(t.Context(), source)
	want(t, p, err, "program")
	if err := l.Keep("acme", p); err != nil {
		t.Fatal(err)
	}
	server.CloseClientConnections()
	p, err = l.Get(t.Context(), source)
	want(t, p, err, "program")
	if answers != 1 {
		t.Errorf("fetched %d times", answers)
	}
	for path, reason := range map[string]string{
		"/missing": "404", "/away": "redirected to http:", "/large": ErrTooLarge.Error(),
	} {
		_, err := l.Get(t.Context(), Source{URL: server.URL + path, SHA256: digestOf([]byte(path))})
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want %q", path, err, reason)
		}
	}
}

func TestWhatIsDamagedOnDiskIsFetchedAgain(t *testing.T) {
	l, path := NewLibrary(t.TempDir()), file(t, "whole")
	source := Source{URL: "file://" + path, SHA256: digestOf([]byte("whole"))}
	p, err := l.Get(t.Context(), source)
	want(t, p, err, "whole")
	if err := l.Keep("acme", p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, p.SHA256), []byte("who"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err = l.Get(t.Context(), source)
	want(t, p, err, "whole")
}

func TestAProgramIsPutInParts(t *testing.T) {
	l, whole, now := NewLibrary(t.TempDir()), "abcdef", time.Now()
	digest := digestOf([]byte(whole))
	put := func(n int, text string, missing int) {
		t.Helper()
		got, err := l.Put(Part{SHA256: digest, Number: n, Of: 3, Bytes: []byte(text)}, now)
		if err != nil || got != missing {
			t.Fatalf("part %d: %d are missing, %v; want %d", n, got, err, missing)
		}
	}
	source := Source{URL: "put:", SHA256: digest}
	put(3, "ef", 2)
	put(1, "xx", 1)
	put(1, "ab", 1) // again, mended
	if _, err := l.Get(t.Context(), source); !errors.Is(err, ErrMissing) {
		t.Fatalf("before the last part: %v", err)
	}
	put(2, "cd", 0)
	p, err := l.Get(t.Context(), source)
	want(t, p, err, whole)
	put(2, "cd", 0) // it is there already
	if len(l.uploads) != 0 {
		t.Errorf("%d deliveries are left", len(l.uploads))
	}
}

func TestBadPartsAreRefused(t *testing.T) {
	now, digest := time.Now(), digestOf([]byte("ab"))
	part := func(n, of int, text string) Part { return Part{SHA256: digest, Number: n, Of: of, Bytes: []byte(text)} }
	cases := []struct {
		name   string
		before []Part
		part   Part
		want   error
	}{
		{"no digest", nil, Part{Number: 1, Of: 1, Bytes: []byte("a")}, ErrSource},
		{"no number", nil, part(0, 1, "a"), ErrSource},
		{"a number beyond the last", nil, part(2, 1, "a"), ErrSource},
		{"too many", nil, part(1, maxParts+1, "a"), ErrSource},
		{"empty", nil, part(1, 2, ""), ErrSource},
		{"another count than before", []Part{part(1, 2, "a")}, part(2, 3, "b"), ErrSource},
		{"another program", []Part{part(1, 2, "a")}, part(2, 2, "x"), ErrDigest},
		{"too large", []Part{part(1, 3, strings.Repeat("x", MaxBytes))}, part(2, 3, "x"), ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := NewLibrary(t.TempDir())
			for _, p := range c.before {
				if _, err := l.Put(p, now); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := l.Put(c.part, now); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestUnfinishedDeliveriesAreBoundedAndForgotten(t *testing.T) {
	l, now := NewLibrary(t.TempDir()), time.Now()
	for i := range maxUploads + 1 {
		_, err := l.Put(Part{SHA256: digestOf([]byte{byte(i)}), Number: 1, Of: 2, Bytes: []byte("a")}, now)
		if (err == nil) != (i < maxUploads) {
			t.Errorf("delivery %d: %v", i, err)
		}
	}
	later := now.Add(uploadPatience + time.Second)
	if _, err := l.Put(Part{SHA256: digestOf([]byte("x")), Number: 1, Of: 2, Bytes: []byte("a")}, later); err != nil {
		t.Error(err)
	}
}

func TestPruneLeavesWhatIsInUseAndTheYoungest(t *testing.T) {
	l := NewLibrary(t.TempDir())
	if err := NewLibrary(filepath.Join(l.dir, "none")).Prune(nil); err != nil {
		t.Fatal(err)
	}
	var digests []string
	for i := range keptFiles + 10 {
		text := []byte{byte(i)}
		if err := l.Keep("acme", &Program{Bytes: text, SHA256: digestOf(text)}); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digestOf(text))
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(l.dir, digestOf(text)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Prune(digests[:1]); err != nil {
		t.Fatal(err)
	}
	for i, digest := range digests {
		_, err := l.kept(digest)
		if there := i == 0 || i >= 10; (err == nil) != there {
			t.Errorf("program %d is there: %v, want %v", i, err == nil, there)
		}
	}
}
