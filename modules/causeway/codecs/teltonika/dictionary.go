package teltonika

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// kind is how the bytes of a value are read.
type kind uint8

const (
	kindUnsigned kind = iota
	kindSigned
	kindASCII
	kindHex
)

// property is one line of the AVL table: what the public tables of the
// manufacturer say about an element.
type property struct {
	id   uint16
	name string
	// width is the number of bytes, variable, or anyNumber. An element of another
	// width is not this property: the families FMx6xx and older share ids with
	// other meanings and sizes.
	width uint8
	kind  kind
	// scale is the decimal that the raw value is multiplied with; empty means 1.
	scale string
	// unit is that of the scaled value; empty means a bare number or a code.
	unit string
}

// anyNumber is the width of whole numbers without a scale, whose size the public
// tables leave open; 1, 2, 4 and 8 bytes are taken.
const anyNumber = 0xFF

// known is a property made ready for rendering.
type known struct {
	name, key, text, unit string
	// anyWidth: described by the configuration, whatever the width.
	anyWidth bool
	width    uint8
	kind     kind
	mul      uint64
	decimals uint8
}

// dictionary finds properties by id.
type dictionary struct {
	// index holds positions in list plus one, by id.
	index []uint16
	list  []known
}

// newDictionary compiles the table, changed by what a configuration says.
func newDictionary(table []property, configured map[string]element) (*dictionary, error) {
	d := &dictionary{}
	for _, p := range table {
		k, err := p.compile()
		if err != nil {
			return nil, err
		}
		d.put(p.id, k)
	}
	for key, e := range configured {
		id, err := strconv.ParseUint(key, 10, 16)
		if err != nil || key != strconv.FormatUint(id, 10) {
			return nil, codec.Optionf("/elements", "id %q, allowed are 0 to 65535", key)
		}
		k, err := e.compile("/elements/"+key, uint16(id))
		if err != nil {
			return nil, err
		}
		d.put(uint16(id), k)
	}
	return d, d.unique()
}

// put adds or replaces.
func (d *dictionary) put(id uint16, k known) {
	if int(id) >= len(d.index) {
		d.index = append(d.index, make([]uint16, int(id)+1-len(d.index))...)
	}
	if at := d.index[id]; at != 0 {
		d.list[at-1] = k
		return
	}
	d.list = append(d.list, k)
	d.index[id] = uint16(len(d.list))
}

// unique refuses two ids with one name: one of them would be lost in the object.
func (d *dictionary) unique() error {
	names := make(map[string]string, len(d.list))
	for _, k := range d.list {
		if other, taken := names[k.name]; taken {
			return codec.Optionf("/elements", "elements %s and %s share the name %q", other, k.text, k.name)
		}
		names[k.name] = k.text
	}
	return nil
}

// find returns the property of the id, or nil.
func (d *dictionary) find(id uint16) *known {
	if int(id) >= len(d.index) || d.index[id] == 0 {
		return nil
	}
	return &d.list[d.index[id]-1]
}

// match returns the property of the element if it has its width, or nil.
func (d *dictionary) match(e item) *known {
	k := d.find(e.id)
	if k == nil {
		return nil
	}
	switch {
	case k.anyWidth:
	case k.width == variable:
		if !e.long {
			return nil
		}
	case k.width == anyNumber:
		if e.long {
			return nil
		}
	case int(k.width) != len(e.value):
		return nil
	}
	if n := len(e.value); k.kind < kindASCII && (n == 0 || n > 8 || n > 4 && k.mul > 1) {
		return nil // no number, or one that would leave 64 bits when scaled
	}
	if k.kind == kindASCII && !utf8.Valid(e.value) {
		return nil // as text it would lose bytes
	}
	return k
}

// compile makes the property ready.
func (p property) compile() (known, error) {
	mul, decimals, err := parseScale(p.scale)
	return known{
		name: p.name, key: `"` + p.name + `":`, text: strconv.Itoa(int(p.id)), unit: p.unit,
		width: p.width, kind: p.kind, mul: mul, decimals: decimals,
	}, err
}

// compile checks what a configuration says about an element.
func (e element) compile(at string, id uint16) (known, error) {
	if !elementName(e.Name) {
		return known{}, codec.Optionf(at+"/name",
			"%q, allowed are a letter, then up to 63 letters, digits or _", e.Name)
	}
	p := property{id: id, name: e.Name, scale: e.Multiplier.String(), unit: e.Unit}
	switch e.Type {
	case "", "unsigned":
	case "signed":
		p.kind = kindSigned
	case "ascii":
		p.kind = kindASCII
	case "hex":
		p.kind = kindHex
	default:
		return known{}, codec.Optionf(at+"/type", "%q, allowed are unsigned, signed, ascii and hex", e.Type)
	}
	if p.kind >= kindASCII && p.scale != "" {
		return known{}, codec.Optionf(at+"/multiplier", "%s, none is allowed for %s", p.scale, e.Type)
	}
	k, err := p.compile()
	if err != nil {
		return known{}, codec.Optionf(at+"/multiplier", "%v", err)
	}
	k.anyWidth = true
	return k, nil
}

// elementName reports whether a configured name is plain enough to be a member
// of a JSON object and a column of a table.
func elementName(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return true
}

// maxMul keeps a value of four bytes times its multiplier within 64 bits.
const maxMul = 1_000_000_000

// parseScale splits a decimal into multiplier and power of ten: "0.25" is 25 and 2.
func parseScale(s string) (mul uint64, decimals uint8, err error) {
	if s == "" {
		return 1, 0, nil
	}
	whole, part, _ := strings.Cut(s, ".")
	mul, err = strconv.ParseUint(whole+part, 10, 64)
	if err != nil || len(part) > maxDecimals || mul == 0 || mul > maxMul {
		return 0, 0, fmt.Errorf("%q, allowed are decimals above 0 with up to %d places", s, maxDecimals)
	}
	return mul, uint8(len(part)), nil
}
