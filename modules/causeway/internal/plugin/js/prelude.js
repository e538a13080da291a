"use strict";
// What a script finds besides the language. It runs once for each engine, before
// what reaches behind the guards is taken away.
var construct = Reflect.construct, apply = Reflect.apply, within = Object.prototype.isPrototypeOf;

// Constructors that make something as long as they are told to are charged first.
["Array", "ArrayBuffer", "Map", "Set", "WeakMap", "WeakSet", "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array",
  "Uint16Array", "Int32Array", "Uint32Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array",
].forEach(function (name) {
  var original = global[name];
  if (!original) return;
  var guarded = new Proxy(original, {
    construct: function (target, args, newTarget) {
      return construct(target, host.charge(args), newTarget === guarded ? target : newTarget);
    },
    apply: function (target, self, args) { return apply(target, self, host.charge(args)); },
  });
  // The engine's own check does not look behind a proxy.
  Object.defineProperty(original, Symbol.hasInstance, { value: function (v) { return within.call(this.prototype, v); } });
  Object.defineProperty(original.prototype, "constructor", { value: guarded, writable: true, configurable: true });
  Object.defineProperty(global, name, { value: guarded, writable: true, configurable: true });
});

// So are regular expressions, by what they grow to. Their prototype keeps no
// constructor: the engine takes its own where there is none.
var Pattern = RegExp;
Object.defineProperty(Pattern.prototype, "constructor", { value: undefined });
delete Pattern.prototype.compile;
Object.defineProperty(Pattern, Symbol.hasInstance, { value: function (v) { return within.call(this.prototype, v); } });
define("RegExp", new Proxy(Pattern, {
  construct: function (target, args) {
    checked(host.pattern(typeof args[0] === "object" ? undefined : args[0] = "" + args[0]));
    return construct(target, args);
  },
  apply: function (target, self, args) {
    checked(host.pattern(typeof args[0] === "object" ? undefined : args[0] = "" + args[0]));
    return construct(target, args);
  },
}));

// The symbols that lead to the methods of regular expressions behind String's.
var unseen = { replace: 1, split: 1, match: 1, matchAll: 1, search: 1 };
var symbols = new Proxy(Symbol, {
  get: function (target, name) { return typeof name === "string" && unseen[name] ? undefined : target[name]; },
  getOwnPropertyDescriptor: function () { return undefined; },
});
Object.defineProperty(Symbol.prototype, "constructor", { value: symbols });
define("Symbol", symbols);

function define(name, value) {
  Object.defineProperty(global, name, { value: value, writable: true, configurable: true });
}

// checked throws why a host function returned nothing.
function checked(value) {
  if (value === undefined) throw new RangeError(host.reason());
  return value;
}

// The kinds of errors.
["Malformed", "Protocol", "Refused", "UnknownCommand", "BadCommand", "Busy"].forEach(function (name) {
  function Kind(message) {
    var e = new Error(message);
    Object.setPrototypeOf(e, Kind.prototype);
    return e;
  }
  Kind.prototype = Object.create(Error.prototype, {
    name: { value: name, writable: true, configurable: true },
    constructor: { value: Kind, writable: true, configurable: true },
  });
  define(name, Kind);
});

