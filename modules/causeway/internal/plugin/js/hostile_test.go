package js

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// hostile are bodies of decodeUplink(input) that would hang, crash or fill a process
// which trusted them.
var hostile = map[string]string{
	"endless loop":                   `for (;;);`,
	"endless loop with try":          `for (;;) { try { for (;;); } catch (e) {} finally { continue; } }`,
	"endless loop in a condition":    `while (input) {}`,
	"endless do":                     `do {} while (true);`,
	"endless generator":              `function* g() { for (;;) yield 1; } for (const x of g());`,
	"spread endless generator":       `function* g() { for (;;) yield 1; } [...g()];`,
	"endless promises":               `async function f() { for (;;) await 0; } f();`,
	"endless getter":                 `return { data: { get a() { for (;;); } } };`,
	"endless toJSON":                 `return { data: { toJSON() { for (;;); } } };`,
	"endless message of an error":    `throw { get message() { for (;;); } };`,
	"endless recursion":              `(function f() { f(); })();`,
	"recursion caught":               `function f() { try { f(); } catch (e) { f(); } finally { f(); } } f();`,
	"recursion through natives":      `function f() { return [1].map(f); } f();`,
	"exponential recursion":          `function f(n) { if (n) { f(n - 1); f(n - 1); } } f(60);`,
	"recursion in parameters":        `function f(n, a = n && (f(n - 1), f(n - 1))) {} f(60);`,
	"recursion in fields":            `let n = 60; class A { x = n > 0 ? (n--, new A(), new A(), n++) : 0; } new A();`,
	"doubling string":                `let s = "x"; for (;;) s += s;`,
	"doubling string without a loop": `let s = "xxxxxxxx"; ` + strings.Repeat(`s = s + s; `, 40),
	"doubling template":              "let s = 'x'; for (;;) s = `${s}${s}`;",
	"doubling array":                 `let a = [1]; for (;;) a = [...a, ...a];`,
	"doubling with arguments":        `let a = [1]; const f = (...r) => r; for (;;) a = f(...a, ...a);`,
	"doubling with push":             `const a = [1]; for (;;) a.push(...a);`,
	"doubling with values":           `const a = [1]; for (;;) a.push(...a.values());`,
	"doubling with apply":            `const a = [1]; for (;;) a.push.apply(a, a);`,
	"doubling with concat":           `let a = [1]; for (;;) a = a.concat(a, a, a);`,
	"long strings kept":              `let s = "x", a = []; for (;;) a.push(s = 1 + s);`,
	"objects kept":                   `const a = []; for (;;) a.push({ a: {}, b: [], c: () => 1 });`,
	"repeat":                         `"x".repeat(2000000000);`,
	"repeat by another name":         `const r = "x"["rep" + "eat"]; r.call("xx", 1e9);`,
	"padStart":                       `"x".padStart(2000000000);`,
	"replace":                        `let s = "x".repeat(100000); s.replace(/x/g, s);`,
	"replaceAll":                     `let s = "x".repeat(100000); s.replaceAll("x", () => s);`,
	"replace with what is before":    "let s = 'x'.repeat(100000); s.replace(/x/g, '$`');",
	"join":                           `const s = "x".repeat(100000); const a = []; for (let i = 0; i < 100000; i++) a.push(s); a.join();`,
	"join of objects":                `const s = "x".repeat(100000), o = { toString: () => s }; new Array(100000).fill(o).join();`,
	"arrays as strings":              `let a = ["xxxxxxxxxx"]; for (let i = 0; i < 50; i++) a = [a, a]; "" + a;`,
	"flat":                           `let a = [1]; for (let i = 0; i < 50; i++) a = [a, a]; a.flat(Infinity);`,
	"flatMap":                        `const a = new Array(100000).fill(1); a.flatMap(() => a);`,
	"JSON of a web":                  `let a = [1]; for (let i = 0; i < 50; i++) a = [a, a]; for (;;) try { JSON.stringify(a); } catch (e) {}`,
	"data that is a web":             `let a = [1]; for (let i = 0; i < 50; i++) a = [a, a]; return { data: { a } };`,
	"data in a circle":               `const a = {}; a.a = a; return { data: a };`,
	"output flood":                   `return { data: { s: "x".repeat(1048570), t: "x".repeat(1000000) } };`,
	"flood of messages":              `return { data: new Array(100000).fill({}) };`,
	"huge array":                     `new Array(1e9).fill(0);`,
	"huge array-like":                `Array.prototype.indexOf.call({ length: 9007199254740991 }, 1);`,
	"huge array from":                `Array.from({ length: 1e9 });`,
	"huge bytes":                     `new Uint8Array(4e9);`,
	"huge buffer":                    `new ArrayBuffer(1e12);`,
	"huge Buffer":                    `Buffer.alloc(1e12);`,
	"huge bytes through a class":     `class B extends Float64Array {} new B(1e9);`,
	"huge bytes from an array-like":  `Uint8Array.from({ length: 1e9 });`,
	"huge bytes by species":          `Object.getPrototypeOf(new Uint8Array(1)).constructor(1e9) || new (new Uint8Array(1)).constructor(1e12);`,
	"bytes kept":                     `const a = []; for (;;) a.push(new Uint8Array(100000));`,
	"sets of sets":                   `const a = new Array(100000).fill(0).map((x, i) => i), k = []; for (;;) k.push(new Set(a));`,
	"copied objects":                 `const o = {}; for (let i = 0; i < 20000; i++) o["k" + i] = i; const k = []; for (;;) k.push({ ...o });`,
	"entries kept":                   `const a = new Array(100000).fill(0), k = []; for (;;) k.push(Object.entries(a));`,
	"apply of a huge array-like":     `Math.max.apply(null, { length: 1e9 });`,
	"BigInt shifted":                 `1n << 100000000000n;`,
	"BigInt shifted the other way":   `1n >> -100000000000n;`,
	"BigInt raised":                  `2n ** 100000000000n;`,
	"BigInt raised in steps":         `let n = 3n; for (;;) n = n * n;`,
	"BigInt by BigInt()":             `let n = BigInt(3); for (;;) n *= n;`,
	"BigInt masked":                  `BigInt.asUintN(9007199254740991, -1n);`,
	"slow comparisons":               `const a = "x".repeat(1000000), b = "x".repeat(1000000); const k = []; while (k) if (a.slice() < b.slice()) k.push(1);`,
	"sort with a comparison":         `new Array(100000).fill(0).sort(() => { for (;;); });`,
	"bind":                           `let f = () => 1; for (;;) f = f.bind(null);`,
	"regular expressions kept":       `const a = []; for (let i = 0; ; i++) a.push(new RegExp("x".repeat(4000) + i));`,
	"sparse array":                   `const a = []; a[400000000] = 1; a.length = 4000000000; a.fill(0);`,
	"raw":                            `String.raw({ raw: { length: 1e9 } });`,
	"deep JSON":                      `for (;;) try { JSON.parse("[".repeat(1000000)); } catch (e) {}`,
	"deep prototypes":                `let o = {}; for (;;) o = Object.create(o), o.x;`,
	"a long key":                     `const o = {}, k = "k".repeat(500000); for (let i = 0; ; i++) o[k + i] = i;`,
	"a tagged template":              "const f = (s, ...a) => a; let a = [1]; for (;;) a = f`${a}${a}${a}`.flat();",
	"many arguments":                 `const a = new Array(100000).fill(0); Math.max(...a);`,
	"deep array as a string":         `let a = [1]; for (let i = 0; i < 2000; i++) a = [a]; "" + a;`,
	"deep JSON that is valid":        `for (;;) try { JSON.parse("[".repeat(300000) + "]".repeat(300000)); } catch (e) {}`,
	"deep flat":                      `let a = [1]; for (let i = 0; i < 2000; i++) a = [a]; a.flat(Infinity);`,
	"regular expression":             `/^(?=(a+)+$)/.test("a".repeat(40) + "b");`,
}

