package authenticate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

func opened(tb testing.TB, dir string) *state.File {
	tb.Helper()
	f := state.New(dir)
	if err := f.Open(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

func database(tb testing.TB, dir string, limit int) *Database {
	tb.Helper()
	now := func() time.Time { return noon }
	return NewDatabase(DatabaseOptions{File: opened(tb, dir), Passwords: NewPasswords(nil, now), Limit: limit, Now: now})
}

func put(tb testing.TB, d *Database, device Device, p Password) {
	tb.Helper()
	if err := d.Put(tb.Context(), device, p); err != nil {
		tb.Fatal(err)
	}
}

func TestTheDatabaseKnowsItsDevices(t *testing.T) {
	dir := t.TempDir()
	db := database(t, dir, 0)
	put(t, db, Device{ID: "plain"}, Password{Plain: "planted"})
	put(t, db, Device{ID: "hash"}, Password{Hash: hashOfPassword})
	put(t, db, Device{ID: "bcrypt"}, Password{Hash: "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"})
	put(t, db, Device{ID: "id"}, Password{})
	put(t, db, Device{ID: "off", Disabled: true}, Password{Plain: "planted"})
	put(t, db, Device{ID: "over", Expires: noon}, Password{})
	put(t, db, Device{ID: "soon", Expires: noon.Add(time.Minute)}, Password{})
	put(t, db, Device{ID: "here", Listeners: []string{"a", "b"}}, Password{})
	if err := db.with.File.Close(); err != nil {
		t.Fatal(err)
	}
	db = database(t, dir, 0) // another start
	d := deps()
	d.Database = db
	claim := func(device, secret string) Request { return Request{Listener: "b", Device: device, Secret: secret} }
	elsewhere := claim("here", "")
	elsewhere.Listener = "c"
	judgeAll(t, "database", d, []verdictCase{
		{"", claim("plain", "planted"), Allow, "by password"},
		{"", claim("plain", "plante"), Deny, "wrong password"},
		{"", claim("plain", ""), Deny, "no password"},
		{"{}", claim("hash", "password"), Allow, ""},
		{"{}", claim("bcrypt", "U*U"), Allow, ""},
		{"{}", claim("bcrypt", "U*V"), Deny, ""},
		{"{}", claim("id", ""), Allow, "by id"},
		{"{}", claim("id", "whatever"), Allow, "by id"},
		{"{}", claim("off", "planted"), Deny, "disabled"},
		{"{}", claim("over", ""), Deny, "expired"},
		{"{}", claim("soon", ""), Allow, ""},
		{"{}", claim("here", ""), Allow, ""},
		{"{}", elsewhere, Deny, "not allowed on this listener"},
		{"{}", claim("unknown", "planted"), Next, ""},
		{"{}", claim("", "planted"), Next, ""},
		{"{}", claim(strings.Repeat("x", 40000), ""), Next, ""},
	})
	if v, err := db.Authenticate(t.Context(), claim("soon", "")); err != nil || !v.Expires.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v, %v", v, err)
	}
	if err := db.Remove("plain"); err != nil {
		t.Fatal(err)
	}
	if v, err := db.Authenticate(t.Context(), claim("plain", "planted")); err != nil || v.Decision != Next {
		t.Errorf("a removed device: %+v, %v", v, err)
	}
	if err := db.Remove("plain"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("removed again: %v", err)
	}
}

func TestAPasswordIsKeptOrChangedWithItsDevice(t *testing.T) {
	db := database(t, t.TempDir(), 0)
	put(t, db, Device{ID: "d", Note: "first"}, Password{Hash: hashOfPassword})
	put(t, db, Device{ID: "d", Note: "second"}, Password{Keep: true})
	if d, err := db.Get("d"); err != nil || !d.Protected || d.Note != "second" {
		t.Errorf("%+v, %v", d, err)
	}
	put(t, db, Device{ID: "d"}, Password{})
	if d, err := db.Get("d"); err != nil || d.Protected {
		t.Errorf("%+v, %v", d, err)
	}
	put(t, db, Device{ID: "new"}, Password{Keep: true})
	if n, err := db.Count(); err != nil || n != 2 {
		t.Errorf("%d devices, %v", n, err)
	}
	if _, err := db.Get("none"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("error %v", err)
	}
}

func TestADeviceThatCannotBeKeptIsRefused(t *testing.T) {
	db := database(t, t.TempDir(), 0)
	many := make([]string, maxListeners+1)
	for i := range many {
		many[i] = "l"
	}
	for _, c := range []struct {
		device Device
		p      Password
		want   error
	}{
		{Device{}, Password{}, ErrDevice},
		{Device{ID: strings.Repeat("x", maxDevice+1)}, Password{}, ErrDevice},
		{Device{ID: "a\nb"}, Password{}, ErrDevice},
		{Device{ID: "\xff"}, Password{}, ErrDevice},
		{Device{ID: "d", Listeners: many}, Password{}, ErrDevice},
		{Device{ID: "d", Listeners: []string{""}}, Password{}, ErrDevice},
		{Device{ID: "d", Note: strings.Repeat("x", maxNote+1)}, Password{}, ErrDevice},
		{Device{ID: "d"}, Password{Plain: "planted", Keep: true}, ErrDevice},
		{Device{ID: "d"}, Password{Hash: "planted"}, ErrHash},
	} {
		err := db.Put(t.Context(), c.device, c.p)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%.60v: %v, want %v", c.device, err, c.want)
		}
	}
	if n, err := db.Count(); n != 0 || err != nil {
		t.Errorf("%d devices are kept, %v", n, err)
	}
}

