// Checks of the simulator's service side and its leaf devices by azure-iothub and azure-iot-device.
'use strict';

const assert = require('assert');
const { spawn } = require('child_process');
const fs = require('fs');
const { Registry, Client, ConnectionString } = require('azure-iothub');
const device = require('azure-iot-device');
const { Amqp } = require('azure-iot-device-amqp');
const { Message, NoRetry, SharedAccessSignature, anHourFromNow } = require('azure-iot-common');
const { check, group, refused, control, inbox, until, pause, within, ready, failures } = require('./bench.js');

const edge = ready.device;
const key = ConnectionString.parse(ready.serviceConnectionString, ['SharedAccessKey']).SharedAccessKey;
const service = (host) => `HostName=${host};SharedAccessKeyName=iothubowner;SharedAccessKey=${key}`;
const registry = Registry.fromConnectionString(service(process.env.EDGE));
const client = Client.fromConnectionString(service(process.env.CLOUD));
const methods = Client.fromConnectionString(service(process.env.EDGE));

const leafOf = (identity) => device.Client.fromConnectionString(
  `HostName=${ready.iothub};DeviceId=${identity.deviceId};SharedAccessKey=${identity.authentication.symmetricKey.primaryKey};`
  + `GatewayHostName=${process.env.EDGE}`, Amqp);

async function moduleOf(name) {
  const env = await control('GET', `/env/${name}?style=connectionstring`);
  return device.ModuleClient.fromConnectionString(env.EdgeHubConnectionString, Amqp);
}

// cut runs body while the edge device is without the cloud.
async function cut(body) {
  await control('POST', '/cloud/cut');
  try {
    return await body();
  } finally {
    await control('POST', '/cloud/restore');
  }
}

const answer = (status, from) => (request, response) => response.send(status, { from, got: request.payload });

async function identities() {
  await check('registry: a wrong key is refused', async () => {
    const other = Registry.fromConnectionString(service(process.env.EDGE).replace(key, Buffer.alloc(32, 7).toString('base64')));
    await refused('UnauthorizedError', other.get(edge));
  });
  await check('registry: a device is created with keys, read, and listed', async () => {
    const made = (await registry.create({ deviceId: 'plain' })).responseBody;
    assert(made.authentication.symmetricKey.primaryKey && made.generationId && made.etag);
    assert.strictEqual(made.status, 'enabled');
    const read = (await registry.get('plain')).responseBody;
    assert.deepStrictEqual(read.authentication, made.authentication);
    const list = (await registry.list()).responseBody.map((d) => d.deviceId);
    assert(list.includes('plain') && list.includes(edge), list);
  });
  await check('registry: keys are kept as given', async () => {
    const keys = { primaryKey: Buffer.alloc(32, 1).toString('base64'), secondaryKey: Buffer.alloc(32, 2).toString('base64') };
    await registry.create({ deviceId: 'keyed', authentication: { symmetricKey: keys } });
    assert.deepStrictEqual((await registry.get('keyed')).responseBody.authentication.symmetricKey, keys);
  });
  await check('registry: a device is updated', async () => {
    await registry.update({ deviceId: 'plain', status: 'disabled', statusReason: 'lost' });
    const read = (await registry.get('plain')).responseBody;
    assert.deepStrictEqual([read.status, read.statusReason], ['disabled', 'lost']);
  });
  await check('registry: what exists cannot be created', () =>
    refused('DeviceAlreadyExistsError', registry.create({ deviceId: 'plain' })));
  await check('registry: what does not exist is not found', async () => {
    await refused('DeviceNotFoundError', registry.get('nobody'));
    await refused('DeviceNotFoundError', registry.delete('nobody'));
  });
  await check('registry: X.509 is refused as a wrong argument', () =>
    refused('ArgumentError', registry.create({ deviceId: 'x', authentication: { type: 'certificateAuthority' } })));
  await check('registry: modules are created, read, listed, updated and removed', async () => {
    await registry.addModule({ deviceId: 'plain', moduleId: 'm' });
    const read = (await registry.getModule('plain', 'm')).responseBody;
    assert(read.authentication.symmetricKey.primaryKey);
    await registry.updateModule({ ...read, managedBy: 'me' });
    await refused('InvalidEtagError', registry.updateModule({ ...read, managedBy: 'you' }));
    const list = (await registry.getModulesOnDevice('plain')).responseBody;
    assert.deepStrictEqual(list.map((m) => [m.moduleId, m.managedBy]), [['m', 'me']]);
    await registry.removeModule('plain', 'm');
    await refused('DeviceNotFoundError', registry.getModule('plain', 'm'));
  });
  await check('registry: devices are added and removed in bulk', async () => {
    const list = ['b1', 'b2', 'b3'].map((deviceId) => ({ deviceId }));
    const added = (await registry.addDevices(list)).responseBody;
    assert.strictEqual(added.isSuccessful, true);
    await refused('ArgumentError', registry.addDevices(list.slice(0, 1)));
    await registry.removeDevices(list, true);
    await refused('DeviceNotFoundError', registry.get('b2'));
  });
  await check('registry: statistics count', async () => {
    const counts = (await registry.getRegistryStatistics()).responseBody;
    assert.deepStrictEqual(counts, { totalDeviceCount: 3, enabledDeviceCount: 2, disabledDeviceCount: 1 });
  });
  await check('registry: a device is deleted', async () => {
    await registry.delete('plain');
    await refused('DeviceNotFoundError', registry.get('plain'));
  });
}

