package frame

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestFaultsOfTheSpecificationAreNamed(t *testing.T) {
	cases := []struct{ spec, pointer, reason string }{
		{``, "", "line, delimiter"},
		{`null`, "", "line, delimiter"},
		{`[]`, "", "line, delimiter"},
		{`{}`, "/type", "line, delimiter"},
		{`{"type":7}`, "/type", "line, delimiter"},
		{`{"type":"lines"}`, "/type", `got "lines", want one of line`},
		{`{"type":"line","size":3}`, "/size", "unknown field, known are type, crlf"},
		{`{"type":"line","crlf":"yes"}`, "/crlf", `got "yes", want true or false`},
		{`{"type":"line","crlf":true,"crlf":false}`, "/crlf", "given twice"},
		{`{"type":"delimiter"}`, "", "either hex or text"},
		{`{"type":"delimiter","hex":"0d","text":"\r"}`, "", "either hex or text"},
		{`{"type":"delimiter","hex":"0d0"}`, "/hex", `got "0d0", want 1 to 16 bytes`},
		{`{"type":"delimiter","text":""}`, "/text", "want 1 to 16 bytes"},
		{`{"type":"length","size":0}`, "/size", "varint"},
		{`{"type":"length","size":9}`, "/size", "1 to 8"},
		{`{"type":"length","size":"big"}`, "/size", `got "big"`},
		{`{"type":"length","endian":"middle"}`, "/endian", `got "middle", allowed are big, little`},
		{`{"type":"length","encoding":"octal"}`, "/encoding", "binary, ascii, bcd"},
		{`{"type":"length","encoding":"bcd","size":"varint"}`, "/encoding", "a varint is binary"},
		{`{"type":"length","offset":-1}`, "/offset", "0 to 64"},
		{`{"type":"length","offset":2,"strip":true}`, "/strip", "prefix"},
		{`{"type":"length","offset":2,"prefix":"68"}`, "/offset", "1 bytes"},
		{`{"type":"length","adjustment":100000}`, "/adjustment", "-65536 to 65536"},
		{`{"type":"fixed"}`, "/size", "got 0, allowed are 1 to the frame limit, 100"},
		{`{"type":"fixed","size":101}`, "/size", "got 101"},
		{`{"type":"fixed","size":1.5}`, "/size", "got 1.5, want integer"},
		{`{"type":"gap"}`, "/milliseconds", "1 to 60000"},
		{`{"type":"delimited"}`, "/end", "1 to 16 bytes"},
		{`{"type":"delimited","preset":"ppp"}`, "/preset", "hdlc, slip, jt808, mllp"},
		{`{"type":"delimited","preset":"hdlc","end":"7e"}`, "/preset", "together"},
		{`{"type":"delimited","end":"03","escape":{"byte":"1020","xor":"20"}}`, "/escape/byte", "1 to 1 bytes"},
		{`{"type":"delimited","end":"03","escape":{"byte":"10","xor":"00"}}`, "/escape/xor", "not with 00"},
		{`{"type":"delimited","end":"03","escape":{"byte":"10","xor":"13"}}`, "/escape", "makes a flag"},
		{`{"type":"delimited","end":"03","escape":{"map":{}}}`, "/escape/map", "no pair"},
		{`{"type":"delimited","end":"03","escape":{"map":{"1023":"03"}}}`, "/escape/map", "pairs for 10 and 03"},
		{`{"type":"delimited","end":"03","escape":{"map":{"1023":"03","1130":"10"}}}`, "/escape/map/", "the same in all pairs"},
		{`{"type":"delimited","end":"1003","escape":{"map":{"1003":"10"}}}`, "/escape/map", "begins like the end"},
		{`{"type":"delimited","end":"03","escape":{"map":{"1001":"10"},"byte":"10"}}`, "/escape", "either a map"},
	}
	for _, c := range cases {
		t.Run(c.spec, func(t *testing.T) {
			_, err := Parse(json.RawMessage(c.spec), 100)
			fault, ok := errors.AsType[*codec.OptionError](err)
			if !ok || !strings.HasPrefix(fault.Pointer, c.pointer) || !strings.Contains(fault.Reason, c.reason) {
				t.Errorf("got %v, want %q with %q", err, c.pointer, c.reason)
			}
		})
	}
}

func TestLimitOutOfRangeIsRefused(t *testing.T) {
	for _, limit := range []int{0, -1, MaxLimit + 1} {
		if _, err := Parse(json.RawMessage(`{"type":"line"}`), limit); err == nil {
			t.Errorf("limit %d was taken", limit)
		}
	}
}

func TestPayloadsThatCannotBeCarriedAreRefused(t *testing.T) {
	cases := []struct{ name, spec, payload string }{
		{"a line in the line", `{"type":"line"}`, "a\nb"},
		{"a delimiter in the frame", `{"type":"delimiter","text":"##"}`, "a##b"},
		{"a frame that ends like its delimiter", `{"type":"delimiter","text":"##"}`, "a#"},
		{"a frame of another size", `{"type":"fixed","size":3}`, "ab"},
		{"a frame longer than its length field can say", `{"type":"length","size":1}`, strings.Repeat("x", 256)},
		{"a frame longer than its digits can say", `{"type":"length","size":2,"encoding":"ascii"}`, strings.Repeat("x", 100)},
		{"a frame shorter than what its length leaves out", `{"type":"length","adjustment":4}`, "abc"},
		{"a header that lies", `{"type":"length","size":1,"strip":false}`, "\x05ab"},
		{"the end in the frame", `{"type":"delimited","preset":"mllp"}`, "a\x1c\rb"},
		{"an empty frame between flags", `{"type":"delimited","preset":"hdlc"}`, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := parse(t, c.spec, 1000).Append([]byte("before"), []byte(c.payload))
			if !errors.Is(err, ErrPayload) || string(out) != "before" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

func TestKindIsTheTypeNamed(t *testing.T) {
	if kind := parse(t, `{"type":"datagram"}`, 10).Kind(); kind != "datagram" {
		t.Errorf("got %q", kind)
	}
}
