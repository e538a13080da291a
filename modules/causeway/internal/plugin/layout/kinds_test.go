package layout

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// decoded is the body that a list of fields makes of a frame.
func decoded(tb testing.TB, head, fields, frame string) (string, error) {
	tb.Helper()
	text := fmt.Sprintf("layout: 1\n%s\nmessages:\n  a:\n    fields: [%s]\n    message: {}\n", head, fields)
	var out codec.Outcome
	if err := begin(tb, text, "tcp").Receive(codec.Frame{Bytes: unhex(tb, frame)}, &out); err != nil {
		return "", err
	}
	return string(out.Messages[0].Body), nil
}

func TestFieldsOfEveryKind(t *testing.T) {
	for _, c := range []struct{ head, fields, frame, want string }{
		{"", "{name: x, type: u64le}", "ffffffffffffffff", "18446744073709551615"},
		{"", "{name: x, type: u64, scale: 0.5}", "fffffffffffffffe", "9223372036854776000"},
		{"", "{name: x, type: u64, scale: 2}", "0000000000000003", "6"},
		{"", "{name: x, type: i64}", "8000000000000000", "-9223372036854775808"},
		{"", "{name: x, type: i64, scale: 10}", "8000000000000000", "-92233720368547760000"},
		{"", "{name: x, type: i56le}", "feffffffffffff", "-2"},
		{"", "{name: x, type: u40}", "0000000102", "258"},
		{"", "{name: x, type: u32le}", "01000000", "1"},
		{"", "{name: x, type: i8, scale: 0.25, offset: 1.5}", "fe", "1"},
		{"", "{name: x, type: i8, offset: -40}", "01", "-39"},
		{"", "{name: x, type: u16, scale: 0.1, decimals: 0}", "00ff", "26"},
		{"", "{name: x, type: u8, scale: 1/3, decimals: 3}", "02", "0.667"},
		{"", "{name: x, type: i16, scale: 1/3, decimals: 1}", "0000", "0"},
		{"", "{name: x, type: u8, scale: 1000000000}", "ff", "255000000000"},
		{"", "{name: x, type: f32be}", "7fc00000", "null"},
		{"endian: little", "{name: x, type: f64}", "000000000000f83f", "1.5"},
		{"", "{name: x, type: f64le}", "17d9cef753e3a53f", "0.04275"},
		{"", "{name: x, type: f32, scale: 2, offset: 1}", "3fc00000", "4"},
		{"", "{name: x, type: f32}", "60ad78ec", "100000000000000000000"},
		{"", "{name: x, type: f64}", "444b1ae4d6e2ef50", "1e+21"},
		{"", "{name: x, type: bcd, size: 2, endian: little}", "3412", "1234"},
		{"", "{name: x, type: digits, size: 2}", "123f", `"123"`},
		{"", "{name: x, type: digits, size: 2, trim: zeros}", "0000", `"0"`},
		{"", "{name: x, type: bool}", "05", "true"},
		{"", "{name: x, type: text, until_hex: '00'}", "414200", `"AB"`},
		{"", "{name: x, type: text, size: 4, trim: both}", "41 20 20 00", `"A"`},
		{"", "{name: x, type: text, prefix: u16le, encoding: utf-16be}", "0400 d83dde00", `"😀"`},
		{"", "{name: x, type: text, size: rest, encoding: utf-16le}", "3dd8 4100", `"�A"`},
		{"", "{name: x, type: text, size: rest}", "22ff", `"\"�"`},
		{"", "{name: x, type: time, format: bytes, pattern: YYMD}", "07ea0102", `"2026-01-02T00:00:00Z"`},
		{"", "{name: x, type: time, format: bcd, pattern: YYYYMMDDhhmmss, zone: '-01:30'}", "20260102030405", `"2026-01-02T04:34:05Z"`},
		{"", "{name: x, type: time, size: 8}", "0000000000000001", `"1970-01-01T00:00:01Z"`},
		{"", "{name: x, type: time, format: unix_ms, size: 6, endian: little}", "e80300000000", `"1970-01-01T00:00:01Z"`},
		{"bits: lsb", "{name: y, type: u3, hide: true}, {name: x, type: u5}", "a9", "21"},
		{"endian: little\nbits: lsb", "{name: y, type: u4, hide: true}, {name: x, type: i12}", "21ff", "-14"},
		{"", "{name: y, type: u8, hide: true}, {name: x, type: u8, checksum: xor, from: after, to: end}, {type: skip, size: 2}", "0003 0102", "3"},
		{"", "{type: skip, size: 1}, {name: x, type: u8, checksum: sum8, from: 0, to: -2}, {type: skip, size: 1}", "0303 01", "3"},
		{"", "{type: skip, size: 1}, {name: x, type: u8, checksum: sum8, from: 0, to: before}, {type: skip, size: 1}", "0304 01", "!is 0x4 at offset 1, want 0x3"},
		{"", "{name: x, type: u8, checksum: sum8, from: 9, to: end}", "03", "!is over bytes 9 to 1 of 1"},
		{"", "{name: x, repeat: 2, type: u8, enum: {1: a}}", "0102", `["a",2]`},
		{"", "{name: x, repeat: end, type: f32, decimals: 1}", "3fc00000", "[1.5]"},
		{"", "{name: x, repeat: 2, fields: [{name: i, value: index * 10}, {type: skip, size: 1}]}", "0000", `[{"i":0},{"i":10}]`},
		{"", "{name: x, prefix: u8, fields: [{name: a, type: u8}]}", "03 01 0203", `{"a":1}`},
		{"", "{name: g, hide: true, fields: [{name: h, fields: [{name: a, type: u8}]}]}, {name: x, value: g.h.a + 1}", "01", "2"},
		{"", "{name: t, type: u8, hide: true}, {switch: t, cases: {1: []}, else: skip}, {name: x, value: t}", "02", "2"},
		{"", "{tlv: {tag: u8}, cases: {1: [{name: x, type: u16}], 2: [{type: skip, size: 1}]}}", "0200 010003", "3"},
		{"", "{tlv: {tag: u8, length: u8}, cases: {1: [{name: x, type: u8}]}, else: [{name: y, type: hex, size: rest, hide: true}]}", "0901ff 010103", "3"},
		// What the device got wrong.
		{"", "{name: x, type: text, size: rest, encoding: ascii}", "80", "!no ASCII"},
		{"", "{name: x, type: text, size: rest, encoding: utf-16le}", "80", "!are no UTF-16"},
		{"", "{name: x, type: digits, size: 1}", "a0", "!no pair"},
		{"", "{name: x, type: text, until: ';'}", "80", "!has no end 3b"},
		{"", "{name: x, type: text, prefix: u8}", "0280", "!has a length of 2"},
		{"", "{name: n, type: i8}, {name: x, type: text, size: n}", "ff", "!has a size of -1"},
		{"", "{name: x, type: u8, is: [1, 2]}", "03", "!is 3 at offset 0, want 1, 2"},
		{"", "{name: x, type: hex, size: 2, is: [AB01, ab02]}", "ab03", "!want AB01, ab02"},
		{"", "{name: x, type: u8}, {check: x > 3, error: too low}", "03", "!too low"},
		{"", "{name: x, type: u8}, {check: x > 3}", "03", "!the check x > 3 failed"},
		{"", "{tlv: {tag: u8, length: u8}, cases: {1: []}, else: malformed}", "0200", "!no case for tag 2"},
		{"", "{tlv: {tag: u8}, cases: {1: []}}", "02", "!no case for tag 2"},
		{"", "{name: x, type: time, format: bcd}", "2602300a0000", "!is no time"},
		{"", "{name: x, type: time, format: unix_ms}", "ffffffffffffffff", "!is no time"},
		{"", "{name: x, type: u8}", "0102", "!no field describes"},
		{"", "{name: x, type: f32}", "0102", "!needs 4 bytes"},
		{"", "{name: x, type: bcd, size: 3}", "0102", "!needs 3 bytes"},
		{"", "{name: x, type: time}", "0102", "!needs 4 bytes"},
		{"", "{name: x, type: u4}, {type: u4}", "", "!needs 1 bytes"},
	} {
		got, err := decoded(t, c.head, c.fields, c.frame)
		if fault, bad := strings.CutPrefix(c.want, "!"); bad {
			if !errors.Is(err, codec.ErrMalformed) || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s of %s: got %s, %v, want %s", c.fields, c.frame, got, err, fault)
			}
			continue
		}
		if want := `{"x":` + c.want + `}`; err != nil || got != want && !strings.HasSuffix(got, `,"x":`+c.want+`}`) {
			t.Errorf("%s of %s: got %s, %v, want %s", c.fields, c.frame, got, err, want)
		}
	}
}

