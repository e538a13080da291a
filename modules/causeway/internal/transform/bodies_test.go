package transform

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hamba/avro/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	reading = `syntax = "proto3"; package acme; import "google/protobuf/timestamp.proto";
enum State { OFF = 0; ON = 1; }
message Reading { string id = 1; sint32 t = 2; bytes raw = 3; repeated Reading more = 4; State state = 5;
  google.protobuf.Timestamp at = 6; uint64 big = 7; map<string, int32> tags = 8; }`
	record = `{"type":"record","name":"Reading","namespace":"acme","fields":[
  {"name":"id","type":"string"},{"name":"t","type":["null","double"]},{"name":"raw","type":{"type":"fixed","name":"Raw","size":2}},
  {"name":"list","type":{"type":"array","items":"int"}},{"name":"tags","type":{"type":"map","values":"long"}},
  {"name":"state","type":{"type":"enum","name":"State","symbols":["OFF","ON"]}},{"name":"data","type":"bytes"},
  {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
)

// said is the message that a codec's body becomes.
func said(t *testing.T, stages, contentType string, body []byte) (codec.Message, error) {
	t.Helper()
	var out codec.Outcome
	err := begin(t, `{"bodies":[`+stages+`]}`, parrot{contentType}).Receive(codec.Frame{Bytes: body}, &out)
	return out.Messages[0], err
}

func TestBinaryBodiesBecomeJSON(t *testing.T) {
	packed := func(v any) []byte {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sealed := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	schema, err := avro.Parse(record)
	if err != nil {
		t.Fatal(err)
	}
	written, err := avro.Marshal(schema, map[string]any{
		"id": "m1", "t": 21.5, "raw": [2]byte{1, 2}, "list": []int{1, 2}, "tags": map[string]int64{"a": 5}, "state": "ON",
		"data": []byte{9}, "at": time.UnixMilli(1_700_000_000_000),
	})
	if err != nil {
		t.Fatal(err)
	}
	proto := `"format":"protobuf","message":"acme.Reading","schema":{"text":` + quoted(reading) + `}`
	cases := map[string]struct {
		stage string
		body  []byte
		want  string
	}{
		"CBOR": {`"format":"cbor"`, sealed(map[any]any{"t": 21.5, 7: []any{true, nil, "é", uint64(math.MaxUint64)}, "b": []byte{0xff}}),
			`{"7":[true,null,"é",18446744073709551615],"b":"/w==","t":21.5}`},
		"CBOR with hexadecimal":     {`"format":"cbor","bytes":"hex"`, sealed([]byte{0xff}), `"ff"`},
		"CBOR of RFC 8949, tags":    {`"format":"cbor"`, unhex(t, "83c11a514b67b0c249010000000000000000f97e00"), `["2013-03-21T20:04:00Z",18446744073709551616,null]`},
		"CBOR of unknown length":    {`"format":"cbor"`, unhex(t, "bf61610161629f0203ffff"), `{"a":1,"b":[2,3]}`},
		"MessagePack":               {`"format":"msgpack"`, packed(map[string]any{"t": 21.5, "n": []any{int64(-5), nil, "x"}, "b": []byte{1}, "m": map[int]bool{3: true}}), `{"b":"AQ==","m":{"3":true},"n":[-5,null,"x"],"t":21.5}`},
		"MessagePack of a time":     {`"format":"msgpack"`, packed(time.Unix(1_700_000_000, 0)), `"2023-11-14T22:13:20Z"`},
		"MessagePack behind a head": {`"format":"msgpack","skip":2`, append([]byte{9, 9}, packed(5)...), `5`},
		"Protobuf": {proto, unhex(t, "0a026d31"+"1009"+"1a01ff"+"22040a026d32"+"2801"+"32060880e2cfaa06"+"38ffffffffffffffffff01"+"42050a0161"+"1005"+"7801"),
			`{"id":"m1","t":-5,"raw":"/w==","more":[{"id":"m2"}],"state":"ON","at":"2023-11-14T22:13:20Z","big":"18446744073709551615","tags":{"a":5}}`},
		"Protobuf of nothing": {proto, nil, `{}`},
		"Avro": {`"format":"avro","schema":{"text":` + quoted(record) + `}`, written,
			`{"at":"2023-11-14T22:13:20Z","data":"CQ==","id":"m1","list":[1,2],"raw":"AQI=","state":"ON","t":21.5,"tags":{"a":5}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := said(t, `{"type":"decode",`+c.stage+`}`, "application/octet-stream", c.body)
			if err != nil || string(m.Body) != c.want || m.ContentType != "application/json" || m.ContentEncoding != "utf-8" {
				t.Errorf("got %s %s %s, %v\nwant %s", m.ContentType, m.ContentEncoding, m.Body, err, c.want)
			}
		})
	}
}

