'use strict';
// Checks of the simulator by Microsoft's device SDK, unmodified. See README.md for what is in the environment.

const assert = require('node:assert/strict');
const { Message } = require('azure-iot-common');
const { ModuleClient } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { group, http, stored, state, tokens, once, pause, wait, protocols, ca, device, control, counts } = require('./bench.js');
const { environment } = require('./environment.js');
const { leaf } = require('./leaf.js');
const { certificate } = require('./certificate.js');
const { expiry } = require('./expiry.js');

async function over({ name, transport, gateway, extra }) {
  const check = group();
  const module_ = `sdk-${name.toLowerCase()}`;
  const path = `/twins/${device}/modules/${module_}`;
  const fields = JSON.parse(process.env.HUB_CONNECTION_STRINGS)[module_];
  const text = fields.replace(/GatewayHostName=[^;]*/, `GatewayHostName=${gateway}`);
  let client;
  let twin;
  let heard; // what is done with a message at an input

  await check(`${name}: connects with a connection string and the gateway's root`, async () => {
    client = ModuleClient.fromConnectionString(text, transport);
    client.on('error', () => {});
    await client.setOptions({ ca, ...extra() });
    await client.open();
  });
  if (!client) return;
  await check(`${name}: sends an event with properties to an output`, async () => {
    const message = new Message(JSON.stringify({ value: 21.5 }));
    message.messageId = 'id 1';
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.properties.add('run', module_);
    message.properties.add('a key/with %&=', 'a value+ü');
    await client.sendOutputEvent('out', message);
    const got = await stored(module_);
    assert.deepEqual(got.body, { value: 21.5 });
    assert.deepEqual(got.properties, { run: module_, 'a key/with %&=': 'a value+ü' });
    assert.deepEqual([got.output, got.module, got.device], ['out', module_, device]);
    assert.deepEqual([got.system.messageId, got.system.contentType, got.system.contentEncoding], ['id 1', 'application/json', 'utf-8']);
  });
  await check(`${name}: gets its twin`, async () => {
    await http('PATCH', path, { properties: { desired: { interval: 5 } } });
    twin = await client.getTwin();
    assert.equal(twin.properties.desired.interval, 5);
    assert.ok(twin.properties.desired.$version >= 2);
  });
  await check(`${name}: hears of a desired patch`, async () => {
    let heard = 0;
    const changed = new Promise((resolve) => {
      twin.on('properties.desired', (delta) => {
        heard++;
        if (delta.interval === 7) resolve(delta);
      });
    });
    // The subscription is under way and nothing tells when it is there, so the patch is made until it is heard.
    let over = false;
    changed.then(() => { over = true; });
    for (let n = 0; !over && n < 200; n++) {
      await http('PATCH', path, { properties: { desired: { interval: 7, n } } });
      await Promise.race([changed, pause(200)]);
    }
    const delta = await changed;
    assert.ok(delta.$version > 2 && heard > 0);
  });
  await check(`${name}: patches its reported properties`, async () => {
    await new Promise((resolve, reject) => {
      twin.properties.reported.update({ state: { on: true, text: 'ü' } }, (err) => (err ? reject(err) : resolve()));
    });
    const { properties } = await http('GET', path);
    assert.deepEqual(properties.reported.state, { on: true, text: 'ü' });
  });
  await check(`${name}: answers a direct method`, async () => {
    client.onMethod('measure', (request, response) => response.send(201, { got: request.payload }));
    const result = await http('POST', `${path}/methods`, { methodName: 'measure', payload: { x: [1, null, 'ü'] }, ...wait });
    assert.deepEqual(result, { status: 201, payload: { got: { x: [1, null, 'ü'] } } });
  });
  await check(`${name}: receives a message at an input, with its properties`, async () => {
    const input = once((done) => { heard = (to, message) => client.complete(message, () => done(to, message)); });
    client.on('inputMessage', (...came) => heard(...came));
    await state(`${device}/${module_}`, (c) => c && c.inputs);
    await fetch(`${control}/inputs/${module_}/commands?colour=light%20blue`, { method: 'POST', body: 'go' });
    const [to, message] = await input;
    assert.equal(to, 'commands');
    assert.equal(message.getBytes().toString(), 'go');
    assert.equal(message.properties.getValue('colour'), 'light blue');
  });
  // Over MQTT the SDK acknowledges a message by itself, whatever becomes of it.
  if (name === 'AMQP') {
    await check(`${name}: a message at an input that it does not settle comes again`, async () => {
      const { accepted } = (await http('GET', '/stats')).inputs;
      const twice = once((done) => {
        let left = false;
        heard = (to, message) => {
          const ours = message.getBytes().toString() === 'once more';
          if (ours && !left) left = true;
          else client.complete(message, () => { if (ours) done(); });
        };
      });
      await fetch(`${control}/inputs/${module_}/commands`, { method: 'POST', body: 'once more' });
      await twice;
      while ((await http('GET', '/stats')).inputs.accepted === accepted) await pause(50);
    });
  }
  await check(`${name}: renews its token, and what it listened to goes on`, async () => {
    // Over MQTT a new token is a new connection, over AMQP one more that is put on the present connection.
    const identity = `${device}/${module_}`;
    const connects = async () => (await http('GET', '/stats')).identities[identity].connections;
    const renewals = name.startsWith('MQTT') ? connects : () => tokens(identity);
    const before = [await renewals(), await connects()];
    await client.setOptions({ ca, ...extra(), tokenRenewal: { tokenValidTimeInSeconds: 1000, tokenRenewalMarginInSeconds: 100 } });
    while ((await renewals()) === before[0]) await pause(50); // that renews at once
    if (name.startsWith('AMQP')) assert.equal(await connects(), before[1]);
    const result = await http('POST', `${path}/methods`, { methodName: 'measure', payload: 2, ...wait });
    assert.equal(result.status, 201);
  });
  await check(`${name}: comes back after its connection is cut, and keeps what it listened to`, async () => {
    // A reset is fatal to the SDK over MQTT; a hub ends such a connection in good order. Over AMQP it is the other way
    // round: after a close the SDK waits 45 s for its own links.
    await http('POST', `/connections/drop?polite=${name.startsWith('MQTT')}`);
    const result = await http('POST', `${path}/methods`, { methodName: 'measure', payload: 1, ...wait });
    assert.equal(result.status, 201);
    const message = new Message('again');
    message.properties.add('run', `${module_}-again`);
    await client.sendOutputEvent('out', message);
    assert.equal((await stored(`${module_}-again`)).output, 'out');
  });
  await check(`${name}: closes`, async () => {
    // Not awaited: the hub closes an AMQP connection with its last link, and the SDK then takes 45 s to be done.
    client.close().catch(() => {});
    await state(`${device}/${module_}`, (c) => !c || !c.connected);
  });
}