func TestAnswersOfEveryKind(t *testing.T) {
	for template, want := range map[string]string{
		`"0a 0b"`: "0a0b",
		`[{type: u16, value: x}, {type: i24le, value: -2}, {type: u8, value: "x > 1"}, {type: u8, value: x / 2 + 1}]`:  "0007 feffff 01 05",
		`[{type: f32, value: 1.5}, {type: f64, value: x, endian: little}]`:                                             "3fc00000 0000000000001c40",
		`[{type: bcd, value: x, size: 2}, {type: digits, value: s, size: 3}]`:                                          "0007 000123",
		`[{type: text, value: s, size: 4}, {type: text, value: s, prefix: u16le}]`:                                     "31323300 0300 313233",
		`[{type: text, value: "'é€'", encoding: utf-16be}, {type: text, value: "'é'", encoding: latin1}]`:              "00e9 20ac e9",
		`[{type: text, value: "'é'", encoding: utf-16le}, {type: text, value: "'中'", encoding: gbk}]`:                  "e900 d6d0",
		`[{text: "{x}-{s}"}, {text: plain}, {copy: x}]`:                                                                "372d313233 706c61696e 07",
		`[{name: a, length: u16, from: b, to: b, add: 1}, {name: b, type: u24, value: 0}, {checksum: crc32, from: a}]`: "0004 000000 4940604a",
		`[{type: time, value: now, zone: "+01:00", format: bcd}, {type: time, value: now, format: unix_ms}]`:           "700101011640 00000000000f4240",
		`[{type: time, value: now, epoch: 1969-12-31, size: 6}, {type: time, value: now, format: bytes, year: 1900}]`:  "000000015568 460101001028",
		`{raw: [{type: u8, value: x}], when: x == 7}`:                                                                  "07",
		`{raw: [{type: u8, value: x}], when: x == 8}`:                                                                  "",
		`{body: [{type: u8, value: x}]}`:                                                                               "07",
		`{raw: [{type: u8, value: x * 100}]}`:                                                                          "!x * 100 is 700, which 1 bytes cannot hold",
		`[{text: ok}, {type: u8, value: x * 100}]`:                                                                     "!x * 100 is 700, which 1 bytes cannot hold",
		`[{type: text, value: s, size: 2}]`:                                                                            "!which utf-8 cannot say in the bytes there are",
		`[{type: digits, value: s, size: 1}]`:                                                                          "!want at most 2 digits",
	} {
		text := "layout: 1\nmessages: {a: {fields: [{name: x, type: u8}, {name: s, type: text, size: rest}], reply: " + template + "}}"
		p, err := Compile("x", []byte(text))
		if err != nil {
			t.Error(err)
			continue
		}
		c, err := p.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Begin(codec.Peer{Transport: "udp"})
		if err != nil {
			t.Fatal(err)
		}
		var out codec.Outcome
		err = d.Receive(codec.Frame{Bytes: []byte("\x07123"), At: time.Unix(1000, 0)}, &out)
		if fault, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: got %v, want %s", template, err, fault)
			}
			continue
		}
		if got := hex.EncodeToString(out.Reply); err != nil || got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s: got %s, %v, want %s", template, got, err, want)
		}
	}
}