var place = regexp.MustCompile(`^hostile\.js:\d+:\d+: `)

func TestHostileScriptsCostTheirOwnLinkOnly(t *testing.T) {
	for name, body := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			took, err := endure(t, "function decodeUplink(input) {\n"+body+"\n}")
			if !errors.Is(err, codec.ErrBroken) {
				t.Fatalf("got %v, want one of codec.ErrBroken", err)
			}
			t.Logf("%v, %v", took, err)
			if !place.MatchString(err.Error()) && !strings.HasPrefix(name, "data ") && !strings.Contains(name, "flood") && !strings.Contains(name, "message") && name != "regular expression" {
				t.Errorf("%v names no line and column", err)
			}
		})
	}
}

// endure plays one frame, and another on a second link, which must not be touched by
// what became of the first.
func endure(t *testing.T, source string) (time.Duration, error) {
	t.Helper()
	p, err := Compile("hostile.js", []byte(source), Limits{Steps: 100_000, MemoryBytes: 2 << 20, Stall: 500 * time.Millisecond})
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
	began := time.Now()
	err = d.Receive(codec.Frame{Bytes: []byte{1}}, &codec.Outcome{})
	took := time.Since(began)
	if again := d.Receive(codec.Frame{Bytes: []byte{1}}, &codec.Outcome{}); isBroken(err) && !isBroken(again) {
		t.Errorf("the link goes on after %v", err)
	}
	return took, err
}