async function refusals() {
  for (const { name, transport, gateway, extra } of protocols) {
    await group()(`${name}: a wrong key is refused`, async () => {
      const fields = JSON.parse(process.env.HUB_CONNECTION_STRINGS)[`sdk-${name.toLowerCase()}`];
      const text = fields.replace(/GatewayHostName=[^;]*/, `GatewayHostName=${gateway}`)
        .replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`);
      const client = ModuleClient.fromConnectionString(text, transport);
      client.on('error', () => {});
      await client.setOptions({ ca, ...extra() });
      // Over AMQP the hub answers the token and refuses the first link, so that a message is what fails.
      await assert.rejects(async () => {
        await client.open();
        await client.sendEvent(new Message('never'));
      }, name.startsWith('MQTT') ? { name: 'UnauthorizedError', message: /Connection refused: Not authorized/ } : { name: 'InvalidOperationError' });
      await Promise.race([client.close().catch(() => {}), pause(1000)]);
    });
  }
}

// Over AMQP the SDK tries again for four minutes, so that this is asked of MQTT only.
async function distrust() {
  await group()('MQTT: a hub is not trusted without its root', async () => {
    const [text] = Object.values(JSON.parse(process.env.HUB_CONNECTION_STRINGS));
    const client = ModuleClient.fromConnectionString(text.replace(/GatewayHostName=[^;]*/, `GatewayHostName=${protocols[0].gateway}`), Mqtt);
    client.on('error', () => {});
    await assert.rejects(client.open(), /certificate/);
  });
}

(async () => {
  for (const protocol of protocols) await over(protocol);
  // These wait most of their time, and nothing from here on cuts the connections of all.
  const expiries = protocols.filter(({ name }) => name === 'MQTT' || name === 'AMQP').map(expiry);
  for (const protocol of protocols) await environment(protocol);
  for (const protocol of protocols) await leaf(protocol);
  for (const protocol of protocols) await certificate(protocol);
  await refusals();
  await distrust();
  await Promise.all(expiries);
  const { passed, failed } = counts();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
})();
