package js

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestHelpersDoWhatTheGuideSays(t *testing.T) {
	for expression, want := range map[string]string{
		`crc("crc16/modbus", fromText("123456789"))`:                                                                                    `19255`,
		`crc("crc16/ccitt-false", fromText("123456789"))`:                                                                               `10673`,
		`crc("crc16/xmodem", fromText("123456789"))`:                                                                                    `12739`,
		`crc("crc16/x25", fromText("123456789"))`:                                                                                       `36974`,
		`crc("crc16/kermit", fromText("123456789"))`:                                                                                    `8585`,
		`crc("crc16/arc", fromText("123456789"))`:                                                                                       `47933`,
		`crc("crc16/usb", fromText("123456789"))`:                                                                                       `46280`,
		`crc("crc16/mcrf4xx", fromText("123456789"))`:                                                                                   `28561`,
		`crc("crc16/dnp", fromText("123456789"))`:                                                                                       `60034`,
		`crc("crc8", fromText("123456789"))`:                                                                                            `244`,
		`crc("crc8/maxim", fromText("123456789"))`:                                                                                      `161`,
		`crc("crc8/rohc", fromText("123456789"))`:                                                                                       `208`,
		`crc("crc24/openpgp", fromText("123456789"))`:                                                                                   `2215682`,
		`crc("crc32", fromText("123456789"))`:                                                                                           `3421780262`,
		`crc("crc32/mpeg-2", fromText("123456789"))`:                                                                                    `58124007`,
		`crc("crc32/bzip2", fromText("123456789"))`:                                                                                     `4236843288`,
		`crc("crc32c", fromText("123456789"))`:                                                                                          `3808858755`,
		`crc({width: 16, poly: 0x8005, init: 0xffff, refin: true, refout: true}, [1])`:                                                  `32894`,
		`crc("crc32", [1, 2, 3, 4], 1, -1) === crc("crc32", [2, 3])`:                                                                    `true`,
		`[xor([1, 2, 4]), xor([1, 2, 4], 1), sum([255, 255]), sum([1, 2, 3], 0, -1)]`:                                                   `[7,6,510,3]`,
		`[toHex([1, 255]), toHex(fromHex("0A ff")), toBase64([1, 2]), toHex(fromBase64("AQI"))]`:                                        `["01ff","0aff","AQI=","0102"]`,
		`[toText([0xc3, 0xa9]), toText([0xe9], "latin1"), toText([0xc4, 0xe3, 0xba, 0xc3], "gbk")]`:                                     `["é","é","你好"]`,
		`[toHex(fromText("你", "gbk")), toHex(fromText("é")), toHex(fromText("A", "utf16le"))]`:                                          `["c4e3","c3a9","4100"]`,
		`[fromBcd([0x12, 0x3f]), toHex(toBcd("123")), toHex(toBcd("7", 2))]`:                                                            `["123","0123","0007"]`,
		`unpack(">HbI", [1, 2, 255, 0, 0, 1, 0])`:                                                                                       `[258,-1,256]`,
		`unpack("<Hx2sT", [1, 2, 9, 65, 0, 1, 2, 3])`:                                                                                   `[513,"A",197121]`,
		`unpack(">3B?e", [1, 2, 3, 1, 0x3c, 0])`:                                                                                        `[1,2,3,true,1]`,
		`unpack(">qN", [255, 255, 255, 255, 255, 255, 255, 254, 255, 255, 255, 255, 255, 255, 255, 255])`:                               `[-2,18446744073709551615]`,
		`unpack("<d", pack("<d", 1.5)).concat(unpack(">f", pack(">f", -0.25)))`:                                                         `[1.5,-0.25]`,
		`toHex(pack(">HhB4s2px?", 1, -2, 255, "ab", [7], true))`:                                                                        `"0001fffeff6162000007000001"`,
		`toHex(pack("<iQ", -1, 2n ** 63n))`:                                                                                             `"ffffffff0000000000000080"`,
		`(() => { try { pack("B", 256) } catch (e) { return e.name + ": " + e.message } })()`:                                           `"RangeError: format \"B\": value 1, 256, does not fit 'B'"`,
		`(() => { try { unpack(">H", [1]) } catch (e) { return e.message } })()`:                                                        `"format \">H\": 2 bytes at offset 0, and there are 1"`,
		`[atob("YWI="), btoa("ab"), new TextDecoder().decode(new Uint8Array([0xc3, 0xa9]))]`:                                            `["ab","YWI=","é"]`,
		`[...new TextEncoder().encode("é")]`:                                                                                            `[195,169]`,
		`Buffer.from("0102ff", "hex").toJSON()`:                                                                                         `{"type":"Buffer","data":[1,2,255]}`,
		`Buffer.from([1, 2, 3, 4]).readUInt16BE(1)`:                                                                                     `515`,
		`Buffer.from([255, 254, 3, 4]).readInt16LE()`:                                                                                   `-257`,
		`Buffer.from([1, 2, 3]).readUIntBE(0, 3) + Buffer.from([255, 255, 255]).readIntLE(0, 3)`:                                        `66050`,
		`(() => { const b = Buffer.alloc(4); b.writeUInt16LE(513, 1); b[3] = 9; return b.toString("hex") })()`:                          `"00010209"`,
		`Buffer.concat([Buffer.from("a"), Buffer.from([98])]).toString()`:                                                               `"ab"`,
		`Buffer.from("abc").slice(-2).equals(Buffer.from("bc")) && Buffer.isBuffer(new Buffer(2))`:                                      `true`,
		`(() => { const b = Buffer.from([1, 2, 3]); b.subarray(1)[0] = 9; return [...b] })()`:                                           `[1,9,3]`,
		`[Buffer.from([1]) instanceof Uint8Array, new Uint8Array(2) instanceof Uint8Array, [] instanceof Array]`:                        `[true,true,true]`,
		`new DataView(new Uint8Array([0x40, 0x49, 0x0f, 0xdb]).buffer).getFloat32(0).toFixed(4)`:                                        `"3.1416"`,
		`JSON.stringify({a: [1, undefined, () => 1], b: undefined, c: new Date(0), d: NaN, e: 1e21, f: 1e-7, g: -0})`:                   `"{\"a\":[1,null,null],\"c\":\"1970-01-01T00:00:00.000Z\",\"d\":null,\"e\":1e+21,\"f\":1e-7,\"g\":0}"`,
		`JSON.stringify({a: 1, b: [2]}, null, 1)`:                                                                                       `"{\u000a \"a\": 1,\u000a \"b\": [\u000a  2\u000a ]\u000a}"`,
		`JSON.stringify({a: 1, b: 2}, ["a"]) + JSON.stringify(undefined)`:                                                               `"{\"a\":1}undefined"`,
		`JSON.stringify([new Number(1), new String("x"), Object(true)])`:                                                                `"[1,\"x\",true]"`,
		`[[1, [2, [3]]].flat(), [3, 1, 2].sort(), [..."ab"], "a-b".split("-"), [1, 2].map(String)]`:                                     `[[1,2,[3]],[1,2,3],["a","b"],["a","b"],["1","2"]]`,
		`[new Set([1, 1, 2]).size, [...new Map([[1, 2]]).values()], Array.from({ length: 2 }, (x, i) => i), Object.entries({ a: 1 })]`:  `[2,[2],[0,1],[["a",1]]]`,
		`"a1b22".replace(/\d+/g, (d) => "<" + d + ">") + "x".padStart(3, "-") + "ab".repeat(2)`:                                         `"a<1>b<22>--xabab"`,
		`[typeof eval, typeof Function, typeof Proxy, typeof Reflect, typeof require, typeof process, typeof setTimeout, typeof fetch]`: `["undefined","undefined","undefined","undefined","undefined","undefined","undefined","undefined"]`,
		`[(() => {}).constructor, (function* () {}).constructor, (async () => {}).constructor].map((c) => typeof c)`:                    `["undefined","undefined","undefined"]`,
		`[new RegExp("a+", "g")[Symbol.species] === undefined, RegExp("b").test("abc"), /a/ instanceof RegExp, "a1b2".split(/\d/)]`:     `[true,true,true,["a","b",""]]`,
		`[..."a1b2".matchAll(/[a-z](\d)/g)].map((m) => m[1]).concat("x-y".match("-").index, "aXbX".replace(new RegExp("X", "g"), "."))`: `["1","2",1,"a.b."]`,
		`(() => { try { JSON.parse("[".repeat(501)) } catch (e) { return e.message + (typeof /x/.compile) } })()`:                       `"JSON is nested more than 500 deepundefined"`,
		`[JSON.parse('{"length": 1e12}').length, Object.keys({ length: 1e12 })[0], Object.keys(new Map([[1, 2]])).length]`:              `[1000000000000,"length",0]`,
		`[Array.from(new Set([1, 1])), Object.fromEntries(new Map([["a", 1]])), [].concat("ab", [1]), Math.max.apply(null, [1, 2])]`:    `[[1],{"a":1},["ab",1],2]`,
		`(console.log("nowhere"), console.error(1), 1)`:                                                                                 `1`,
	} {
		c := codecOf(t, "function Decoder() { return { v: "+expression+" }; }", Limits{})
		out := &codec.Outcome{}
		if err := begin(t, c).Receive(codec.Frame{}, out); err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := string(out.Messages[0].Body); got != `{"v":`+want+`}` {
			t.Errorf("%s\ngot  %s\nwant %s", expression, got, `{"v":`+want+`}`)
		}
	}
}

