// A counter of 64 bits and a time.
function decodeUplink(input) {
  let total = 0n;
  for (const b of input.bytes.slice(0, 8)) total = (total << 8n) | BigInt(b);
  const seconds = (input.bytes[8] * 2 ** 24 + (input.bytes[9] << 16) + (input.bytes[10] << 8) + input.bytes[11]);
  return { data: { total: total, kilo: Number(total / 1000n), at: new Date(seconds * 1000).toISOString() } };
}