async function twins() {
  await check('twin: desired properties and tags are merged, null removes', async () => {
    const twin = (await registry.getModuleTwin(edge, 'one')).responseBody;
    await twin.update({ tags: { site: 'a' }, properties: { desired: { x: { y: 1, z: 2 } } } });
    await registry.updateModuleTwin(edge, 'one', { properties: { desired: { x: { y: null } } } }, '*');
    const read = (await registry.getModuleTwin(edge, 'one')).responseBody;
    assert.deepStrictEqual([read.tags, read.properties.desired.x], [{ site: 'a' }, { z: 2 }]);
    assert(read.properties.desired.$version > twin.properties.desired.$version);
  });
  // The SDK has no call for it.
  const replace = (path, body, etag) => fetch(`https://${process.env.EDGE}/twins/${path}?api-version=2021-04-12`, {
    method: 'PUT', body: JSON.stringify(body),
    headers: {
      'content-type': 'application/json', 'if-match': etag,
      authorization: SharedAccessSignature.create(process.env.EDGE, 'iothubowner', key, anHourFromNow()).toString(),
    },
  });
  await check('twin: a replacement leaves nothing of desired properties and tags that it does not name', async () => {
    await registry.updateModuleTwin(edge, 'one', { tags: { site: 'a', floor: 1 }, properties: { desired: { x: 1, y: 2 } } }, '*');
    const before = (await registry.getModuleTwin(edge, 'one')).responseBody;
    const replaced = await replace(`${edge}/modules/one`, { tags: { room: 5 }, properties: { desired: { y: 3 } } }, '*');
    assert.strictEqual(replaced.status, 200, await replaced.text());
    const { tags, etag, properties: { desired: { $version, $metadata, ...desired } } } = (await registry.getModuleTwin(edge, 'one')).responseBody;
    assert.deepStrictEqual([tags, desired], [{ room: 5 }, { y: 3 }]);
    assert($version > before.properties.desired.$version && etag !== before.etag);
    assert.strictEqual((await replace(`${edge}/modules/one`, { tags: {} }, before.etag)).status, 412);
    assert.deepStrictEqual((await registry.getModuleTwin(edge, 'one')).responseBody.tags, { room: 5 });
  });
  await check('twin: an old etag is refused', async () => {
    const { etag } = (await registry.getTwin('keyed')).responseBody;
    await registry.updateTwin('keyed', { tags: { n: 1 } }, etag);
    await refused('InvalidEtagError', registry.updateTwin('keyed', { tags: { n: 2 } }, etag));
  });
  await check('twin: what does not exist is not found', () => refused('DeviceNotFoundError', registry.getTwin('nobody')));
  await check('query: pages of all devices, and all modules', async () => {
    await registry.addDevices(['q1', 'q2', 'q3'].map((deviceId) => ({ deviceId })));
    const found = [];
    for (const query = registry.createQuery('SELECT * FROM devices', 2); query.hasMoreResults;) {
      const page = (await query.nextAsTwin()).result;
      assert(page.length <= 2);
      found.push(...page.map((t) => t.deviceId));
    }
    assert.deepStrictEqual(found, [edge, 'keyed', 'q1', 'q2', 'q3']);
    const modules = (await registry.createQuery('SELECT * FROM devices.modules').nextAsTwin()).result;
    assert.deepStrictEqual(modules.map((t) => t.moduleId), ['one', 'two']);
    const one = (await registry.createQuery("SELECT * FROM devices WHERE deviceId = 'q2'").nextAsTwin()).result;
    assert.deepStrictEqual(one.map((t) => t.deviceId), ['q2']);
  });
  await check('query: what is not simulated is refused', () =>
    refused('ArgumentError', registry.createQuery('SELECT COUNT() FROM devices').next()));
}