func TestHostileBodiesAreMalformed(t *testing.T) {
	deep := strings.Repeat("\x91", 1000) + "\xc0"
	proto := `"format":"protobuf","message":"acme.Reading","schema":{"text":` + quoted(reading) + `}`
	nested := []byte{}
	for range 100 {
		nested = append(append([]byte{0x22}, sizeOf(len(nested))...), nested...)
	}
	longs := `"format":"avro","schema":{"text":` + quoted(`{"type":"array","items":"long"}`) + `}`
	cases := map[string]struct {
		stage string
		body  []byte
	}{
		"CBOR that is cut off":            {`"format":"cbor"`, []byte{0x82, 1}},
		"CBOR with more behind":           {`"format":"cbor"`, []byte{1, 1}},
		"CBOR that is deep":               {`"format":"cbor"`, bytes.Repeat([]byte{0x81}, 1000)},
		"CBOR of a huge array":            {`"format":"cbor"`, unhex(t, "9b7fffffffffffffff")},
		"CBOR of a huge string":           {`"format":"cbor"`, unhex(t, "5b7fffffffffffffff")},
		"CBOR with a key twice":           {`"format":"cbor"`, unhex(t, "a2616101616102")},
		"CBOR with keys that look alike":  {`"format":"cbor"`, unhex(t, "a20101613102")},
		"CBOR with a list for a key":      {`"format":"cbor"`, unhex(t, "a1810102")},
		"MessagePack that is cut off":     {`"format":"msgpack"`, []byte{0x92, 1}},
		"MessagePack with more behind":    {`"format":"msgpack"`, []byte{1, 1}},
		"MessagePack that is deep":        {`"format":"msgpack"`, []byte(deep)},
		"MessagePack of a huge array":     {`"format":"msgpack"`, unhex(t, "ddffffffff")},
		"MessagePack of a huge map":       {`"format":"msgpack"`, unhex(t, "dfffffffff01")},
		"MessagePack of a huge string":    {`"format":"msgpack"`, unhex(t, "dbffffffff01")},
		"MessagePack with a list for key": {`"format":"msgpack"`, unhex(t, "81910102")},
		"MessagePack with bytes for key":  {`"format":"msgpack"`, unhex(t, "81c4010102")},
		"MessagePack of no type":          {`"format":"msgpack"`, unhex(t, "c1")},
		"MessagePack of an extension":     {`"format":"msgpack"`, unhex(t, "d40501")},
		"MessagePack that is not UTF-8":   {`"format":"msgpack"`, unhex(t, "a1ff")},
		"no MessagePack":                  {`"format":"msgpack"`, nil},
		"too short to skip":               {`"format":"msgpack","skip":2`, []byte{1}},
		"Protobuf that is cut off":        {proto, unhex(t, "0a05")},
		"Protobuf that is not UTF-8":      {proto, unhex(t, "0a01ff")},
		"Protobuf that is deep":           {proto, nested},
		"Avro that is cut off":            {longs, []byte{4, 2}},
		"Avro with more behind":           {longs, []byte{2, 2, 0, 0}},
		"Avro of a huge array":            {longs, unhex(t, "feffffffffffffffff01")},
		"Avro of a huge block":            {longs, unhex(t, "80808080808040")},
		"a body over the limit":           {`"format":"cbor"`, make([]byte, maxBody+1)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			m, err := said(t, `{"type":"decode",`+c.stage+`}`, "", c.body)
			if !errors.Is(err, codec.ErrMalformed) {
				t.Errorf("becomes %.100s, %v", m.Body, err)
			}
			if time.Since(begun) > 5*time.Second {
				t.Errorf("took %v", time.Since(begun))
			}
		})
	}
}

