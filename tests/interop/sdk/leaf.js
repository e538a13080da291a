'use strict';
// A leaf device with its own key behind the gateway.

const assert = require('node:assert/strict');
const { Message } = require('azure-iot-common');
const { Client } = require('azure-iot-device');
const { group, http, stored, state, once, wait, ca, control } = require('./bench.js');

async function leaf({ name, transport, gateway, extra }) {
  const check = group();
  const id = `leaf-${name.toLowerCase()}`;
  const text = JSON.parse(process.env.HUB_CONNECTION_STRINGS)[id].replace(/GatewayHostName=[^;]*/, `GatewayHostName=${gateway}`);
  let client;
  await check(`${name}: a leaf device connects through the gateway, and its telemetry reaches the cloud`, async () => {
    client = Client.fromConnectionString(text, transport);
    client.on('error', () => {});
    await client.setOptions({ ca, ...extra() });
    await client.open();
    const message = new Message('{"t":1}');
    message.properties.add('run', id);
    await client.sendEvent(message);
    const got = await stored(id);
    assert.deepEqual([got.device, got.module ?? '', got.body], [id, '', { t: 1 }]);
  });
  if (!client) return;
  await check(`${name}: a leaf device's twin goes both ways`, async () => {
    await http('PATCH', `/twins/${id}`, { properties: { desired: { interval: 5 } } });
    const twin = await client.getTwin();
    assert.equal(twin.properties.desired.interval, 5);
    await new Promise((resolve, reject) => {
      twin.properties.reported.update({ state: 'on' }, (err) => (err ? reject(err) : resolve()));
    });
    assert.equal((await http('GET', `/twins/${id}`)).properties.reported.state, 'on');
  });
  await check(`${name}: a leaf device answers a direct method`, async () => {
    client.onDeviceMethod('measure', (request, response) => response.send(201, request.payload));
    const result = await http('POST', `/twins/${id}/methods`, { methodName: 'measure', payload: [1, 'ü'], ...wait });
    assert.deepEqual(result, { status: 201, payload: [1, 'ü'] });
  });
  await check(`${name}: a leaf device completes a message from the cloud`, async () => {
    const came = once((done) => client.on('message', (message) => client.complete(message, () => done(message))));
    await state(id, (c) => c && c.c2d);
    await fetch(`${control}/devices/${id}/messages/devicebound?colour=light%20blue`, { method: 'POST', body: 'go' });
    const [message] = await came;
    assert.deepEqual([message.getData().toString(), message.properties.getValue('colour')], ['go', 'light blue']);
  });
  client.close().catch(() => {}); // not awaited, see sdk.js
}

module.exports = { leaf };