async function leaves() {
  const scope = (await registry.get(edge)).responseBody.deviceScope;
  const leaf = (await registry.create({ deviceId: 'leaf', deviceScope: scope })).responseBody;
  await check('leaf: a device outside the scope may not connect', async () => {
    const stranger = leafOf((await registry.get('keyed')).responseBody);
    stranger.setRetryPolicy(new NoRetry());
    const err = await stranger.sendEvent(new Message('x')).then(() => null, (e) => e);
    assert(err, 'it could send');
    await stranger.close().catch(() => {});
  });
  const dev = leafOf(leaf);
  await check('leaf: telemetry reaches the cloud', async () => {
    await dev.open();
    const m = new Message(JSON.stringify({ t: 21 }));
    m.properties.add('kind', 'climate');
    await dev.sendEvent(m);
    const list = await until('it arrives', () => control('GET', '/messages'), (all) => all.some((one) => one.device === 'leaf'));
    const got = list.find((one) => one.device === 'leaf');
    assert.deepStrictEqual([got.device, got.module, got.properties], ['leaf', undefined, { kind: 'climate' }]);
  });
  await check('leaf: it is seen as connected', async () => {
    assert.strictEqual((await registry.get('leaf')).responseBody.connectionState, 'Connected');
  });
  await check('leaf: its twin goes both ways', async () => {
    const twin = await dev.getTwin();
    const patch = new Promise((resolve) => twin.on('properties.desired', (d) => d.rate === 5 && resolve()));
    await registry.updateTwin('leaf', { properties: { desired: { rate: 5 } } }, '*');
    await patch;
    await new Promise((resolve, reject) => twin.properties.reported.update({ on: true }, (e) => (e ? reject(e) : resolve())));
    assert.strictEqual((await registry.getTwin('leaf')).responseBody.properties.reported.on, true);
  });
  await check('leaf: a method is answered', async () => {
    dev.onDeviceMethod('turn', answer(201, 'leaf'));
    const { result } = await methods.invokeDeviceMethod('leaf', { methodName: 'turn', payload: { a: 1 }, connectTimeoutInSeconds: 30 });
    assert.deepStrictEqual(result, { status: 201, payload: { from: 'leaf', got: { a: 1 } } });
  });
  await cloudToDevice(dev);
  await check('leaf: a disabled device is disconnected', async () => {
    await registry.update({ ...(await registry.get('leaf')).responseBody, status: 'disabled' });
    await until('it is', async () => (await registry.get('leaf')).responseBody.connectionState, (state) => state === 'Disconnected');
  });
  dev.removeAllListeners();
  within(dev.close(), 3000, 'close').catch(() => {});
}

async function cloudToDevice(dev) {
  const send = async (id, ack) => {
    const m = new Message(`hello ${id}`);
    Object.assign(m, { messageId: id, ack });
    m.properties.add('p', 'v');
    await client.send('leaf', m);
  };
  // The listener stays: without one the SDK gives its link up, and with it the messages it holds.
  const arrived = inbox(dev, 'message');
  await client.open();
  const reports = [];
  const reported = async (id, status) => {
    const of = (r) => r.originalMessageId === id;
    const found = (await until(`a report of ${id}`, () => reports, (all) => all.some(of))).find(of);
    assert.deepStrictEqual([found.statusCode, found.deviceId], [status, 'leaf']);
  };
  await check('cloud to device: a message is completed, and reported', async () => {
    const receiver = await new Promise((resolve, reject) => client.getFeedbackReceiver((e, r) => (e ? reject(e) : resolve(r))));
    receiver.on('message', (m) => {
      reports.push(...JSON.parse(m.data));
      receiver.complete(m).catch(() => {});
    });
    await send('one', 'full');
    const m = await arrived();
    assert.strictEqual(m.data.toString(), 'hello one');
    assert.strictEqual(m.messageId, 'one');
    assert.strictEqual(m.properties.getValue('p'), 'v');
    await dev.complete(m);
    await reported('one', 'Success');
  });
  await check('cloud to device: an abandoned message comes again', async () => {
    await send('two', 'none');
    await dev.abandon(await arrived());
    const again = await arrived();
    assert.strictEqual(again.messageId, 'two');
    await dev.complete(again);
  });
  await check('cloud to device: a rejected message is reported', async () => {
    await send('three', 'full');
    await dev.reject(await arrived());
    await reported('three', 'Rejected');
  });
  await check('cloud to device: while the cloud is cut messages wait', async () => {
    const four = arrived();
    await cut(async () => {
      let early = false;
      four.then(() => { early = true; }, () => {});
      await send('four', 'none');
      await pause(200); // that nothing comes takes time
      assert(!early, 'it passed the cut link');
    });
    await dev.complete(await four);
  });
  await check('cloud to device: an unknown device is refused', async () => {
    const err = await client.send('nobody', new Message('x')).then(() => null, (e) => e);
    assert(err, 'it was taken');
  });
  await client.close();
}

