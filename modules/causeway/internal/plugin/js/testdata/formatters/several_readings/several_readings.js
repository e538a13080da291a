// One frame, several messages, and who received it when.
function decodeUplink(input) {
  var list = [];
  for (var n = 0; n + 2 < input.bytes.length; n += 3) {
    list.push({
      meter: "m" + input.bytes[n],
      litres: input.bytes[n + 1] * 256 + input.bytes[n + 2],
      received: input.recvTime.getTime() / 1000,
    });
  }
  return { data: list, warnings: input.bytes.length % 3 ? ["trailing bytes"] : [] };
}
