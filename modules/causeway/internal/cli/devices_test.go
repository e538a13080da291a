package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

func TestDevicesAreKeptInADataDirectoryOrAFile(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "fleet.jsonl"), filepath.Join(dir, "data")
	secret := filepath.Join(dir, "password")
	for path, text := range map[string]string{secret: "hunter2-hunter2\r\nrest\n", filepath.Join(dir, "bad"): "{\"id\":\"x\",\"password\":\"hunter2\"}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, stdin string
		code        int
		out, err    string
	}{
		{"devices|list|-data|" + data, "", 1, "", "state.db"},
		{"devices|list|-file|" + file, "", 1, "", "fleet.jsonl"},
		{"devices|put|-file|" + file + "|-password|-|d-1", "hunter2-hunter2\n", 0, `"stored":true`, ""},
		{"devices|put|d-2|-file|" + file + "|-password|" + secret + "|-expires|2027-01-31T12:00:00Z|-listeners|a,b", "", 0, `"stored":true`, ""},
		{"devices|list|-file|" + file, "", 0, `{"id":"d-1","protected":true}` + "\n" + `{"id":"d-2","expiresAt":"2027-01-31T12:00:00Z","listeners":["a","b"],"protected":true}` + "\n", ""},
		{"devices|import|-data|" + data + "|" + file, "", 0, `{"added":2,"replaced":0}`, ""},
		{"devices|import|-data|" + data + "|" + filepath.Join(dir, "bad"), "", 1, "", "line 1"},
		{"devices|remove|-data|" + data + "|d-1", "", 0, `"removed":true`, ""},
		{"devices|remove|-data|" + data + "|d-1", "", 1, "", "no such device"},
		{"devices|put|-data|" + data + "|-keep|-disabled|d-2", "", 0, `"stored":true`, ""},
		{"devices|export|-data|" + data, "", 0, `"hash":"$argon2id$`, ""},
		{"devices|put|-data|" + data + "|-password|-|d-3", "", 1, "", "first line is empty"},
		{"devices|put|-data|" + data + "|-expires|soon|d-3", "", 2, "", "2027-01-31T12:00:00Z"},
		{"devices|put|-data|" + data, "", 2, "", "one device"},
		{"devices|remove|-data|" + data, "", 2, "", "want the ids"},
		{"devices|import|-data|" + data, "", 2, "", "want an exported file"},
		{"devices|list|-data|" + dir + "/typo", "", 1, "", "typo"},
		{"devices|put|-data|" + dir + "/typo|d-1", "", 1, "", "typo"},
		{"devices|fly", "", 2, "", "known are list, put, remove, export, import"},
	} {
		r := invoke(t, c.stdin, strings.Split(c.args, "|")...)
		if r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.errors, c.err) {
			t.Errorf("%s: code %d, out %q, errors %q", c.args, r.code, r.out, r.errors)
		}
		if strings.Contains(r.out+r.errors, "hunter2") {
			t.Errorf("%s shows the password: %s%s", c.args, r.out, r.errors)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the exported file: %v, %v", info.Mode(), err)
	}
}

func TestADataDirectoryInUseIsSaidToBe(t *testing.T) {
	dir := t.TempDir()
	f := state.New(dir)
	if err := f.Open(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := invoke(t, "", "devices", "list", "-data", dir)
	if r.code != ExitFailed || !strings.Contains(r.errors, "a gateway runs on it") || !strings.Contains(r.errors, "listAuthDevices") {
		t.Errorf("code %d, errors %q", r.code, r.errors)
	}
}