async function modules() {
  const [one, two] = [await moduleOf('one'), await moduleOf('two')];
  await check('method: a module that is not connected is 404103', async () => {
    const err = await methods.invokeDeviceMethod(edge, 'one', { methodName: 'x' }).then(() => null, (e) => e);
    assert.strictEqual(err.response.statusCode, 404);
    assert.strictEqual(JSON.parse(JSON.parse(err.responseBody).Message).errorCode, 404103);
  });
  await check('method: a call waits for its module to connect', async () => {
    const call = methods.invokeDeviceMethod(edge, 'one', { methodName: 'ping', payload: [1], connectTimeoutInSeconds: 45 });
    const [{ result }] = await Promise.all([call, one.open().then(() => one.onMethod('ping', answer(200, 'one')))]);
    assert.deepStrictEqual(result, { status: 200, payload: { from: 'one', got: [1] } });
  });
  await check('method: no answer is a time-out', async () => {
    one.onMethod('silent', () => {});
    const err = await refused('GatewayTimeoutError', methods.invokeDeviceMethod(edge, 'one',
      { methodName: 'silent', responseTimeoutInSeconds: 5 }));
    assert.strictEqual(JSON.parse(JSON.parse(err.responseBody).Message).errorCode, 504101);
  });
  await check('method: an unknown module is not found', () =>
    refused('DeviceNotFoundError', methods.invokeDeviceMethod(edge, 'nobody', { methodName: 'x' })));
  await check('method: a bad time-out is a wrong argument', () =>
    refused('ArgumentError', methods.invokeDeviceMethod(edge, 'one', { methodName: 'x', responseTimeoutInSeconds: 1 })));
  await check('module to module: a method is called over HTTPS', async () => {
    const result = await two.invokeMethod(edge, 'one', { methodName: 'ping', payload: 'hi', responseTimeoutInSeconds: 30 });
    assert.deepStrictEqual(result, { status: 200, payload: { from: 'one', got: 'hi' } });
  });
  await check('module to module: it works without the cloud', async () => {
    const result = await cut(() =>
      two.invokeMethod(edge, 'one', { methodName: 'ping', payload: 1, responseTimeoutInSeconds: 30 }));
    assert.strictEqual(result.status, 200);
  });
  await check('offline: what a module sends waits for the cloud', async () => {
    const { sequence } = await control('GET', '/stats');
    await cut(async () => {
      for (const n of [1, 2, 3]) await one.sendOutputEvent('out', new Message(String(n)));
      assert.strictEqual((await control('GET', '/stats')).queued, 3);
    });
    const got = await until('all are there', () => control('GET', `/messages?since=${sequence}`), (all) => all.length >= 3);
    assert.deepStrictEqual(got.map((m) => m.body), [1, 2, 3]);
  });
  await check('offline: the urgent leave first, the expired not at all', async () => {
    const before = await control('GET', '/stats');
    await cut(async () => {
      for (const output of ['plain', 'brief', 'urgent']) await one.sendOutputEvent(output, new Message('1'));
      await pause(1100); // the brief one lives a second
    });
    const got = await until('both are there', () => control('GET', `/messages?since=${before.sequence}`), (all) => all.length >= 2);
    assert.deepStrictEqual(got.map((m) => m.output), ['urgent', 'plain']);
    await until('one is expired', () => control('GET', '/stats'), ({ expired }) => expired === before.expired + 1);
  });
  await check('deployment: a module has its twin of all layers', async () => {
    const { mode, limits, extra } = (await two.getTwin()).properties.desired;
    assert.deepStrictEqual({ mode, limits, extra }, { mode: 'base', limits: { low: 1, high: 7 }, extra: { from: 'layer' } });
  });
  await check('offline: a twin comes from the store', async () => {
    await registry.updateModuleTwin(edge, 'one', { properties: { desired: { seen: 'before' } } }, '*');
    const twin = await one.getTwin();
    const caught = new Promise((resolve) => twin.on('properties.desired', (d) => d.seen === 'after' && resolve()));
    await cut(async () => {
      await registry.updateModuleTwin(edge, 'one', { properties: { desired: { seen: 'after' } } }, '*');
      await new Promise((resolve, reject) => twin.get((e) => (e ? reject(e) : resolve())));
      assert.strictEqual(twin.properties.desired.seen, 'before');
    });
    await caught;
  });
  await Promise.all([one, two].map((m) => within(m.close(), 3000, 'close').catch(() => {})));
}

