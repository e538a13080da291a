// Checks of three hundred devices with identities of their own by azure-iothub, whoever plays them.
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const { Registry, Client, ConnectionString } = require('azure-iothub');
const { Message } = require('azure-iot-common');
const { player, check, control, until, each, stopped, ready, failures } = require('./bench.js');
const { names, answer } = require('./devices.js');

const key = ConnectionString.parse(ready.serviceConnectionString, ['SharedAccessKey']).SharedAccessKey;
const service = (host) => `HostName=${host};SharedAccessKeyName=iothubowner;SharedAccessKey=${key}`;
const registry = Registry.fromConnectionString(service(process.env.EDGE));
const client = Client.fromConnectionString(service(process.env.CLOUD));
const methods = Client.fromConnectionString(service(process.env.EDGE));

// derived is the cloud's side of a device's key: what the module gets that asks the workload API to sign the device's id.
async function derived() {
  const module_ = (await registry.getModule(ready.device, 'causeway')).responseBody;
  const own = Buffer.from(module_.authentication.symmetricKey.primaryKey, 'base64');
  return (id) => crypto.createHmac('sha256', own).update(id).digest('base64');
}

async function connected() {
  const list = (await registry.list()).responseBody;
  return new Set(list.filter((d) => d.connectionState === 'Connected').map((d) => d.deviceId));
}

// A device that was refused is tried again after a pause that doubles.
const call = async (id, seconds = 30) => (await methods.invokeDeviceMethod(id,
  { methodName: 'getver', connectTimeoutInSeconds: 90, responseTimeoutInSeconds: seconds })).result;

// callAgain is for devices whose connection may be ending: what is called meanwhile gets no answer.
async function callAgain(id) {
  for (;;) {
    try {
      return await call(id, 10);
    } catch (err) {
      if (err.name !== 'GatewayTimeoutError' || stopped()) throw err;
    }
  }
}

async function create() {
  await check('registry: 300 devices are created in bulk with derived keys', async () => {
    const keyOf = await derived();
    const scope = (await registry.get(ready.device)).responseBody.deviceScope;
    for (let i = 0; i < names.length; i += 100) {
      const added = await registry.addDevices(names.slice(i, i + 100).map((deviceId) => ({
        deviceId, deviceScope: scope,
        authentication: { type: 'sas', symmetricKey: { primaryKey: keyOf(deviceId), secondaryKey: crypto.randomBytes(32).toString('base64') } },
      })));
      assert.strictEqual(added.responseBody.isSuccessful, true);
    }
  });
}

async function use() {
  const coming = async () => ({ ...(await control('GET', '/stats')).admission, at: Date.now() });
  const begun = await coming();
  await check('all 300 are connected', () => until(async () => (await connected()).size >= names.length), 120000);
  if (player === 'gateway') {
    // It brings 20 in a second. A machine that stands still for a moment lets some come at once, but no more than come in
    // that time: neither the hub's second at 100 nor twice the rate over the whole time is ever used up.
    await check('the hub had to hold none of them back', async () => {
      const { throttled, connects, at } = await coming();
      const came = connects.total - begun.connects.total;
      const seconds = (at - begun.at) / 1000;
      const figures = `${came} came in ${seconds.toFixed(1)} s, at most ${connects.peak} in one`;
      assert.strictEqual(throttled, 0, figures);
      assert(connects.total >= names.length && came <= 100 + 40 * seconds, figures);
      return figures;
    });
  }
  await check('telemetry of each comes from its own identity', async () => {
    await until(async () => {
      const from = new Set((await control('GET', '/messages?limit=100000')).filter((m) => !m.module).map((m) => m.device));
      return names.every((id) => from.has(id));
    });
  });
  await check('a twin patch reaches each, and what it confirms comes back', async () => {
    await each(names, (id, i) => registry.updateTwin(id, { properties: { desired: { 2001: `apn-${i}` } } }, '*'));
    await until(async () => {
      const reported = await each(names, async (id) => (await registry.getTwin(id)).responseBody.properties.reported);
      return reported.every((r, i) => r['2001'] === `apn-${i}`);
    });
  });
  await check('a method is answered by each in its own words', async () => {
    const results = await each(names, (id) => call(id));
    results.forEach((result, i) => {
      assert.strictEqual(result.status, 200);
      assert.deepStrictEqual(result.payload, answer(names[i]));
    });
  });
  await check('a message from the cloud is completed by each, and reported', async () => {
    await client.open();
    const receiver = await new Promise((resolve, reject) => client.getFeedbackReceiver((e, r) => (e ? reject(e) : resolve(r))));
    const reports = new Map();
    receiver.on('message', (m) => {
      for (const r of JSON.parse(m.data)) reports.set(r.originalMessageId, r);
      receiver.complete(m).catch(() => {});
    });
    await each(names, (id) => client.send(id, Object.assign(new Message(JSON.stringify({ command: 'getver' })), {
      messageId: `to-${id}`, ack: 'full', contentType: 'application/json', contentEncoding: 'utf-8',
    })));
    await until(async () => reports.size >= names.length);
    for (const id of names) {
      const { statusCode, deviceId } = reports.get(`to-${id}`);
      assert.deepStrictEqual([statusCode, deviceId], ['Success', id]);
    }
    await client.close();
  });
}

// lose takes devices of three connections away, each in its way.
async function lose() {
  const change = async (id, by) => registry.update({ ...(await registry.get(id)).responseBody, ...by });
  const keys = () => ({ primaryKey: crypto.randomBytes(32).toString('base64'), secondaryKey: crypto.randomBytes(32).toString('base64') });
  const ways = {
    disabled: [names[7], (id) => change(id, { status: 'disabled' })],
    'given another key': [names[107], (id) => change(id, { authentication: { type: 'sas', symmetricKey: keys() } })],
    deleted: [names[207], (id) => registry.delete(id)],
  };
  const gone = [];
  for (const [name, [victim, take]] of Object.entries(ways)) {
    await check(`a device that is ${name} is gone, and all others answer again`, async () => {
      await take(victim);
      gone.push(victim);
      await until(async () => !(await connected()).has(victim));
      const others = names.filter((id) => !gone.includes(id));
      const results = await each(others, callAgain);
      results.forEach((result, i) => assert.deepStrictEqual(result, { status: 200, payload: answer(others[i]) }));
      assert(!(await connected()).has(victim));
    }, 120000);
  }
  await check('a device that is enabled again comes back', async () => {
    await change(names[7], { status: 'enabled' });
    assert.deepStrictEqual(await callAgain(names[7]), { status: 200, payload: answer(names[7]) });
  }, 120000);
}

(async () => {
  await create();
  await use();
  await lose();
  process.exit(failures() ? 1 : 0);
})().catch((err) => {
  console.log(`FAIL identity: ${err.stack}`.replace(/\n/g, ' '));
  process.exit(1);
});