func TestScriptsThatCannotRunAreRefusedWithAPlace(t *testing.T) {
	for source, want := range map[string]string{
		"function decodeUplink( {":                    "test.js:1:25: ",
		"var a = 1;\nlet x = ;":                       "test.js:2:9: ",
		"let a = 1;\nlet a = 2;":                      "test.js:2:5: ",
		"function f() {}":                             "test.js: has none of the functions",
		"throw new Error('no')":                       "test.js:1:7: no",
		"for (;;);":                                   "test.js:1:9: used more than",
		"x = undefinedThing.y":                        "test.js:1:5: ReferenceError",
		"with (a) {}":                                 "test.js:1:1: with is not supported",
		"function Decoder() { var [a, ...b] = [1]; }": "test.js:1:26: a rest element",
		strings.Repeat("(", 1000):                     "test.js:1:501: brackets are nested",
		strings.Repeat(" ", 600<<10):                  "test.js: has 614400 bytes",
		"exports.receive = 1; exports.examples = {a: 1}; function Decoder() {}": "test.js: example \"a\" has no text",
		"import x from 'y'": "test.js:1:1: ",
	} {
		_, err := Compile("test.js", []byte(source), Limits{})
		if !errors.Is(err, ErrScript) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %s", source, err, want)
		}
	}
}