func TestTheDatabaseIsBounded(t *testing.T) {
	db := database(t, t.TempDir(), 2)
	put(t, db, Device{ID: "a"}, Password{})
	put(t, db, Device{ID: "b"}, Password{})
	if err := db.Put(t.Context(), Device{ID: "c"}, Password{}); !errors.Is(err, ErrFull) {
		t.Errorf("a third: %v", err)
	}
	put(t, db, Device{ID: "b", Note: "again"}, Password{})
	if _, err := db.Import(strings.NewReader(`{"id":"b","note":"no"}` + "\n" + `{"id":"c"}`)); !errors.Is(err, ErrFull) {
		t.Errorf("imported: %v", err)
	}
	if d, _ := db.Get("b"); d.Note != "again" {
		t.Errorf("half of an import was kept: %+v", d)
	}
	if _, err := db.Import(strings.NewReader("{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}")); !errors.Is(err, ErrFull) {
		t.Errorf("imported: %v", err)
	}
	if err := db.Remove("a"); err != nil {
		t.Fatal(err)
	}
	put(t, db, Device{ID: "c"}, Password{})
}

func TestDevicesAreListedInPages(t *testing.T) {
	db := database(t, t.TempDir(), 0)
	for i := range 25 {
		put(t, db, Device{ID: fmt.Sprintf("d%02d", i)}, Password{})
	}
	var got []string
	after := ""
	for {
		list, err := db.List(after, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, d := range list {
			got = append(got, d.ID)
		}
		after = list[len(list)-1].ID
	}
	if len(got) != 25 || got[0] != "d00" || got[24] != "d24" {
		t.Errorf("%v", got)
	}
}

func TestAnExportCanBeImported(t *testing.T) {
	db := database(t, t.TempDir(), 0)
	put(t, db, Device{ID: "a<b", Note: "é", Expires: noon, Listeners: []string{"l"}, Disabled: true}, Password{Plain: "planted"})
	var lines bytes.Buffer
	for i := range maxPage + 5 { // more than a page
		fmt.Fprintf(&lines, "{\"id\":\"d%05d\"}\n", i)
	}
	put(t, db, Device{ID: "d00007"}, Password{})
	if in, err := db.Import(&lines); err != nil || in != (Imported{Added: maxPage + 4, Replaced: 1}) {
		t.Fatal(in, err)
	}
	var first, second bytes.Buffer
	if err := db.Export(&first); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first.String(), "planted") {
		t.Error("the export has a password in it")
	}
	other := database(t, t.TempDir(), 0)
	in, err := other.Import(strings.NewReader("\n" + first.String() + "\n\n"))
	if err != nil || in != (Imported{Added: maxPage + 6}) {
		t.Fatal(in, err)
	}
	if err := other.Export(&second); err != nil || first.String() != second.String() {
		t.Errorf("the export of the import is another, %v", err)
	}
	if ok, err := other.with.Passwords.Matches(t.Context(), only(other.get("a<b")).Hash, "planted"); !ok || err != nil {
		t.Errorf("the password does not match: %v", err)
	}
}

func only(r record, _ error) record { return r }

