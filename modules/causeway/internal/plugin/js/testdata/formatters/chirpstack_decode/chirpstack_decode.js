// ChirpStack V3: Decode and Encode.
function Decode(fPort, bytes, variables) {
  var view = new DataView(new Uint8Array(bytes).buffer);
  return {
    port: fPort,
    site: variables.site,
    pressure: view.getUint16(0) / 10,
    level: Math.round(view.getFloat32(2) * 1000) / 1000,
  };
}

function Encode(fPort, obj, variables) {
  return [fPort, obj.state ? 0xff : 0x00];
}
