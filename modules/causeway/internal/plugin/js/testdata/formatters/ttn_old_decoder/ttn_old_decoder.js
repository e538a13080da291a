// The convention of TTN V2, ES5, with variables that are not declared.
function Decoder(bytes, port) {
  var decoded = {};
  if (port === 2) {
    count = 0;
    for (i = 0; i < bytes.length; i++) {
      count += bytes[i];
    }
    decoded.pulses = count;
    decoded.raw = bytes.map(function (b) { return ("0" + b.toString(16)).slice(-2); }).join("").toUpperCase();
  }
  return decoded;
}

function Encoder(object, port) {
  var bytes = [];
  bytes[0] = object.led === "on" ? 1 : 0;
  bytes.push(port & 0xff);
  return bytes;
}
