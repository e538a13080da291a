package amqp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// valueCases are encodings of part 1 section 1.6 with their values. The shortest
// form is what AppendValue must make; other forms are read only.
func valueCases() []struct {
	name, hex string
	value     any
	readOnly  bool
} {
	long := strings.Repeat("x", 300)
	longHex := hex.EncodeToString([]byte(long))
	return []struct {
		name, hex string
		value     any
		readOnly  bool
	}{
		{"null", "40", nil, false},
		{"true", "41", true, false},
		{"false", "42", false, false},
		{"true of one byte", "5601", true, true},
		{"ubyte", "50ff", uint8(255), false},
		{"ushort", "60ffff", uint16(65535), false},
		{"uint zero", "43", uint32(0), false},
		{"small uint", "52ff", uint32(255), false},
		{"uint", "7000000100", uint32(256), false},
		{"wide small uint", "7000000001", uint32(1), true},
		{"ulong zero", "44", uint64(0), false},
		{"small ulong", "53ff", uint64(255), false},
		{"ulong", "80ffffffffffffffff", uint64(1<<64 - 1), false},
		{"byte", "5180", int8(-128), false},
		{"short", "618000", int16(-32768), false},
		{"small int", "54ff", int32(-1), false},
		{"int", "7180000000", int32(-1 << 31), false},
		{"small long", "5580", int64(-128), false},
		{"long", "818000000000000000", int64(-1 << 63), false},
		{"float", "723f800000", float32(1), false},
		{"double", "823ff0000000000000", float64(1), false},
		{"decimal32", "7401020304", Decimal32{1, 2, 3, 4}, false},
		{"decimal64", "840102030405060708", Decimal64{1, 2, 3, 4, 5, 6, 7, 8}, false},
		{"decimal128", "94" + strings.Repeat("0a", 16), Decimal128(bytes.Repeat([]byte{10}, 16)), false},
		{"char", "730001f600", Char(0x1f600), false},
		{"timestamp", "83000001311c5a5b71", time.UnixMilli(0x1311c5a5b71).UTC(), false},
		{"timestamp before 1970", "83ffffffffffffffff", time.UnixMilli(-1).UTC(), false},
		{"uuid", "98" + strings.Repeat("ab", 16), UUID(bytes.Repeat([]byte{0xab}, 16)), false},
		{"empty binary", "a000", []byte{}, false},
		{"binary", "a0020102", []byte{1, 2}, false},
		{"long binary", "b00000012c" + longHex, []byte(long), false},
		{"string", "a1057a616e7a61", "zanza", false},
		{"string of two-byte characters", "a102c3bc", "ü", false},
		{"long string", "b10000012c" + longHex, long, false},
		{"symbol", "a30161", Symbol("a"), false},
		{"long symbol", "b30000012c" + longHex, Symbol(long), false},
		{"empty list", "45", []any{}, false},
		{"list", "d000000006000000024142", []any{true, false}, false},
		{"narrow list", "c003024142", []any{true, false}, true},
		{"map", "d10000000800000002a3016143", Map{{Symbol("a"), uint32(0)}}, false},
		{"narrow map", "c10502a3016143", Map{{Symbol("a"), uint32(0)}}, true},
		{"empty array", "f0000000050000000040", Array{}, false},
		{"array of ints", "f00000000d000000027100000001ffffffff", Array{int32(1), int32(-1)}, false},
		{"narrow array of small ints", "e00402540105", Array{int32(1), int32(5)}, true},
		{"array of symbols", "f00000000f00000002b300000001610000000162", Array{Symbol("a"), Symbol("b")}, false},
		{"array of booleans", "f00000000700000002560100", Array{true, false}, false},
		{"array of lists", "f00000000d00000001d00000000400000000", Array{[]any{}}, false},
		{"described", "005377a10178", Described{uint64(0x77), "x"}, false},
		{"array of described", "f00000000a00000002005305500102",
			Array{Described{uint64(5), uint8(1)}, Described{uint64(5), uint8(2)}}, false},
	}
}

