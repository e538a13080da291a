// Temperature and humidity, in the style of The Things Network's examples.
function decodeUplink(input) {
  var data = {};
  var warnings = [];
  switch (input.fPort) {
    case 1:
      data.temperature = ((input.bytes[0] << 24 >> 16) | input.bytes[1]) / 100;
      data.humidity = input.bytes[2] / 2;
      data.battery = Number((input.bytes[3] * 0.02 + 2).toFixed(2));
      if (data.battery < 3.0) warnings.push("battery is low");
      return { data: data, warnings: warnings };
    default:
      return { errors: ["unknown FPort " + input.fPort] };
  }
}

function encodeDownlink(input) {
  var minutes = input.data.interval;
  if (typeof minutes !== "number" || minutes < 1 || minutes > 1440) {
    return { errors: ["interval must be 1 to 1440 minutes"] };
  }
  return { bytes: [0x01, minutes >> 8, minutes & 0xff], fPort: 10, warnings: [] };
}

function decodeDownlink(input) {
  return { data: { interval: (input.bytes[1] << 8) | input.bytes[2] } };
}