func TestAnImportWithAFaultChangesNothingAndNamesTheLine(t *testing.T) {
	db := database(t, t.TempDir(), 0)
	for _, c := range []struct{ line, says string }{
		{`{"id":"d","password":"planted"}`, "/password"},
		{`"planted"`, "not a JSON object"},
		{`{"id":"d","hash":"planted"}`, "not a password hash"},
		{`{"id":"d","hash":4711}`, "/hash"},
		{`{"id":"d"} {"id":"e"}`, "not a JSON object"},
		{`{"id":""}`, "the id"},
		{`{"id":"d","expiresAt":"soon"}`, "/expiresAt"},
		{`{"id":"d","disabled":"yes"}`, "/disabled"},
		{`{"id":"first"}`, `"first" is in line 1 already`},
		{strings.Repeat(" ", maxLine+1), "too long"},
	} {
		in, err := db.Import(strings.NewReader("{\"id\":\"first\"}\n\n" + c.line + "\n"))
		if !errors.Is(err, ErrImport) || in != (Imported{}) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%.40s: %v, %v", c.line, in, err)
		}
		if err != nil && (strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "4711")) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	if n, err := db.Count(); n != 0 || err != nil {
		t.Errorf("%d devices are kept, %v", n, err)
	}
}

// endless reads as blank lines without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	copy(b, strings.Repeat("       \n", len(b)/8+1))
	return len(b), nil
}

func TestAnImportWithoutEndIsGivenUp(t *testing.T) {
	in, err := database(t, t.TempDir(), 0).Import(endless{})
	if !errors.Is(err, ErrImport) || in != (Imported{}) {
		t.Errorf("%v, %v", in, err)
	}
}

func TestARecordThatCannotBeReadIsNoUnknownDevice(t *testing.T) {
	dir := t.TempDir()
	db := database(t, dir, 0)
	put(t, db, Device{ID: "d", Disabled: true, Note: strings.Repeat("v", 100)}, Password{})
	if err := db.with.File.Close(); err != nil {
		t.Fatal(err)
	}
	claim := Request{Device: "d"}
	if v, err := db.Authenticate(t.Context(), claim); !errors.Is(err, state.ErrUnavailable) || v.Decision != Next {
		t.Errorf("with the file closed: %+v, %v", v, err)
	}
	path := filepath.Join(dir, "state.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte("vvvvvvvvvv"), []byte("vvvvvwvvvv"))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db = database(t, dir, 0)
	if v, err := db.Authenticate(t.Context(), claim); !errors.Is(err, state.ErrDamaged) || v.Decision != Next {
		t.Errorf("with the record damaged: %+v, %v", v, err)
	}
	if v := NewChain([]Named{{"db", db}, {"all", must{t}}}, ChainOptions{}).Authenticate(t.Context(), claim); v.Decision != Deny || !v.Unavailable {
		t.Errorf("the chain: %+v", v)
	}
	put(t, db, Device{ID: "d"}, Password{}) // mended
	if n, err := db.Count(); n != 1 || err != nil {
		t.Errorf("%d devices, %v", n, err)
	}
}

func TestABusyDatabaseRefusesWithoutBlame(t *testing.T) {
	db := database(t, t.TempDir(), 0)
	put(t, db, Device{ID: "d"}, Password{Hash: hashOfPassword})
	db.with.Passwords.workers.Close()
	v := NewChain([]Named{{"db", db}}, ChainOptions{}).Authenticate(context.Background(), Request{Device: "d", Secret: "password"})
	if v.Decision != Deny || v.Reason != "busy" || !v.Unavailable {
		t.Errorf("%+v", v)
	}
}

func FuzzImport(f *testing.F) {
	f.Add(`{"id":"d","hash":"` + hashOfPassword + `","disabled":true,"expiresAt":"2027-01-31T00:00:00Z","listeners":["l"],"note":"n"}`)
	f.Add(`{"id":"d","listeners":null,"expiresAt":null}`)
	f.Add(`{"id":"d","id":"e"}`)
	f.Fuzz(func(t *testing.T, text string) {
		line := bytes.TrimSpace([]byte(text))
		if len(line) == 0 {
			return
		}
		r, err := parseRecord(line)
		if err != nil {
			return
		}
		d := r.device()
		if err := d.check(); err != nil {
			t.Error(err)
		}
		if _, err := parseHash(r.Hash); r.Hash != "" && err != nil {
			t.Error(err)
		}
	})
}