// Helpers over bytes: arrays of numbers, Uint8Array, Buffer.
define("crc", function crc(kind, bytes, from, to) { return checked(host.crc(kind, bytes, from, to)); });
define("xor", function xor(bytes, from, to) { return checked(host.xor(bytes, from, to)); });
define("sum", function sum(bytes, from, to) { return checked(host.sum(bytes, from, to)); });
define("toHex", function toHex(bytes) { return checked(host.toText(bytes, "hex")); });
define("fromHex", function fromHex(text) { return checked(host.fromText(text, "hex")); });
define("toBase64", function toBase64(bytes) { return checked(host.toText(bytes, "base64")); });
define("fromBase64", function fromBase64(text) { return checked(host.fromText(text, "base64")); });
define("toText", function toText(bytes, encoding) { return checked(host.toText(bytes, encoding || "utf8")); });
define("fromText", function fromText(text, encoding) { return checked(host.fromText(text, encoding || "utf8")); });
define("fromBcd", function fromBcd(bytes) { return checked(host.fromBcd(bytes)); });
define("toBcd", function toBcd(digits, length) { return checked(host.toBcd(digits, length)); });
define("unpack", function unpack(format, bytes, offset) { return checked(host.unpack(format, bytes, offset || 0)); });
define("pack", function pack(format) { return checked(host.pack(format, Array.prototype.slice.call(arguments, 1))); });
define("btoa", function btoa(text) { return checked(host.toText(checked(host.fromText("" + text, "latin1")), "base64")); });
define("atob", function atob(text) { return checked(host.toText(checked(host.fromText("" + text, "base64")), "latin1")); });

var stringify = JSON.stringify, parse = JSON.parse;
JSON.stringify = function (value, replacer, indent) {
  var text = host.json(value);
  if (text === null) return undefined;
  checked(text);
  if (!replacer && !indent) return text;
  if (text.length > 65536) throw new RangeError("JSON.stringify with a replacer or an indent takes at most 64 KiB");
  if (typeof replacer === "function") replacer = tools.measured(replacer);
  return host.made(stringify(parse(text), replacer, indent));
};

JSON.parse = function (text, reviver) {
  text = "" + text;
  checked(host.shallow(text));
  return parse(text, reviver);
};

define("console", {});
["log", "info", "warn", "error", "debug", "trace"].forEach(function (name) { global.console[name] = function () {}; });

function TextDecoder(encoding) { this.encoding = (encoding || "utf-8").toLowerCase(); }
TextDecoder.prototype.decode = function (bytes) {
  return bytes === undefined ? "" : checked(host.toText(new Uint8Array(bytes.buffer || bytes, bytes.byteOffset || 0, bytes.byteLength), this.encoding));
};
define("TextDecoder", TextDecoder);
function TextEncoder() { this.encoding = "utf-8"; }
TextEncoder.prototype.encode = function (text) { return checked(host.fromText(text === undefined ? "" : "" + text, "utf8")); };
define("TextEncoder", TextEncoder);