func sizeOf(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return []byte{byte(n) | 0x80, byte(n >> 7)}
}

func TestSchemasByWhichAFewBytesAreEndlessAreRefused(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString(`{"type":"record","name":"R0","fields":[]}`)
	inner := laughs.String()
	for i := 1; i < 25; i++ {
		inner = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i, inner, i-1)
	}
	for name, schema := range map[string]string{
		"a type within itself":   `{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}`,
		"an array of nulls":      `{"type":"array","items":"null"}`,
		"an array of nothing":    `{"type":"array","items":{"type":"record","name":"E","fields":[{"name":"n","type":"null"}]}}`,
		"types by the million":   inner,
		"arrays within arrays":   strings.Repeat(`{"type":"array","items":`, 40) + `"int"` + strings.Repeat("}", 40),
		"an array of fixed zero": `{"type":"array","items":{"type":"fixed","name":"F","size":0}}`,
	} {
		_, err := Parse([]byte(`{"bodies":[{"type":"decode","format":"avro","schema":{"text":`+quoted(schema)+`}}]}`), around())
		if err == nil || !strings.Contains(err.Error(), "/bodies/0/schema") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJSONBodiesPassTheDecoder(t *testing.T) {
	m, err := said(t, `{"type":"decode","format":"cbor"}`, "application/json", []byte(`{"a":1}`))
	if err != nil || string(m.Body) != `{"a":1}` {
		t.Errorf("got %s, %v", m.Body, err)
	}
}

func TestFieldsAreChosenRenamedAndComputed(t *testing.T) {
	const body = `{"t": 21.5, "id": "m1", "big": 12345678901234567890, "h": {"x": [1, 2]}}`
	for stage, want := range map[string]string{
		`"set":{"temperature":"t","who":"device"}`:           `{"temperature":21.5,"who":"d1"}`,
		`"keep":true,"set":{"celsius":"t"},"drop":["t","h"]`: `{"id":"m1","big":12345678901234567890,"celsius":21.5}`,
		`"keep":true,"drop":["id","none"]`:                   `{"t":21.5,"big":12345678901234567890,"h":{"x": [1, 2]}}`,
		`"keep":true,"set":{"t":"id"}`:                       `{"id":"m1","big":12345678901234567890,"h":{"x": [1, 2]},"t":"m1"}`,
		`"keep":true,"drop":["t","id","big","h"]`:            `{}`,
		`"set":{"a\"<b":"none"}`:                             `{"a\"<b":null}`,
	} {
		m, err := said(t, `{"type":"fields",`+stage+`}`, "application/json", []byte(body))
		if err != nil || string(m.Body) != want {
			t.Errorf("%s: got %s, %v\nwant %s", stage, m.Body, err, want)
		}
	}
	for stage, body := range map[string]string{
		`"set":{"a":"bad"}`:        `{}`,
		`"set":{"a":"func"}`:       `{}`,
		`"set":{"a":"x"}`:          `[1]`,
		`"keep":true,"drop":["x"]`: `[1]`,
		`"keep":true,"drop":["y"]`: `{"x":1`,
		`"keep":true,"drop":["z"]`: `{"x" 1}`,
		`"keep":true,"drop":[""]`:  ``,
		`"set":{"b":"x"}`:          `{"x":1`,
	} {
		if m, err := said(t, `{"type":"fields",`+stage+`}`, "application/json", []byte(body)); !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%s of %s: got %s, %v", stage, body, m.Body, err)
		}
	}
	if m, err := said(t, `{"type":"fields","set":{"a":"x"}}`, "text/plain", []byte("text")); err != nil || string(m.Body) != "text" {
		t.Errorf("text becomes %s, %v", m.Body, err)
	}
}

