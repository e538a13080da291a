// Classes, arrow functions, spread, template strings, destructuring, a Map.
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  u8() {
    if (this.at >= this.bytes.length) throw new RangeError(`nothing at ${this.at}`);
    return this.bytes[this.at++];
  }
  u16() { return (this.u8() << 8) | this.u8(); }
  get left() { return this.bytes.length - this.at; }
}

const sensors = new Map([
  [0x01, ["co2", (r) => r.u16()]],
  [0x02, ["light", (r) => r.u16() * 2]],
  [0x03, ["motion", (r) => r.u8() !== 0]],
]);

const decodeUplink = ({ bytes, fPort = 1 }) => {
  const reader = new Reader(bytes);
  const data = { port: `p${fPort}` }, warnings = [];
  while (reader.left > 0) {
    const id = reader.u8();
    if (!sensors.has(id)) {
      warnings.push(`sensor 0x${id.toString(16).padStart(2, "0")} is not known`);
      break;
    }
    const [name, read] = sensors.get(id);
    Object.assign(data, { [name]: read(reader) });
  }
  return { data: { ...data, names: [...Object.keys(data)].sort() }, warnings };
};
