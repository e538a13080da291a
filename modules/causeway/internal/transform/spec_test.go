package transform

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestFaultsOfSettingsAreNamedByPointer(t *testing.T) {
	stages := strings.Repeat(`{"type":"decompress","algorithm":"gzip"},`, maxStages) + `{"type":"decompress","algorithm":"gzip"}`
	frame := func(stage string) string { return `{"frames":[` + stage + `]}` }
	body := func(stage string) string { return `{"bodies":[` + stage + `]}` }
	decrypt := func(more string) string { return frame(`{"type":"decrypt","cipher":"aes-gcm",` + more + `}`) }
	names := make([]string, maxFields+1)
	for i := range names {
		names[i] = `"x` + strings.Repeat("y", i) + `"`
	}
	cases := []struct{ setting, pointer, reason string }{
		{`[]`, "", "want object"},
		{`{"frame":[]}`, "/frame", "unknown field"},
		{frame(`5`), "/frames/0", "want an object"},
		{frame(`{}`), "/frames/0/type", "want one of decrypt, decompress"},
		{frame(`{"type":"compress"}`), "/frames/0/type", "want one of decrypt, decompress"},
		{body(`{"type":"decrypt"}`), "/bodies/0/type", "want one of decompress, decode, fields, compress"},
		{frame(stages), "/frames", "at most 8"},
		{decrypt(`"key":{"env":"KEY"},"x":1`), "/frames/0/x", "unknown field"},
		{decrypt(`"key":{}`), "/frames/0/key", "exactly one"},
		{decrypt(`"key":{"env":"KEY","file":"/raw.key"}`), "/frames/0/key", "exactly one"},
		{decrypt(`"key":{"env":"NONE"}`), "/frames/0/key/env", `no variable "NONE"`},
		{decrypt(`"key":{"file":"/none"}`), "/frames/0/key/file", "not exist"},
		{decrypt(`"key":{"env":"SHORT"}`), "/frames/0/key", "has 1 bytes"},
		{decrypt(`"key":{"env":"B64"}`), "/frames/0/key", "not hexadecimal"},
		{decrypt(`"key":{"file":"/raw.key","encoding":"base64"}`), "/frames/0/key", "has 12 bytes"},
		{decrypt(`"key":{"env":"SHORT","encoding":"base64"}`), "/frames/0/key", "not base64"},
		{decrypt(`"key":{"env":"KEY","encoding":"utf7"}`), "/frames/0/key/encoding", "hex, base64 or raw"},
		{decrypt(`"key":{"env":"KEY"},"iv":"00"`), "/frames/0/iv", "aes-cbc"},
		{decrypt(`"key":{"env":"KEY"},"aad":"0"`), "/frames/0/aad", "hexadecimal"},
		{frame(`{"type":"decrypt","cipher":"aes-cbc","key":{"env":"KEY"},"aad":"00"}`), "/frames/0/aad", "aes-gcm"},
		{frame(`{"type":"decrypt","cipher":"aes-cbc","key":{"env":"KEY"},"iv":"00"}`), "/frames/0/iv", "16 bytes"},
		{frame(`{"type":"decrypt","cipher":"rot13","key":{"env":"KEY"}}`), "/frames/0/cipher", "aes-gcm or aes-cbc"},
		{frame(`{"type":"decompress","algorithm":"lzw"}`), "/frames/0/algorithm", "gzip, zlib, deflate, zstd"},
		{frame(`{"type":"decompress","algorithm":"gzip","maxBytes":0}`), "/frames/0/maxBytes", "1 to 16777216"},
		{body(`{"type":"decompress","algorithm":"gzip","maxBytes":16777217}`), "/bodies/0/maxBytes", "1 to 16777216"},
		{body(`{"type":"decompress","algorithm":"x"}`), "/bodies/0/algorithm", "gzip"},
		{body(`{"type":"decompress","answers":true}`), "/bodies/0/answers", "unknown field"},
		{body(`{"type":"compress","algorithm":"gzip","minBytes":-1}`), "/bodies/0/minBytes", "0 to 262144"},
		{body(`{"type":"compress"}`), "/bodies/0/algorithm", "want one of"},
		{body(`{"type":"compress","level":1}`), "/bodies/0/level", "unknown field"},
		{body(`{"type":"decode"}`), "/bodies/0/format", "cbor, msgpack, protobuf, avro"},
		{body(`{"type":"decode","format":"xml"}`), "/bodies/0/format", "cbor"},
		{body(`{"type":"decode","format":"cbor","skip":-1}`), "/bodies/0/skip", "0 to 256"},
		{body(`{"type":"decode","format":"cbor","bytes":"octal"}`), "/bodies/0/bytes", "base64 or hex"},
		{body(`{"type":"decode","format":"cbor","schema":{"text":"x"}}`), "/bodies/0/schema", "protobuf and avro"},
		{body(`{"type":"decode","format":"avro","schema":{"text":"{}"},"message":"M"}`), "/bodies/0/message", "protobuf"},
		{body(`{"type":"decode","format":"avro"}`), "/bodies/0/schema", "is missing"},
		{body(`{"type":"decode","format":"avro","schema":{}}`), "/bodies/0/schema", "exactly one"},
		{body(`{"type":"decode","format":"avro","schema":{"file":"/none.avsc"}}`), "/bodies/0/schema/file", "not exist"},
		{body(`{"type":"decode","format":"avro","schema":{"file":"/raw.key"}}`), "/bodies/0/schema/file", "ends in .proto"},
		{body(`{"type":"decode","format":"avro","schema":{"file":"/empty.avsc"}}`), "/bodies/0/schema/file", "has 0 bytes"},
		{body(`{"type":"decode","format":"avro","schema":{"text":"{}"}}`), "/bodies/0/schema", "avro"},
		{body(`{"type":"decode","format":"protobuf","schema":{"text":"message {"},"message":"M"}`), "/bodies/0/schema", "schema.proto:1"},
		{body(`{"type":"decode","format":"protobuf","schema":{"text":"syntax = \"proto3\"; message N {}"},"message":"M"}`), "/bodies/0/message", "[N]"},
		{body(`{"type":"decode","format":"protobuf","schema":{"text":"x"},"bytes":"hex"}`), "/bodies/0/bytes", "base64"},
		{body(`{"type":"fields"}`), "/bodies/0", "changes nothing"},
		{body(`{"type":"fields","drop":["a"]}`), "/bodies/0/drop", "keep"},
		{body(`{"type":"fields","set":{"a/b":"("}}`), "/bodies/0/set/a~1b", "column 1"},
		{body(`{"type":"fields","sets":{}}`), "/bodies/0/sets", "unknown field"},
		{body(`{"type":"fields","keep":true,"drop":[` + strings.Join(names, ",") + `]}`), "/bodies/0/drop", "at most 64"},
		{body(`{"type":"fields","set":{` + strings.Join(names, `:"a",`) + `:"a"}}`), "/bodies/0/set", "at most 64"},
	}
	for _, c := range cases {
		t.Run(c.pointer+" "+c.reason, func(t *testing.T) {
			_, err := Parse(json.RawMessage(c.setting), around())
			fault, ok := errors.AsType[*codec.OptionError](err)
			if !ok || fault.Pointer != c.pointer || !strings.Contains(fault.Reason, c.reason) {
				t.Errorf("%.200s\ngot %v, want %q with %q", c.setting, err, c.pointer, c.reason)
			}
			if err != nil && (strings.Contains(err.Error(), keyHex) || strings.Contains(err.Error(), "0123456789abcdef")) {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

func TestKeysComeFromWhereTheyAreKept(t *testing.T) {
	for key, want := range map[string]string{
		`{"env":"KEY"}`:                        keyHex,
		`{"env":"B64","encoding":"base64"}`:    keyHex,
		`{"file":"/raw.key","encoding":"raw"}`: "30313233343536373839616263646566",
	} {
		sealed, err := chain(t, `{"frames":[{"type":"decrypt","cipher":"aes-gcm","key":`+key+`}]}`).frames[0].seal(nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		other := around()
		other.Environment = func(string) (string, bool) { return want, true }
		c, err := Parse(json.RawMessage(gcm), other)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := c.frames[0].open(nil, sealed); err != nil || string(plain) != "x" {
			t.Errorf("%s: got %q, %v", key, plain, err)
		}
	}
}
