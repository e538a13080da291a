// Bit fields, tables, a helper object, a sloppy this.
var Codec = {
  MODES: ["off", "eco", "comfort", "boost"],
  bits: function (bytes, from, count) {
    var text = bytes.map(function (b) { return b.toString(2).padStart(8, "0"); }).join("");
    return parseInt(text.substr(from, count), 2);
  },
  decode: function (bytes) {
    var self = this;
    return {
      mode: self.MODES[self.bits(bytes, 0, 2)],
      valve: self.bits(bytes, 2, 7),
      window: !!self.bits(bytes, 9, 1),
      motor: ["ok", "calibrating", "error"][self.bits(bytes, 10, 2)] || null,
      setpoint: self.bits(bytes, 12, 12) * 0.01,
    };
  },
};

function decodeUplink(input) {
  if (input.bytes.length != 3) return { data: {}, errors: ["invalid length: " + input.bytes.length], warnings: [] };
  var result = Codec.decode(input.bytes);
  result.setpoint = +result.setpoint.toFixed(1);
  return { data: result, warnings: [], errors: [] };
}