func TestErrorsNameTheLineThatThrew(t *testing.T) {
	for body, want := range map[string]string{
		`throw new Error("bad");`:                "test.js:2:7: bad: malformed frame",
		`throw "bad";`:                           "test.js:2:1: bad: malformed frame",
		`throw Malformed("bad");`:                "test.js:2:16: bad: malformed frame",
		"\n\n  input.bytes.nope();":              "test.js:4:19: TypeError: Object has no member 'nope': malformed frame",
		`var a = "x" + input + 1, b = a.nope();`: "test.js:2:36: TypeError: Object has no member 'nope': malformed frame",
		`throw new Protocol("bad");`:             "test.js:2:7: bad: protocol violation",
		`throw new Refused("bad");`:              "test.js:2:7: bad: identity refused",
		`throw null;`:                            "test.js:2:1: null: malformed frame",
		`unpack(">H", []);`:                      `test.js:2:7: RangeError: format ">H": 2 bytes at offset 0, and there are 0: malformed frame`,
		`return { data: 1n.x.y };`:               "test.js:2:21: TypeError: Cannot read property 'y' of undefined: malformed frame",
		`return { errors: ["a", "b"] };`:         "test.js: a; b: malformed frame",
		`return 5;`:                              "test.js: decodeUplink returned no object: malformed frame",
		`return (async () => 1)();`:              "test.js: decodeUplink is asynchronous, which decoders are not: codec failed",
	} {
		err := begin(t, codecOf(t, "function decodeUplink(input) {\n"+body+"\n}", Limits{})).Receive(codec.Frame{}, &codec.Outcome{})
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", body, err, want)
		}
	}
}