async function single() {
  const other = JSON.parse(fs.readFileSync(process.env.READY_SINGLE));
  const env = await (await fetch(`${other.control}/env/target?style=connectionstring`)).json();
  const target = device.ModuleClient.fromConnectionString(env.EdgeHubConnectionString, Amqp);
  const post = (body) => fetch(other.inject, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  await check('single module: a message reaches its input as with iotedgehubdev', async () => {
    const arrived = new Promise((resolve) => target.on('inputMessage', (input, m) => resolve([input, m])));
    await target.open();
    const response = await post({ inputName: 'in2', data: 'hello world', messageId: '7' });
    assert.deepStrictEqual([response.status, await response.json()], [202, { message: 'accepted' }]);
    const [input, m] = await arrived;
    assert.deepStrictEqual([input, m.data.toString(), m.messageId], ['in2', 'hello world', '7']);
    await target.complete(m);
  });
  await check('single module: an unknown input is refused', async () => {
    const response = await post({ inputName: 'in3', data: '' });
    assert.strictEqual(response.status, 404);
    assert((await response.json()).error.includes('in1, in2'));
  });
  await check('single module: what the module sends is shown', async () => {
    await target.sendOutputEvent('out', new Message('1'));
    const got = await (await fetch(`${other.control}/messages?wait=30s`)).json();
    assert.deepStrictEqual(got.map((m) => [m.module, m.output, m.body]), [['target', 'out', 1]]);
  });
  within(target.close(), 3000, 'close').catch(() => {});
}

// killed is a simulator of its own, which is killed without a word while the cloud is cut.
async function killed() {
  const work = process.env.WORK;
  const file = `${work}/ready-killed`;
  const start = async () => {
    fs.rmSync(file, { force: true }); // a killed one leaves it
    const args = ['up', '-state', `${work}/killed`, '-journal', `${work}/journal`, '-ready-file', file, '-module', 'm'];
    const child = spawn(process.env.SIMULATOR, args, { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await until('it starts', () => child.exitCode, (code) => {
      assert.strictEqual(code, null, 'it did not start');
      return fs.existsSync(file);
    });
    const { control: url, ca } = JSON.parse(fs.readFileSync(file));
    const ask = async (method, path) => (await fetch(url + path, { method })).json();
    return { ask, ca, kill: (signal) => { child.kill(signal); return ended; } };
  };
  await check('offline: what waits for the cloud survives a kill', async () => {
    let it = await start();
    try {
      const env = await it.ask('GET', '/env/m?style=connectionstring');
      const m = device.ModuleClient.fromConnectionString(env.EdgeHubConnectionString, Amqp);
      await m.setOptions({ ca: fs.readFileSync(it.ca, 'utf8') });
      m.setRetryPolicy(new NoRetry());
      m.on('error', () => {});
      await m.sendOutputEvent('out', new Message('1'));
      await it.ask('POST', '/cloud/cut');
      for (const n of [2, 3]) await m.sendOutputEvent('out', new Message(String(n)));
      await it.kill('SIGKILL');
      m.close().catch(() => {});
      it = await start();
      const all = await until('all are there', () => it.ask('GET', '/messages'), (list) => list.length >= 3);
      assert.deepStrictEqual(all.map((got) => [got.sequence, got.body]), [[1, 1], [2, 2], [3, 3]]);
    } finally {
      await it.kill('SIGTERM');
    }
  }, 100000); // a simulator starts twice
}

(async () => {
  for (const part of [identities, twins, leaves, modules, single, killed]) await group(part);
  process.exit(failures() ? 1 : 0);
})().catch((err) => {
  console.log(`FAIL service: ${err.stack}`.replace(/\n/g, ' '));
  process.exit(1);
});
