// Three hundred Teltonika trackers on TCP, for a gateway to translate: each logs in, sends one record until it is
// acknowledged, answers getver in its own words, and confirms what setparam sets. One that is cut off comes back.
'use strict';

const net = require('net');
const { names, answer } = require('./devices.js');

const port = 5027;
const record = Buffer.from('08010000016B40D8EA30010000000000000000000000000000000105021503010101425E0F01F10000601A014E000000000000000001', 'hex');

// frame puts the preamble, the length and the checksum (CRC-16/IBM) around a packet.
function frame(packet) {
  let crc = 0;
  for (const byte of packet) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  const framed = Buffer.alloc(12 + packet.length);
  framed.writeUInt32BE(packet.length, 4);
  packet.copy(framed, 8);
  framed.writeUInt32BE(crc, 8 + packet.length);
  return framed;
}

// reply is what a tracker says to a command, in Codec 12.
function reply(id, text) {
  const set = /^setparam (.*)$/.exec(text);
  const said = set ? set[1].split(';').map((p) => `Param ID:${p.replace(':', ' Value:')}`).join(' ') : answer(id).response;
  const body = Buffer.from(said);
  const head = Buffer.from([0x0c, 1, 6, 0, 0, 0, 0]);
  head.writeUInt32BE(body.length, 3);
  return frame(Buffer.concat([head, body, Buffer.from([1])]));
}

function tracker(id) {
  const socket = net.connect(port, process.env.EDGE);
  let input = Buffer.alloc(0);
  let step = 'login';
  const login = Buffer.alloc(2);
  login.writeUInt16BE(id.length);
  socket.on('connect', () => socket.write(Buffer.concat([login, Buffer.from(id)])));
  socket.on('data', (bytes) => {
    input = Buffer.concat([input, bytes]);
    for (;;) {
      if (step === 'login' && input.length >= 1) {
        if (input[0] !== 1) return socket.destroy();
        input = input.subarray(1);
        step = 'stored';
        socket.write(frame(record));
      } else if (step === 'stored' && input.length >= 4 && input.readUInt32BE(0) > 0) {
        input = input.subarray(4);
        step = 'commands';
      } else if (input.length >= 8 && input.readUInt32BE(0) === 0 && input.length >= 12 + input.readUInt32BE(4)) {
        const end = 12 + input.readUInt32BE(4);
        const packet = input.subarray(8, end - 4);
        input = input.subarray(end);
        socket.write(reply(id, packet.subarray(7, 7 + packet.readUInt32BE(3)).toString()));
      } else return undefined;
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => setTimeout(tracker, 500 + Math.random() * 1000, id));
}

names.forEach(tracker);
