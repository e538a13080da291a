package layout

import (
	"errors"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestFaultsOfLayoutsSayWhereAndWhat(t *testing.T) {
	fields := func(text string) string { return "layout: 1\nmessages:\n  a:\n    fields:\n      - " + text }
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                  {"", "1:1: is empty"},
		"no YAML":                  {"a: [", "not YAML"},
		"no object":                {"- a", "1:1: layout: got a list, want an object"},
		"no version":               {"messages: {a: {}}", `1:1: layout is missing`},
		"another version":          {"layout: 2\nmessages: {a: {}}", `1:9: layout: got "2", want an integer from 1 to 1`},
		"no messages":              {"layout: 1", "1:1: messages are missing"},
		"an unknown key":           {"layout: 1\nmesages: {}", `2:1: layout: unknown key "mesages", known are layout, about`},
		"a key twice":              {"layout: 1\nlayout: 1", `2:1: layout: "layout" is given twice`},
		"a wrong word":             {"layout: 1\nendian: middle", `2:9: endian: got "middle", allowed are big, little`},
		"a type that is none":      {fields("{name: x, type: u65}"), `5:25: type: got "u65", allowed are u1 to u64`},
		"a key of another type":    {fields("{name: x, type: u8, size: 2}"), `5:29: type u8: unknown key "size"`},
		"an element of no kind":    {fields("{name: x}"), "5:9: field: want one of the keys type"},
		"a name with a space":      {fields("{name: a b, type: u8}"), `5:16: name: got "a b"`},
		"a reserved name":          {fields("{name: now, type: u8}"), `5:16: name: got "now"`},
		"a name twice":             {fields("{name: x, type: u8}\n      - {name: x, type: u8}"), `6:9: name: "x" is taken`},
		"bits that fill no byte":   {fields("{name: x, type: u3}"), "5:9: the bit fields have 3 bits together"},
		"a byte after bits":        {fields("{name: x, type: u3}\n      - {type: text, size: 1}"), "6:9: begins in the middle of a byte"},
		"too many bits":            {fields("{name: x, type: u60}\n      - {name: y, type: u5}"), "6:9: the bit fields before have 65 bits"},
		"bits with a condition":    {fields("{name: x, type: bit, when: true}"), "5:36: when: a field within a byte"},
		"text without a size":      {fields("{name: x, type: text}"), `5:9: field "x": got 0 of the keys size`},
		"a negative size":          {fields("{name: x, type: text, size: -1}"), `5:37: size: got "-1", want an integer from 0 to`},
		"an unknown field":         {fields("{name: x, type: text, size: n}"), `5:37: size: "n": "n" at 1 is no field before this place`},
		"a slip in an expression":  {fields("{name: x, type: u8, when: '1 +'}"), `5:35: when: "1 +": "the end" at 4: want a value`},
		"a condition of a number":  {fields("{name: x, type: u8, when: 1 + 1}"), `5:35: when: "1 + 1" is an integer, want a truth value`},
		"text and number":          {fields("{name: x, value: \"1 + 'a'\"}"), "+ between an integer and text"},
		"an unknown function":      {fields("{name: x, value: sin(1)}"), "functions are len(text)"},
		"an unknown counter":       {fields("{name: x, value: next(n)}"), `"n" at 6 is no counter`},
		"a name of no enumeration": {fields("{name: x, type: u8, enum: {1: on}, check: \"x == 'of'\"}"), `"of" is no name of field "x"`},
		"parentheses in a heap":    {fields("{name: x, value: \"" + strings.Repeat("(", 40) + "1\"}"), "nested more than 32 deep"},
		"a scale of zero":          {fields("{name: x, type: u8, scale: 0}"), `5:36: scale: got "0", want a positive number`},
		"an enumeration of text":   {fields("{name: x, type: u8, enum: {on: 1}}"), `5:36: enum: got the key "on", want an integer`},
		"a flag out of range":      {fields("{name: x, type: u8, flags: {a: 64}}"), `5:40: flags: got "64", want an integer from 0 to 63`},
		"an unknown check sum":     {fields("{name: x, type: u8, checksum: crc9}"), `5:39: checksum: got "crc9", known are xor, sum8`},
		"a check sum too wide":     {fields("{name: x, type: u8, checksum: crc-16/arc}"), "crc-16/arc has 16 bits, the field has 8"},
		"a pattern of no time":     {fields("{name: x, type: time, format: bcd, pattern: YYQQ}"), `5:53: pattern: got "YYQQ"`},
		"a zone in words":          {fields("{name: x, type: time, zone: CET}"), `5:37: zone: got "CET", want an offset such as +08:00`},
		"a slip in a pattern":      {fields("{match: '(', fields: []}"), "5:17: match: error parsing regexp"},
		"a group without a column": {fields("{match: 'a', fields: [{name: x}]}"), "5:31: match: the pattern has no group (?P<x>...)"},
		"both element kinds":       {fields("{name: x, repeat: 2}"), `5:9: field "x": want either fields, or the type of an element`},
		"cases without an end":     {fields("{switch: 1, cases: {a: []}}"), `5:29: case: got "a", want an integer`},
		"a message twice":          {"layout: 1\nhead: [{name: t, type: u8}]\nselect: t\nmessages: {a: {is: 1}, b: {is: 1}}", `4:32: is: 1 is that of message a`},
		"no discriminator":         {"layout: 1\nmessages: {a: {is: 1}}", "2:20: is: the layout has no select"},
		"two for all others":       {"layout: 1\nmessages: {a: {}, b: {}}", "2:19: message b: is is missing, as it is in a"},
		"a tail of any size":       {"layout: 1\ntail: [{type: text, size: rest}]\nmessages: {a: {}}", "2:7: tail: its fields have no fixed size"},
		"a login of nobody":        {"layout: 1\nmessages: {a: {login: {}}}", "2:23: login: device is missing"},
		"a body of no field":       {"layout: 1\nmessages: {a: {message: {body: [x]}}}", `2:33: body: "x" is no field before this place`},
		"each of no repeat":        {fields("{name: x, type: u8}\n    message: {each: x}"), `6:21: each: "x" is no repeat`},
		"a time that is none":      {fields("{name: x, type: u8}\n    message: {time: x}"), `6:21: time: "x" is no field of type time`},
		"a property in Greek":      {"layout: 1\nmessages: {a: {message: {properties: {é: 1}}}}", "2:38: properties: got the name"},
		"bytes out of range":       {"layout: 1\nmessages: {a: {reply: [{type: u8, value: 256}]}}", "2:42: value: 256 does not fit into 1 bytes"},
		"half a byte":              {"layout: 1\nmessages: {a: {reply: '0'}}", `2:23: reply: got "0", want 0 to`},
		"a label that is missing":  {"layout: 1\nmessages: {a: {reply: [{length: u8, to: x}]}}", `2:41: to: "x" is the name of no part`},
		"an envelope of no body":   {"layout: 1\nenvelope: {parts: ['00']}\nmessages: {a: {}}", `2:19: parts: has 0 elements "body"`},
		"an envelope half filled":  {"layout: 1\nenvelope: {takes: [k], parts: [body]}\nmessages: {a: {reply: {}}}", "3:23: reply: k is missing"},
		"a frame of no type":       {"layout: 1\nframe: {}\nmessages: {a: {}}", "2:8: frame: type is missing"},
		"a frame too long":         {"layout: 1\nframe: {type: line, limit: 9999999}\nmessages: {a: {}}", `2:28: limit: got "9999999", want an integer from 1 to 1048576`},
		"an escape that is a flag": {"layout: 1\nframe: {type: delimited, end: '7e', escape: {byte: '5e', xor: '20'}}\nmessages: {a: {}}", "2:45: escape: byte 5e"},
		"a command of nothing":     {"layout: 1\nmessages: {a: {}}\ncommands: {c: {}}", "3:12: command c: send is missing"},
		"an answer of no message":  {"layout: 1\nmessages: {a: {}}\ncommands: {c: {send: '00', answer: {message: b}}}", `3:46: message: "b" is no message`},
		"half a key":               {"layout: 1\nmessages: {a: {}}\ncommands: {c: {send: '00', key: 1, answer: {message: a}}}", "3:44: answer: key has to be given both"},
		"a default out of range":   {"layout: 1\nparameters: {p: {type: int, max: 5, default: 6}}\nmessages: {a: {}}", "2:46: default: got 6, allowed are"},
		"an example of nothing":    {"layout: 1\nmessages: {a: {}}\nexamples: [{}]", "3:12: example: want either dialogue, or hex"},
		"parts in a heap":          {nested(9), "parts stand more than 8 deep in each other"},
		"too many fields":          {many(2100), "more than 2048 fields"},
		"aliases in a heap":        {bomb(), "more than 50000 values"},
		"a long source":            {strings.Repeat("#", 300_000), "has 300000 bytes, at most 262144"},
	} {
		_, err := Compile("x", []byte(c.text))
		var fault *Error
		if !errors.As(err, &fault) || fault.Line < 1 || fault.Column < 1 || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "layout x:") {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// nested are groups in each other.
func nested(n int) string {
	inner := "{type: u8}"
	for range n {
		inner = "{name: g, fields: [" + inner + "]}"
	}
	return "layout: 1\nmessages: {a: {fields: [" + inner + "]}}"
}

// many are groups of fields.
func many(n int) string {
	var b strings.Builder
	b.WriteString("layout: 1\nmessages: {")
	for i := range 1 + n/100 {
		b.WriteString(strings.Repeat("m", i+1) + ": {is: [], fields: [" + strings.Repeat("{type: u8},", 100) + "]},")
	}
	return b.String() + "}\nselect: now"
}

// bomb is a list of lists of aliases.
func bomb() string {
	text := "layout: 1\nmessages: {a: {}}\nexamples:\n- hex: '00'\n  messages: &a0 [{x: y}]\n"
	for i := range 9 {
		text += "- hex: '00'\n  messages:\n  - x: &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+string(rune('0'+i))+",", 9) + "]\n"
	}
	return text
}

func TestOptionsAreTheParametersOfTheLayout(t *testing.T) {
	p := load(t, "meter")
	for options, pointer := range map[string]string{
		`{"answer": 256}`: "/answer", `{"answer": "6"}`: "/answer", `{"zone_note": 1}`: "/zone_note",
		`{"zone_note": "seventeen letters"}`: "/zone_note", `{"a/b": 1}`: "/a~1b", `[]`: "",
	} {
		_, err := p.New([]byte(options))
		var fault *codec.OptionError
		if !errors.As(err, &fault) || fault.Pointer != pointer {
			t.Errorf("%s: got %v, want a fault of %q", options, err, pointer)
		}
	}
	for _, options := range []string{"", "{}", "null", `{"answer": 255, "zone_note": "x"}`} {
		if _, err := p.New([]byte(options)); err != nil {
			t.Errorf("%s: %v", options, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