func TestValuesAreReadAndWrittenAsTheStandardSays(t *testing.T) {
	for _, c := range valueCases() {
		t.Run(c.name, func(t *testing.T) {
			data, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(data)
			v, err := r.Value()
			if err != nil || r.More() {
				t.Fatalf("got %v, %v, %d bytes left", v, err, len(r.Rest()))
			}
			if !reflect.DeepEqual(v, c.value) {
				t.Fatalf("got %#v, want %#v", v, c.value)
			}
			skip := NewReader(data)
			if err := skip.Skip(); err != nil || skip.More() {
				t.Errorf("skip: %v, %d bytes left", err, len(skip.Rest()))
			}
			if c.readOnly {
				return
			}
			out, err := AppendValue(nil, c.value)
			if err != nil || !bytes.Equal(out, data) {
				t.Errorf("wrote %x, %v, want %x", out, err, data)
			}
		})
	}
}

func TestBadValuesAreRefusedBeforeTheyCostMemory(t *testing.T) {
	cases := []struct{ name, hex string }{
		{"nothing", ""},
		{"unknown constructor", "30"},
		{"unknown fixed constructor", "79deadbeef"},
		{"half an int", "7100"},
		{"text longer than the data", "b17fffffff61"},
		{"text that is not UTF-8", "a102ff61"},
		{"boolean of value two", "5602"},
		{"surrogate character", "730000d800"},
		{"list of more items than bytes", "c002ff40"},
		{"list with bytes behind", "c00301404040"},
		{"map of an odd number", "c102014141"},
		{"array of four thousand million nulls", "f000000005ffffffff40"},
		{"array with two descriptors", "e008010053010053024041"},
		{"descriptor without a value", "005370"},
		{"lists nested beyond the limit", strings.Repeat("c03e01", 40)},
		{"descriptors nested beyond the limit", strings.Repeat("00", 100)},
		{"described values nested beyond the limit", strings.Repeat("005301", 100) + "40"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(data)
			if v, err := r.Value(); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, %v", v, err)
			}
		})
	}
}

func TestGoTypesWithoutAnAMQPTypeAreRefused(t *testing.T) {
	for _, v := range []any{1, uint(1), struct{}{}, []string{"a"}, Array{uint8(1), "a"},
		Array{Described{uint64(1), "a"}, Described{uint64(2), "a"}}, Map{{"a", 1}}} {
		if out, err := AppendValue(nil, v); err == nil {
			t.Errorf("%#v was written as %x", v, out)
		}
	}
}

func TestASharedReaderReturnsTheSameTexts(t *testing.T) {
	value := []any{"a", Map{{"key", Symbol("value")}}, Array{"x", "y"}}
	data, err := AppendValue(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(data)
	r.Share()
	got, err := r.Value()
	if err != nil || !reflect.DeepEqual(got, value) {
		t.Fatalf("got %v, %v", got, err)
	}
}

func FuzzValue(f *testing.F) {
	for _, c := range valueCases() {
		data, err := hex.DecodeString(c.hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(data)
		v, err := r.Value()
		if err != nil {
			return
		}
		read := len(data) - len(r.Rest())
		skip := NewReader(data)
		if err := skip.Skip(); err != nil || len(skip.Rest()) != len(data)-read {
			t.Fatalf("value ends at %d, skip at %d (%v)", read, len(data)-len(skip.Rest()), err)
		}
		out, err := AppendValue(nil, v)
		if err != nil {
			return // nested arrays of mixed narrow types have no form of ours
		}
		again := NewReader(out)
		w, err := again.Value()
		if err != nil {
			t.Fatalf("%x was written as %x: %v", data, out, err)
		}
		back, err := AppendValue(nil, w)
		if err != nil || !bytes.Equal(back, out) {
			t.Fatalf("%x became %x, then %x (%v)", data, out, back, err)
		}
	})
}