func TestFramingsGoThereAndBack(t *testing.T) {
	contents := []string{"01", "7e7d", "c0dbdcdd", "0102030405060708", "0b1c0e"}
	for frame, want := range map[string]string{
		"{type: length}": "",
		"{type: length, size: 3, endian: little}": "",
		"{type: length, size: 1, adjustment: -1}": "",
		"{type: length, prefix: '7878', size: 2}": "",
		"{type: line}":                                                                 "",
		"{type: delimiter, hex: '0d0a'}":                                               "",
		"{type: delimiter, text: ';'}":                                                 "",
		"{type: delimited, preset: hdlc}":                                              "",
		"{type: delimited, preset: slip}":                                              "",
		"{type: delimited, preset: jt808}":                                             "",
		"{type: delimited, preset: mllp}":                                              "",
		"{type: delimited, start: '2424', end: '0d0a'}":                                "",
		"{type: delimited, start: '02', end: '03', escape: {byte: '10', xor: '20'}}":   "",
		"{type: delimited, start: '1002', end: '1003', escape: {map: {'1010': '10'}}}": "",
		"{type: fixed, size: 3}":                                                       "0b1c0e",
	} {
		text := "layout: 1\nframe: " + frame + "\nmessages: {a: {fields: [{name: x, type: hex, size: rest}], reply: {body: [{copy: x}]}}}"
		d := begin(t, text, "tcp")
		for _, content := range contents {
			var out codec.Outcome
			err := d.Receive(codec.Frame{Bytes: unhex(t, content)}, &out)
			if want != "" && content != want {
				if !errors.Is(err, codec.ErrBroken) {
					t.Errorf("%s of %s: got %v", frame, content, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s of %s: %v", frame, content, err)
				continue
			}
			if got := first(t, d.(codec.Framer), out.Reply); got != content {
				t.Errorf("%s of %s: %x is cut to %s", frame, content, out.Reply, got)
			}
		}
	}
}

// first cuts a stream that comes byte by byte up to its first frame.
func first(tb testing.TB, f codec.Framer, stream []byte) string {
	tb.Helper()
	var held []byte
	for _, b := range stream {
		held = append(held, b)
		for len(held) > 0 {
			n, frame, err := f.Split(held, false)
			if err != nil {
				return err.Error()
			}
			if frame != nil {
				return hex.EncodeToString(frame)
			}
			if n == 0 {
				break
			}
			held = held[n:]
		}
	}
	return "nothing"
}

func TestFramesThatCannotBeAreRefusedEarly(t *testing.T) {
	for frame, stream := range map[string]string{
		"{type: length, limit: 10}":                             "\x00\x0b",
		"{type: length, adjustment: -4}":                        "\x00\x03",
		"{type: length, size: 8}":                               "\xff\xff\xff\xff\xff\xff\xff\xff",
		"{type: length, prefix: aa}":                            "\xab",
		"{type: line, limit: 10}":                               "01234567890123",
		"{type: delimiter, text: ';', limit: 3}":                "0123456;",
		"{type: delimited, start: '02', end: '03', limit: 3}":   "0123456",
		"{type: delimited, preset: mllp, limit: 3}":             "\x0b0123456789",
		"{type: delimited, preset: jt808, limit: 3}":            "~0123456~",
		"{type: delimited, start: '02', end: '0304', limit: 2}": "\x02abc\x03\x04",
	} {
		d := begin(t, "layout: 1\nframe: "+frame+"\nmessages: {a: {}}", "tcp")
		if _, _, err := d.(codec.Framer).Split([]byte(stream), false); !errors.Is(err, codec.ErrProtocol) {
			t.Errorf("%s of %q: got %v", frame, stream, err)
		}
	}
}

func TestALayoutMayBeJSON(t *testing.T) {
	p, err := Compile("x", []byte("{\n\t\"layout\": 1,\n\t\"messages\": {\"a\": {\n\t\t\"fields\": [{\"name\": \"x\", \"type\": \"u8\", \"enum\": {\"1\": \"\\u006fn\"}}],\n\t\t\"message\": {}}}\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: []byte{1}}, &out); err != nil || string(out.Messages[0].Body) != `{"x":"on"}` {
		t.Errorf("got %v, %v", out.Messages, err)
	}
}
