// acme: the protocol of the guide, in Causeway's fuller shape.
//
// frame: u16 length of what follows | u8 type | body | u8 XOR of type and body
"use strict";

const LOGIN = 0x01, DATA = 0x02, HEARTBEAT = 0x03, INTERVAL = 0x04, ANSWER = 0x80;

function frame(type, body) {
  const inner = [type, ...body];
  return pack(`>H${inner.length}pB`, inner.length + 1, inner, xor(inner));
}

module.exports = {
  // split says how long the frame at the head of the stream is; 0: not known yet.
  split(bytes) {
    return bytes.length < 2 ? 0 : 2 + unpack(">H", bytes)[0];
  },

  receive(frame, state) {
    if (frame.length < 4) throw new Malformed(`frame of ${frame.length} bytes`);
    const want = xor(frame, 2, -1), got = frame[frame.length - 1];
    if (got !== want) throw new Malformed(`checksum ${got}, want ${want}`);
    const body = frame.subarray(3, -1);
    switch (frame[2]) {
      case LOGIN: return login(body, state);
      case DATA: return data(body, state);
      case HEARTBEAT: return heartbeat(body);
      case INTERVAL | ANSWER: return answer(body, state);
    }
    throw new Malformed(`unknown type ${frame[2]}`);
  },

  command(command, state) {
    if (command.name !== "interval") throw new UnknownCommand(command.name);
    const p = command.payload;
    if (p === null || typeof p !== "object" || !Number.isInteger(p.seconds) || p.seconds < 1 || p.seconds > 65535) {
      throw new BadCommand("seconds: want a whole number from 1 to 65535");
    }
    if (state.pending !== undefined) throw new Busy("interval is not answered yet");
    state.pending = command.correlation;
    return { reply: frame(INTERVAL, pack(">H", p.seconds)) };
  },

  resume(device, state) { state.device = device; },

  explain(frame) {
    const parts = [
      { offset: 0, length: 2, name: "length", value: frame.length > 1 ? unpack(">H", frame)[0] : "" },
      { offset: 2, length: 1, name: "type", value: frame[2] },
    ];
    if (frame.length > 4) parts.push({ offset: 3, length: frame.length - 4, name: "body", value: toHex(frame.subarray(3, -1)) });
    if (frame.length > 3) parts.push({ offset: frame.length - 1, length: 1, name: "checksum", value: frame[frame.length - 1] });
    return parts;
  },
};

function login(body, state) {
  const device = toText(body, "ascii");
  if (body.length < 1 || body.length > 20) throw new Malformed(`device id of ${body.length} bytes, want 1 to 20`);
  if (!/^[\x21-\x7e]+$/.test(toText(body, "latin1"))) throw new Malformed("device id is not ASCII");
  state.device = device;
  return { identity: { device, accept: frame(LOGIN | ANSWER, [1]), refuse: frame(LOGIN | ANSWER, [0]) } };
}

function data(body, state) {
  if (state.device === undefined) throw new Protocol("data before login");
  if (body.length < 3) throw new Malformed(`data of ${body.length} bytes`);
  const [seq, count] = unpack(">HB", body);
  if (body.length !== 3 + 9 * count) throw new Malformed(`${count} records in ${body.length} bytes`);
  const messages = [];
  for (let i = 0; i < count; i++) {
    const [seconds, temperature, battery, flags] = unpack(">IhHB", body, 3 + 9 * i);
    messages.push({
      body: {
        seq, temperature: temperature / 10, battery: battery / 1000, door: (flags & 1) !== 0, motion: (flags & 2) !== 0,
      },
      time: new Date(seconds * 1000),
      properties: { kind: flags & 2 ? "alarm" : "reading" },
    });
  }
  return { messages, ack: frame(DATA | ANSWER, pack(">H", seq)) };
}

function heartbeat(body) {
  if (body.length !== 0) throw new Malformed(`heartbeat of ${body.length} bytes`);
  return { reply: frame(HEARTBEAT | ANSWER, []) };
}

function answer(body, state) {
  if (body.length !== 1) throw new Malformed(`answer of ${body.length} bytes`);
  if (state.pending === undefined) throw new Malformed("answer to no command");
  const correlation = state.pending;
  delete state.pending;
  return { results: [body[0] === 0 ? { correlation, payload: { ok: true } } : { correlation, error: `device refused: ${body[0]}` }] };
}
