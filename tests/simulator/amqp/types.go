package amqp

import "fmt"

// The Go types that stand for AMQP values are nil, bool, the sized integers and
// floats, string, []byte (binary), time.Time (timestamp), []any (list) and the types
// of this file.
type (
	// Symbol is a value from a constrained domain, ASCII by the standard.
	Symbol string
	// Char is one Unicode character.
	Char rune
	// UUID is a universally unique id in network byte order.
	UUID [16]byte
	// Decimal32 is an IEEE 754-2008 decimal, kept as its bytes.
	Decimal32 [4]byte
	// Decimal64 is an IEEE 754-2008 decimal, kept as its bytes.
	Decimal64 [8]byte
	// Decimal128 is an IEEE 754-2008 decimal, kept as its bytes.
	Decimal128 [16]byte
	// Pair is one entry of a Map.
	Pair struct{ Key, Value any }
	// Map keeps the order of its entries, as the standard asks.
	Map []Pair
	// Array holds values of one type only.
	Array []any
	// Described is a value with a descriptor that the reader does not know.
	Described struct{ Descriptor, Value any }
	// Optional is a field that may be null on the wire.
	Optional[T any] struct {
		Value T
		Set   bool
	}
)

// Some returns a field that is set.
func Some[T any](v T) Optional[T] { return Optional[T]{Value: v, Set: true} }

// Get returns the value of the first entry with that key, whether the key is a
// symbol or a string, and whether there is one.
func (m Map) Get(key string) (any, bool) {
	for _, p := range m {
		switch k := p.Key.(type) {
		case Symbol:
			if string(k) == key {
				return p.Value, true
			}
		case string:
			if k == key {
				return p.Value, true
			}
		}
	}
	return nil, false
}

// String returns the usual lower-case text with hyphens.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Constructor codes, part 1 section 1.6. The upper half byte tells the width.
const (
	codeDescribed  byte = 0x00
	codeNull       byte = 0x40
	codeTrue       byte = 0x41
	codeFalse      byte = 0x42
	codeUint0      byte = 0x43
	codeUlong0     byte = 0x44
	codeList0      byte = 0x45
	codeUbyte      byte = 0x50
	codeByte       byte = 0x51
	codeSmallUint  byte = 0x52
	codeSmallUlong byte = 0x53
	codeSmallInt   byte = 0x54
	codeSmallLong  byte = 0x55
	codeBool       byte = 0x56
	codeUshort     byte = 0x60
	codeShort      byte = 0x61
	codeUint       byte = 0x70
	codeInt        byte = 0x71
	codeFloat      byte = 0x72
	codeChar       byte = 0x73
	codeDecimal32  byte = 0x74
	codeUlong      byte = 0x80
	codeLong       byte = 0x81
	codeDouble     byte = 0x82
	codeTimestamp  byte = 0x83
	codeDecimal64  byte = 0x84
	codeDecimal128 byte = 0x94
	codeUUID       byte = 0x98
	codeBinary8    byte = 0xa0
	codeString8    byte = 0xa1
	codeSymbol8    byte = 0xa3
	codeBinary32   byte = 0xb0
	codeString32   byte = 0xb1
	codeSymbol32   byte = 0xb3
	codeList8      byte = 0xc0
	codeMap8       byte = 0xc1
	codeList32     byte = 0xd0
	codeMap32      byte = 0xd1
	codeArray8     byte = 0xe0
	codeArray32    byte = 0xf0
)