// Buffer, in its common part: a Uint8Array with another prototype.
var Bytes = Uint8Array;
function Buffer(value, encoding, length) {
  return typeof value === "number" ? Buffer.alloc(value) : Buffer.from(value, encoding, length);
}
function buffer(bytes) { return Object.setPrototypeOf(bytes, Buffer.prototype); }
Object.setPrototypeOf(Buffer, Bytes);
Buffer.from = function (value, encoding, length) {
  if (typeof value === "string") return buffer(checked(host.fromText(value, encoding || "utf8")));
  if (value instanceof ArrayBuffer) return buffer(new Bytes(value, encoding || 0, length));
  if (value && value.type === "Buffer") value = value.data;
  if (value === null || typeof value !== "object") throw new TypeError("Buffer.from takes text, an array or bytes");
  return buffer(new Bytes(value));
};
Buffer.alloc = function (size, fill) {
  var b = buffer(new Bytes(size));
  return fill === undefined ? b : b.fill(fill);
};
Buffer.allocUnsafe = function (size) { return Buffer.alloc(size); };
Buffer.isBuffer = function (value) { return value instanceof Buffer; };
Buffer.byteLength = function (value, encoding) { return typeof value === "string" ? Buffer.from(value, encoding).length : value.byteLength; };
Buffer.concat = function (list, size) {
  if (size === undefined) size = list.reduce(function (n, b) { return n + b.length; }, 0);
  var out = Buffer.alloc(size), at = 0;
  list.forEach(function (b) {
    out.set(b.length > size - at ? b.slice(0, size - at) : b, at);
    at += b.length;
  });
  return out;
};
Buffer.compare = function (a, b) {
  for (var i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return a.length < b.length ? -1 : a.length > b.length ? 1 : 0;
};
var methods = {
  constructor: Buffer,
  toString: function (encoding, from, to) {
    var b = from === undefined && to === undefined ? this : Bytes.prototype.subarray.call(this, from, to);
    return checked(host.toText(b, encoding || "utf8"));
  },
  toJSON: function () { return { type: "Buffer", data: Array.from(this) }; },
  slice: function (from, to) { return this.subarray(from, to); },
  subarray: function (from, to) {
    var length = this.length;
    from = from === undefined ? 0 : from < 0 ? Math.max(0, length + from) : Math.min(from, length);
    to = to === undefined ? length : to < 0 ? Math.max(0, length + to) : Math.min(to, length);
    return buffer(new Bytes(this.buffer, this.byteOffset + from, Math.max(0, to - from)));
  },
  equals: function (other) { return Buffer.compare(this, other) === 0; },
  copy: function (target, at, from, to) {
    var part = this.subarray(from, to);
    target.set(part, at || 0);
    return part.length;
  },
  write: function (text, at, length, encoding) {
    if (typeof length === "string") encoding = length, length = undefined;
    var part = Buffer.from(text, typeof at === "string" ? at : encoding);
    at = typeof at === "number" ? at : 0;
    part = part.subarray(0, Math.min(length === undefined ? Infinity : length, this.length - at));
    this.set(part, at);
    return part.length;
  },
};
function number(name, format, size) {
  methods["read" + name] = function (at) { return checked(host.unpack(format, this, at || 0))[0]; };
  methods["write" + name] = function (value, at) {
    at = at || 0;
    if (at < 0 || at + size > this.length) throw new RangeError("offset " + at + " is outside of " + this.length + " bytes");
    this.set(checked(host.pack(format, [value])), at);
    return at + size;
  };
}
[["UInt8", "B", 1], ["Int8", "b", 1], ["UInt16", "H", 2], ["Int16", "h", 2], ["UInt32", "I", 4], ["Int32", "i", 4],
  ["BigUInt64", "N", 8], ["BigInt64", "n", 8], ["Float", "f", 4], ["Double", "d", 8],
].forEach(function (k) {
  if (k[2] === 1) return number(k[0], k[1], 1);
  number(k[0] + "BE", ">" + k[1], k[2]);
  number(k[0] + "LE", "<" + k[1], k[2]);
});
function word(bytes, at, size, little) {
  if (size < 1 || size > 6 || at < 0 || at + size > bytes.length) throw new RangeError("offset " + at + " is outside of " + bytes.length + " bytes");
  var value = 0;
  for (var i = 0; i < size; i++) value = value * 256 + bytes[little ? at + size - 1 - i : at + i];
  return value;
}
methods.readUIntBE = function (at, size) { return word(this, at, size, false); };
methods.readUIntLE = function (at, size) { return word(this, at, size, true); };
methods.readIntBE = function (at, size) {
  var v = word(this, at, size, false), top = Math.pow(2, 8 * size);
  return v < top / 2 ? v : v - top;
};
methods.readIntLE = function (at, size) {
  var v = word(this, at, size, true), top = Math.pow(2, 8 * size);
  return v < top / 2 ? v : v - top;
};
Buffer.prototype = Object.create(Bytes.prototype);
Object.keys(methods).forEach(function (name) {
  Object.defineProperty(Buffer.prototype, name, { value: methods[name], writable: true, configurable: true });
  var other = name.replace("UInt", "Uint"); // Node has both spellings
  if (other !== name) Object.defineProperty(Buffer.prototype, other, { value: methods[name], writable: true, configurable: true });
});
define("Buffer", Buffer);

var tools = {
  spread: function (value) {
    var list = [];
    for (var item of value) list.push(item);
    return list;
  },
  measured: function (f) { return function () { return host.made(f.apply(this, arguments)); }; },
  globalOf: function () { return Object.create(global); },
};
