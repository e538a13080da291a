// Polyfills, labels, comma operators, regular expressions with look-ahead, getters.
if (!String.prototype.padEnd) {
  String.prototype.padEnd = function (n, c) { return this + c; };
}
Array.prototype.last = function () { return this[this.length - 1]; };

var decodeUplink = function (input) {
  var out = { get kind() { return "log"; } }, i, j, found = null;
  outer: for (i = 0, j = input.bytes.length; i < j; i++) {
    for (var k = i + 1; k < j; k++) {
      if (input.bytes[i] === input.bytes[k]) { found = { first: i, again: k }; break outer; }
    }
  }
  out.total = String(input.bytes.reduce(function (a, b) { return a + b; }, 1000000)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  out.repeated = found;
  out.last = input.bytes.last();
  out.undefined_is_left_out = undefined;
  out.nan = NaN;
  do { i = void 0; } while (false);
  delete out.nothing;
  return { data: out };
};
