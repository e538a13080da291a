package authenticate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// maxLine bounds one line of an import: a record with all its fields at their longest.
	maxLine = 8 << 10
	// maxImport bounds all of it, which is held in memory: 100,000 records of 300 bytes,
	// which is twice what they usually have.
	maxImport = 32 << 20
)

// ErrImport says that the lines of an import cannot be read.
var ErrImport = errors.New("bad import")

// Imported is what an import did.
type Imported struct{ Added, Replaced int }

// Import reads devices, one JSON object a line as Export writes them, and adds or
// replaces them: all or, with an error, none. Empty lines are passed over. Passwords are
// hashes; a member "password" is refused, as every unknown one. The error names the
// line; it may be ErrImport, ErrFull, or that of the file.
func (d *Database) Import(from io.Reader) (Imported, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	var list []record
	seen := make(map[string]int)
	number, size := 0, 0
	for lines.Scan() {
		number++
		if size += len(lines.Bytes()) + 1; size > maxImport {
			return Imported{}, fmt.Errorf("import devices: %w: more than %d bytes", ErrImport, maxImport)
		}
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		r, err := parseRecord(line)
		if err != nil {
			return Imported{}, fmt.Errorf("import devices: %w: line %d: %w", ErrImport, number, err)
		}
		if first := seen[r.ID]; first != 0 {
			return Imported{}, fmt.Errorf("import devices: %w: line %d: %q is in line %d already",
				ErrImport, number, short(r.ID), first)
		}
		seen[r.ID] = number
		if list = append(list, r); len(list) > d.with.Limit {
			return Imported{}, fmt.Errorf("import devices: %w: at most %d devices are kept", ErrFull, d.with.Limit)
		}
	}
	if err := lines.Err(); err != nil {
		return Imported{}, fmt.Errorf("import devices: %w: line %d: %w", ErrImport, number+1, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	added, err := d.write(list)
	if err != nil {
		return Imported{}, fmt.Errorf("import devices: %w", err)
	}
	return Imported{Added: added, Replaced: len(list) - added}, nil
}

// parseRecord reads one line. The error shows no value of the hash.
func parseRecord(line []byte) (record, error) {
	var in struct {
		ID        string     `json:"id"`
		Hash      hiddenText `json:"hash"`
		Disabled  bool       `json:"disabled"`
		Expires   when       `json:"expiresAt"`
		Listeners []string   `json:"listeners"`
		Note      string     `json:"note"`
	}
	if line[0] != '{' || !json.Valid(line) {
		return record{}, errors.New("not a JSON object") // what it is may be a password
	}
	if err := codec.DecodeOptions(line, &in); err != nil {
		return record{}, err
	}
	if in.Hash != "" {
		if _, err := parseHash(string(in.Hash)); err != nil {
			return record{}, err
		}
	}
	d := Device{ID: in.ID, Disabled: in.Disabled, Expires: in.Expires.Time, Listeners: in.Listeners, Note: in.Note}
	if err := d.check(); err != nil {
		return record{}, err
	}
	return d.record(string(in.Hash)), nil
}

// Export writes all devices in the order of their ids, one JSON object a line, with the
// hashes of their passwords: whoever has the file can try passwords, without the
// gateway's hindrances. What changes meanwhile may be in it or not.
func (d *Database) Export(to io.Writer) error {
	after := ""
	for {
		list, err := d.page(after, maxPage)
		if err != nil {
			return fmt.Errorf("export devices: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		e := json.NewEncoder(to)
		e.SetEscapeHTML(false)
		for i := range list {
			if err := e.Encode(list[i]); err != nil {
				return fmt.Errorf("export devices: %w", err)
			}
		}
		after = list[len(list)-1].ID
	}
}