func TestOutcomesOfTheWrongShapeAreTheScriptsFault(t *testing.T) {
	for outcome, want := range map[string]string{
		`5`:                                      "it is",
		`{ message: [] }`:                        "member \"message\"",
		`{ messages: {} }`:                       "messages is",
		`{ messages: [5] }`:                      "messages[0] is",
		`{ messages: [{ Body: 1 }] }`:            "member \"Body\"",
		`{ messages: [{}] }`:                     "messages[0].body",
		`{ messages: [{ body: 1, time: "x" }] }`: "messages[0].time",
		`{ messages: [{ body: 1, time: new Date(NaN) }] }`:               "messages[0].time",
		`{ messages: [{ body: "{", contentType: "application/json" }] }`: "is not JSON",
		`{ messages: [{ body: 1, properties: { "a b": 1 } }] }`:          "messages[0].properties",
		`{ messages: [{ body: 1, properties: { a: 1, A: 2 } }] }`:        "differ in case",
		`{ messages: [{ body: 1, properties: { a: {} } }] }`:             "messages[0].properties.a",
		`{ identity: "m1" }`:                 "identity is",
		`{ identity: { device: 5 } }`:        "identity.device",
		`{ reply: 5 }`:                       "reply is",
		`{ close: true }`:                    "close is",
		`{ results: [{ correlation: 1 }] }`:  "results[0].correlation",
		`{ reply: new Uint8Array(2000000) }`: "more than 1048576 bytes",
	} {
		err := begin(t, codecOf(t, "exports.receive = () => ("+outcome+");", Limits{})).Receive(codec.Frame{}, &codec.Outcome{})
		if !isBroken(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", outcome, err, want)
		}
	}
}

func TestExamplesOfAScriptAreFound(t *testing.T) {
	p, err := Compile("test.js", []byte(`function Decoder() {}
/* example a reading
-- transport --
udp
-- dialogue --
> 01
*/
module.exports.examples = { "an alarm": "-- dialogue --\n> 02\n" };
`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := p.Examples()
	if len(got) != 2 || got[0].Name != "an alarm" || got[1].Name != "a reading" || !strings.HasPrefix(got[1].Text, "-- transport --\n") {
		t.Errorf("got %q", got)
	}
}

// FuzzScript compiles and runs whatever is written: no script may panic or hang.
func FuzzScript(f *testing.F) {
	for _, body := range hostile {
		f.Add("function decodeUplink(input) {\n" + body + "\n}")
	}
	paths, err := filepath.Glob("testdata/formatters/*/*.js")
	if err != nil || len(paths) == 0 {
		f.Fatal("no scripts", err)
	}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	limits := Limits{Steps: 10_000, MemoryBytes: 1 << 20, Stall: 100 * time.Millisecond}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile("fuzz.js", []byte(source), limits)
		if err != nil {
			return
		}
		c, err := p.New(nil)
		if err != nil {
			return
		}
		if d, err := c.Begin(codec.Peer{}); err == nil {
			_ = d.Receive(codec.Frame{Bytes: []byte{1, 2, 3}}, &codec.Outcome{})
		}
	})
}

// FuzzOutcome gives the reader of outcomes whatever JSON can say.
func FuzzOutcome(f *testing.F) {
	for _, s := range []string{
		`{"identity":{"device":"m1","accept":[1]},"messages":[{"body":{"a":1},"time":1,"properties":{"k":"v"}}],"close":"x"}`,
		`{"messages":[{"body":"text","device":"d","contentType":"application/json"}],"reply":"OK","ack":[300,-1],"nak":{}}`,
		`{"results":[{"correlation":"1","payload":[null],"error":"no"}]}`, `[]`, `null`, `{"messages":[[]]}`,
	} {
		f.Add(s)
	}
	c := codecOf(f, `exports.receive = (frame) => JSON.parse(toText(frame));`, Limits{OutputBytes: 1 << 16})
	f.Fuzz(func(t *testing.T, text string) {
		d, out := begin(t, c), &codec.Outcome{}
		if err := d.Receive(codec.Frame{Bytes: []byte(text)}, out); err != nil {
			return
		}
		for _, m := range out.Messages {
			if m.ContentType == "" && m.ContentEncoding == "" && len(m.Properties) > maxProperties || len(m.Body) > 1<<16 {
				t.Errorf("message %+v", m)
			}
			if m.ContentType == jsonType && m.ContentEncoding != utf8Name {
				t.Errorf("JSON in %q", m.ContentEncoding)
			}
		}
	})
}