func TestBodiesAreCompressedAndSayHow(t *testing.T) {
	plain := bytes.Repeat([]byte("abc"), 100)
	for name, encoding := range map[string]string{"gzip": "gzip", "zlib": "deflate", "zstd": "zstd", "deflate": "deflate"} {
		m, err := said(t, `{"type":"compress","algorithm":"`+name+`","minBytes":10}`, "text/plain", plain)
		if err != nil || m.ContentEncoding != encoding || m.ContentType != "text/plain" || len(m.Body) > 100 {
			t.Errorf("%s: %d bytes, %q, %v", name, len(m.Body), m.ContentEncoding, err)
		}
		back, err := said(t, `{"type":"decompress","algorithm":"`+name+`"}`, "text/plain", m.Body)
		if err != nil || !bytes.Equal(back.Body, plain) || back.ContentEncoding != "" {
			t.Errorf("%s back: %d bytes, %q, %v", name, len(back.Body), back.ContentEncoding, err)
		}
		if m, err := said(t, `{"type":"compress","algorithm":"`+name+`","minBytes":10}`, "", []byte("short")); err != nil ||
			string(m.Body) != "short" || m.ContentEncoding != "" {
			t.Errorf("%s: a short body becomes %x, %v", name, m.Body, err)
		}
	}
	if _, err := said(t, `{"type":"decompress","algorithm":"gzip"}`, "", plain); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("text is decompressed: %v", err)
	}
}

func TestStagesFollowEachOther(t *testing.T) {
	stages := `{"type":"decompress","algorithm":"zlib"},{"type":"decode","format":"msgpack"},{"type":"fields","set":{"c":"t"}},` +
		`{"type":"compress","algorithm":"gzip"},{"type":"decompress","algorithm":"gzip"}`
	packed, err := msgpack.Marshal(map[string]int{"t": 5, "u": 6})
	if err != nil {
		t.Fatal(err)
	}
	m, err := said(t, stages, "", deflated(t, "zlib", packed))
	if err != nil || string(m.Body) != `{"c":5}` || m.ContentType != "application/json" {
		t.Errorf("got %s %s, %v", m.ContentType, m.Body, err)
	}
}

func FuzzBodiesBecomeJSONOrAnError(f *testing.F) {
	settings := []string{
		`"format":"cbor"`, `"format":"msgpack"`,
		`"format":"protobuf","message":"acme.Reading","schema":{"text":` + quoted(reading) + `}`,
		`"format":"avro","schema":{"text":` + quoted(record) + `}`,
	}
	var links []codec.Dialogue
	for i, s := range settings {
		links = append(links, begin(f, `{"bodies":[{"type":"decode",`+s+`}]}`, parrot{}))
		f.Add(uint8(i), []byte("\x82\x01\x02"))
		f.Add(uint8(i), []byte("\x0a\x02m1\x10\x09"))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		var out codec.Outcome
		if bytes.Equal(data, []byte("bad")) || bytes.Equal(data, []byte("broken")) {
			return // words of the parrot
		}
		err := links[int(which)%len(links)].Receive(codec.Frame{Bytes: data}, &out)
		if err != nil && !errors.Is(err, codec.ErrMalformed) {
			t.Fatal(err)
		}
		if err == nil && !validJSON(out.Messages[0].Body) {
			t.Errorf("%x becomes %q", data, out.Messages[0].Body)
		}
	})
}
