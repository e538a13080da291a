'use strict';
// Checks of the simulator's MQTT head by MQTT.js. See README.md for what is in the environment.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const mqtt = require('mqtt');

const { HUB_TOKEN: token, HUB_USER: user, HUB_CONTROL: control } = process.env;
const ca = fs.readFileSync(process.env.HUB_CA);
const topics = 'devices/edge/modules/peer';
const limit = 60000; // ms for one check

let passed = 0;
let failed = 0;

function fail(name, why) {
  failed++;
  console.log(`FAIL mqtt.js: ${name}: ${why.split('\n').join(' ')}`);
}

// stuck is the check of the present group that ran out of time. It still goes on and would disturb what comes after it,
// so that the rest of its group fails with it.
let stuck;

async function check(name, body) {
  if (stuck) return fail(name, `not made, for time ran out in: ${stuck}`);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      stuck = name;
      reject(new Error(`nothing happened for ${limit} ms`));
    }, limit);
  });
  try {
    await Promise.race([body(), late]);
    passed++;
    console.log(`ok   mqtt.js: ${name}`);
  } catch (err) {
    fail(name, String(err.message));
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

async function http(method, path, body) {
  const response = await fetch(control + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer}`);
  return answer ? JSON.parse(answer) : undefined;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// stored waits until so many messages with the property have reached the cloud.
async function stored(run, count) {
  for (;;) {
    const list = (await http('GET', '/messages?limit=100000')).filter((m) => m.properties.run === run);
    if (list.length >= count) return list;
    await pause(50);
  }
}

function dial(url, extra) {
  return mqtt.connectAsync(url, {
    protocolVersion: 4, clientId: 'edge/peer', username: user, password: token, ca, clean: true, reconnectPeriod: 0, ...extra,
  });
}

// next is the next publish that the client gets.
function next(client) {
  return new Promise((resolve) => client.once('message', (topic, payload, packet) => resolve({ topic, text: payload.toString(), packet })));
}

const closed = (client) => new Promise((resolve) => client.once('close', resolve));

async function over(name, url) {
  stuck = undefined;
  await http('DELETE', '/faults'); // what a failed check may have left
  await check(`${name}: a thousand publishes in one go are acknowledged and stored in order`, async () => {
    const client = await dial(url);
    const run = `mqttjs-${name}`;
    const all = [];
    for (let n = 0; n < 1000; n++) all.push(client.publishAsync(`${topics}/messages/events/%24.on=o&run=${run}`, String(n), { qos: 1 }));
    await Promise.all(all);
    const list = await stored(run, 1000);
    assert.deepEqual(list.map((m) => Number(m.body)), [...Array(1000).keys()]);
    await client.endAsync();
  });
  await check(`${name}: twin and methods`, async () => {
    const client = await dial(url);
    const granted = await client.subscribeAsync(['$iothub/twin/res/#', '$iothub/methods/POST/#'], { qos: 2 });
    assert.deepEqual(granted.map((g) => g.qos), [1, 1]);
    let answer = next(client);
    await client.publishAsync('$iothub/twin/GET/?$rid=a%20b', ' ', { qos: 0 });
    let got = await answer;
    assert.equal(got.topic, '$iothub/twin/res/200/?$rid=a%20b');
    assert.ok(JSON.parse(got.text).desired.$version >= 1);
    answer = next(client);
    const result = http('POST', '/twins/edge/modules/peer/methods', { methodName: 'echo', payload: [1, 'ü'] });
    got = await answer;
    const [, method, rid] = got.topic.match(/^\$iothub\/methods\/POST\/([^/]+)\/\?\$rid=(.+)$/);
    assert.equal(method, 'echo');
    await client.publishAsync(`$iothub/methods/res/202/?$rid=${rid}`, got.text, { qos: 1 });
    assert.deepEqual(await result, { status: 202, payload: [1, 'ü'] });
    await client.endAsync();
  });
  await check(`${name}: an input that is not acknowledged comes again`, async () => {
    const client = await dial(url);
    const came = [];
    const twice = new Promise((resolve) => {
      client.handleMessage = (packet, acknowledge) => {
        came.push(packet.payload.toString());
        acknowledge(came.length === 1 ? new Error('this one is not acknowledged') : undefined);
        if (came.length === 2) resolve();
      };
    });
    await client.subscribeAsync(`${topics}/inputs/#`, { qos: 1 });
    const { inputs } = await http('GET', '/stats');
    await http('POST', '/inputs/peer/commands', { run: name });
    await twice;
    assert.deepEqual(came, [`{"run":"${name}"}`, `{"run":"${name}"}`]);
    while ((await http('GET', '/stats')).inputs.accepted === inputs.accepted) await pause(50);
    await client.endAsync();
  });
  await check(`${name}: a session that is not clean is present again, with its subscriptions`, async () => {
    let client = await dial(url, { clean: false });
    await client.subscribeAsync('$iothub/twin/res/#');
    await client.endAsync();
    client = mqtt.connect(url, { protocolVersion: 4, clientId: 'edge/peer', username: user, password: token, ca, clean: false, reconnectPeriod: 0, resubscribe: false });
    const connack = await new Promise((resolve, reject) => { client.once('connect', resolve); client.once('error', reject); });
    assert.equal(connack.sessionPresent, true);
    const answer = next(client);
    await client.publishAsync('$iothub/twin/GET/?$rid=1', '');
    assert.equal((await answer).topic, '$iothub/twin/res/200/?$rid=1');
    await client.endAsync();
  });
  await check(`${name}: a will is stored when the connection breaks`, async () => {
    const run = `will-${name}`;
    const client = await dial(url, { will: { topic: `${topics}/messages/events/run=${run}`, payload: Buffer.from('gone'), qos: 1 } });
    client.stream.destroy();
    assert.equal((await stored(run, 1))[0].properties.MessageType, 'Will');
    await client.endAsync(true);
  });
  await check(`${name}: a newer connection ends the older one`, async () => {
    const older = await dial(url);
    const gone = closed(older);
    const newer = await dial(url);
    await gone;
    await newer.publishAsync(`${topics}/messages/events/`, 'x', { qos: 1 });
    await newer.endAsync();
  });
  await check(`${name}: a user name without an api-version is answered with CONNACK 3`, async () => {
    await assert.rejects(dial(url, { username: 'hub/edge/peer/?x=1' }), /Server unavailable/i);
  });
  await check(`${name}: another client id is answered with CONNACK 5`, async () => {
    await assert.rejects(dial(url, { clientId: 'edge/other' }), /Not authorized/i);
  });
  await check(`${name}: an unknown topic under $iothub ends the connection`, async () => {
    const client = await dial(url);
    const gone = closed(client);
    client.publish('$iothub/twin/DELETE/?$rid=1', '');
    await gone;
  });
  await check(`${name}: a withheld acknowledgement stays out, the next one comes`, async () => {
    const client = await dial(url);
    await http('POST', '/faults', { withhold: true });
    let early = false;
    client.publish(`${topics}/messages/events/`, 'withheld', { qos: 1 }, (err) => { early = !err; });
    await client.publishAsync(`${topics}/messages/events/`, 'x', { qos: 1 });
    assert.equal(early, false);
    await client.endAsync(true);
  });
  await check(`${name}: a refused publish ends the connection and is not stored`, async () => {
    const client = await dial(url);
    const run = `refused-${name}`;
    await http('POST', '/faults', { refuse: { condition: 'com.microsoft:device-container-throttled', description: 'full' } });
    const gone = closed(client);
    client.publish(`${topics}/messages/events/run=${run}`, 'x', { qos: 1 }, () => {});
    await gone;
    assert.deepEqual((await http('GET', '/messages?limit=100000')).filter((m) => m.properties.run === run), []);
  });
}

(async () => {
  await over('TLS', `mqtts://localhost:${process.env.HUB_MQTT_PORT}`);
  await over('WebSocket', `wss://localhost:${process.env.HUB_WEB_PORT}/$iothub/websocket`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
})();
