'use strict';
// A leaf device with a certificate in place of a key.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { Message, NoRetry } = require('azure-iot-common');
const { Client } = require('azure-iot-device');
const { group, http, stored, wait, ca } = require('./bench.js');

// The SDK leaves GatewayHostName out where there is a certificate, so that the gateway stands for the hub.
async function device(id, { transport, gateway, extra }) {
  const client = Client.fromConnectionString(`HostName=${gateway};DeviceId=${id};x509=true`, transport);
  client.on('error', () => {});
  const [cert, key] = ['HUB_LEAF_CERTIFICATE', 'HUB_LEAF_KEY'].map((name) => fs.readFileSync(process.env[name], 'utf8'));
  await client.setOptions({ ca, cert, key, ...extra() });
  return client;
}

async function certificate(protocol) {
  const { name } = protocol;
  const check = group();
  await check(`${name}: a leaf device with a certificate sends, has its twin, answers a method`, async () => {
    const client = await device('leaf-x509', protocol);
    await client.open();
    const message = new Message('{"t":1}');
    message.properties.add('run', `x509-${name}`);
    await client.sendEvent(message);
    assert.equal((await stored(`x509-${name}`)).device, 'leaf-x509');
    assert.ok((await client.getTwin()).properties.desired.$version >= 1);
    client.onDeviceMethod('measure', (request, response) => response.send(201, request.payload));
    const result = await http('POST', '/twins/leaf-x509/methods', { methodName: 'measure', payload: name, ...wait });
    assert.deepEqual(result, { status: 201, payload: name });
    client.close().catch(() => {}); // not awaited, see sdk.js
  });
  await check(`${name}: a certificate is not that of another device`, async () => {
    const client = await device('leaf-mqtt', protocol);
    client.setRetryPolicy(new NoRetry());
    await assert.rejects(async () => {
      await client.open();
      await client.sendEvent(new Message('never'));
    }, name.startsWith('MQTT') ? { message: /Not authorized/ } : { name: 'InvalidOperationError' });
    client.close().catch(() => {});
  });
}

module.exports = { certificate };
