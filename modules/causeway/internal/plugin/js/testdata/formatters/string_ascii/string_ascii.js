// A modem that sends text: "T=21.5;H=40;ID=abc".
function bin2String(array) {
  return String.fromCharCode.apply(String, array);
}

function decodeUplink(input) {
  var str = bin2String(input.bytes), parts = str.split(";");
  var data = parts.reduce(function (o, part) {
    var kv = part.split("="), n = parseFloat(kv[1]);
    o[kv[0].toLowerCase()] = isNaN(n) ? kv[1] : n;
    return o;
  }, {});
  if (!/^T=/.test(str)) throw new Error("no reading in " + JSON.stringify(str));
  return { data: data };
}
