package csvcodec

import (
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/value"
)

// kind is how a field is written as JSON.
type kind int

const (
	auto    kind = iota // a number where it is one, else text
	text                // always text
	number              // a number or nothing
	boolean             // true, false, 1, 0 or nothing
)

const kinds = "auto, text, number, boolean"

func parseKind(name string) (kind, bool) {
	switch name {
	case "auto":
		return auto, true
	case "text":
		return text, true
	case "number":
		return number, true
	case "boolean":
		return boolean, true
	}
	return auto, false
}

// column is what becomes of the fields of one column.
type column struct {
	name     string
	key      []byte // the member's name as JSON, with its colon; nil leaves the field out
	kind     kind
	id       bool
	time     bool
	property string // name of the property that gets the field, or empty
}

const (
	// maxColumns bounds the work for a line; sheets of devices have tens.
	maxColumns = 256
	// maxName is far above any column's name.
	maxName = 128
)

// made gives the n-th column, from 1, a name where the options have none.
const made = "c"

// columns makes the columns of the names: those of the options, or of a link's
// first line. The pointer of the error is that of the name.
func (o *options) columns(names []string) ([]column, error) {
	if len(names) == 0 || len(names) > maxColumns {
		return nil, codec.Optionf("/columns", "has %d names, 1 to %d are allowed", len(names), maxColumns)
	}
	columns := make([]column, len(names))
	seen := map[string]bool{}
	for i, name := range names {
		c := &columns[i]
		if name == "" {
			continue
		}
		if seen[name] || len(name) > maxName {
			return nil, codec.Optionf("/columns", "got %.40q, want distinct names of at most %d bytes", name, maxName)
		}
		seen[name] = true
		c.name, c.key = name, append(value.AppendString(nil, []byte(name)), ':')
		c.kind, _ = parseKind(o.Types[name])
		c.id, c.time = name == o.ID, name == o.Time
	}
	for property, name := range o.Properties {
		for i := range columns {
			if columns[i].name == name && name != "" {
				columns[i].property = property
			}
		}
	}
	return columns, o.named(seen)
}

// named checks that every column that an option names is there.
func (o *options) named(seen map[string]bool) error {
	check := func(option, name string) error {
		if name == "" || seen[name] {
			return nil
		}
		return codec.Optionf(option, "got %q, which is no column", name)
	}
	if err := check("/id", o.ID); err != nil {
		return err
	}
	if err := check("/time", o.Time); err != nil {
		return err
	}
	for name := range o.Types {
		if err := check("/types", name); err != nil {
			return err
		}
	}
	for property, name := range o.Properties {
		if err := check("/properties/"+property, name); err != nil {
			return err
		}
	}
	return nil
}

// check checks the options that do not need the columns.
func (o *options) check() error {
	switch {
	case len(o.Delimiter) != 1 || o.Delimiter[0] >= 0x80 || strings.Contains("\r\n", o.Delimiter):
		return codec.Optionf("/delimiter", "got %q, want one ASCII character", o.Delimiter)
	case len(o.Quote) > 1 || o.Quote != "" && o.Quote[0] >= 0x80 || o.Quote == o.Delimiter:
		return codec.Optionf("/quote", "got %q, want one ASCII character, or none for no quoting", o.Quote)
	case o.Header && o.Columns != nil:
		return codec.Optionf("/header", "got true, but columns are given")
	}
	for name, kind := range o.Types {
		if _, ok := parseKind(kind); !ok {
			return codec.Optionf("/types/"+name, "got %q, allowed are %s", kind, kinds)
		}
	}
	return value.CheckProperties("/properties", o.Properties, maxProperties)
}
