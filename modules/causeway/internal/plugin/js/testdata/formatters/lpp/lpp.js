// Cayenne's low power payload.
function lppDecode(bytes) {
  var types = {
    0: { size: 1, name: "digital_in", signed: false, divisor: 1 },
    2: { size: 2, name: "analog_in", signed: true, divisor: 100 },
    103: { size: 2, name: "temperature", signed: true, divisor: 10 },
    104: { size: 1, name: "humidity", signed: false, divisor: 2 },
    136: { size: 9, name: "gps", signed: true, divisor: [10000, 10000, 100] },
  };
  function arrayToDecimal(stream, is_signed, divisor) {
    var value = 0;
    for (var i = 0; i < stream.length; i++) {
      if (stream[i] > 0xff) throw "Byte value overflow!";
      value = (value << 8) | stream[i];
    }
    if (is_signed) {
      var edge = 1 << (stream.length * 8);
      var max = (edge - 1) >> 1;
      value = value > max ? value - edge : value;
    }
    return value / divisor;
  }
  var sensors = [], i = 0;
  while (i < bytes.length) {
    var s_no = bytes[i++], s_type = bytes[i++];
    if (typeof types[s_type] == "undefined") throw "Sensor type error!: " + s_type;
    var type = types[s_type], s_value = 0;
    switch (s_type) {
      case 136:
        s_value = {
          latitude: arrayToDecimal(bytes.slice(i + 0, i + 3), type.signed, type.divisor[0]),
          longitude: arrayToDecimal(bytes.slice(i + 3, i + 6), type.signed, type.divisor[1]),
          altitude: arrayToDecimal(bytes.slice(i + 6, i + 9), type.signed, type.divisor[2]),
        };
        break;
      default:
        s_value = arrayToDecimal(bytes.slice(i, i + type.size), type.signed, type.divisor);
    }
    sensors.push({ channel: s_no, type: s_type, name: type.name, value: s_value });
    i += type.size;
  }
  return sensors;
}

function Decoder(bytes, fPort) {
  var response = {};
  lppDecode(bytes, 1).forEach(function (field) {
    response[field["name"] + "_" + field["channel"]] = field["value"];
  });
  return response;
}
