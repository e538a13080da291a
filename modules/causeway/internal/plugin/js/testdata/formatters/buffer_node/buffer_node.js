// Written for Node: module.exports and Buffer.
"use strict";
function decodeUplink({ bytes }) {
  const buf = Buffer.from(bytes);
  const crc = buf.readUInt16LE(buf.length - 2);
  if (crc !== crc16(buf.slice(0, -2))) return { errors: ["bad crc " + buf.slice(-2).toString("hex")] };
  return {
    data: {
      serial: buf.toString("ascii", 0, 4),
      counter: buf.readUInt32BE(4),
      temperature: buf.readInt16BE(8) / 10,
      flow: Number(buf.readFloatBE(10).toFixed(3)),
      key: buf.slice(0, 4).toString("base64"),
    },
  };
}
function crc16(buf) {
  let crc = 0xffff;
  for (const b of buf) {
    crc ^= b;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  }
  return crc;
}
module.exports.decodeUplink = decodeUplink;
exports.encodeDownlink = (input) => ({ bytes: [...Buffer.from(input.data.hex, "hex")], fPort: 3 });
