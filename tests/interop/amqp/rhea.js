'use strict';
// Checks of the simulator's AMQP head by rhea. See README.md for what is in the environment.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const rhea = require('rhea');

const { HUB_HOST: host, HUB_PORT: port, HUB_CA: ca, HUB_TOKEN: token, HUB_DEVICE: device, HUB_MODULE: module_ } = process.env;
const control = process.env.HUB_CONTROL;
const base = `/devices/${encodeURIComponent(device)}/modules/${encodeURIComponent(module_)}`;
const limit = 60000; // ms for one check
const batchFormat = 0x80013700;

let passed = 0;
let failed = 0;

function fail(name, why) {
  failed++;
  console.log(`FAIL rhea: ${name}: ${why.split('\n').join(' ')}`);
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
    console.log(`ok   rhea: ${name}`);
  } catch (err) {
    fail(name, String(err.message));
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// once waits for one of the events on an emitter and returns its name and context.
function once(emitter, ...names) {
  return new Promise((resolve) => {
    const stop = () => names.forEach((n) => emitter.removeListener(n, listeners[n]));
    const listeners = {};
    for (const n of names) {
      listeners[n] = (context) => { stop(); resolve([n, context]); };
      emitter.on(n, listeners[n]);
    }
  });
}

async function dial(extra) {
  const container = rhea.create_container();
  const connection = container.connect({
    host, port: Number(port), transport: 'tls', servername: 'localhost', ca: fs.readFileSync(ca),
    hostname: host, reconnect: false, ...extra,
  });
  const [event, context] = await once(connection, 'connection_open', 'connection_close', 'connection_error', 'disconnected');
  if (event !== 'connection_open') throw new Error(`${event}: ${connection.error || context.error}`);
  return connection;
}

async function end(connection) {
  if (!connection.is_open()) return;
  const over = once(connection, 'connection_close', 'disconnected');
  connection.close();
  await Promise.race([over, pause(limit)]);
}

const correlated = (id) => ({ 'com.microsoft:client-version': 'rhea', 'com.microsoft:channel-correlation-id': id });

// sender and receiver resolve when the link is there, and fail with the error of its detach.
async function sender(connection, address, options) {
  const link = connection.open_sender({ target: { address }, ...options });
  link.on('sender_error', () => {});
  const [event] = await once(link, 'sendable', 'sender_close', 'sender_error');
  if (event !== 'sendable') throw Object.assign(new Error(String(link.error)), { condition: link.error && link.error.condition });
  return link;
}

async function receiver(connection, address, options) {
  const link = connection.open_receiver({ source: { address }, autoaccept: true, credit_window: 100, ...options });
  link.queue = [];
  link.waiting = [];
  link.on('message', (context) => {
    const waiting = link.waiting.shift();
    if (waiting) waiting(context); else link.queue.push(context);
  });
  link.on('receiver_error', () => {});
  await once(link, 'receiver_open');
  // A refused attach is answered too, without a source; the detach follows.
  if (!link.source || link.source.address === undefined || link.source.address === null) {
    if (!link.error) await once(link, 'receiver_close', 'receiver_error');
    throw Object.assign(new Error(String(link.error)), { condition: link.error && link.error.condition });
  }
  return link;
}

function next(link) {
  const context = link.queue.shift();
  return context ? Promise.resolve(context) : new Promise((resolve) => link.waiting.push(resolve));
}

// send resolves with the outcome: [event, state].
function send(link, message, format) {
  const payload = Buffer.isBuffer(message) ? message : rhea.message.encode(message);
  const delivery = link.send(payload, undefined, format || 0);
  return new Promise((resolve, reject) => {
    const done = (event) => (context) => {
      if (context.delivery.id !== delivery.id) return;
      stop();
      resolve([event, context.delivery.remote_state]);
    };
    const gone = () => { stop(); reject(new Error('the connection ended')); };
    const listeners = { accepted: done('accepted'), rejected: done('rejected'), released: done('released'), modified: done('modified') };
    const stop = () => {
      for (const [n, f] of Object.entries(listeners)) link.removeListener(n, f);
      link.connection.removeListener('disconnected', gone);
    };
    for (const [n, f] of Object.entries(listeners)) link.on(n, f);
    link.connection.on('disconnected', gone);
  });
}

const data = (body) => rhea.message.data_section(Buffer.from(body));
const text = (message) => Buffer.concat([].concat(message.body.content)).toString();

async function putToken(connection, value) {
  if (!connection.cbs) {
    connection.cbs = { ask: await sender(connection, '$cbs'), answers: await receiver(connection, '$cbs') };
  }
  const id = crypto.randomUUID();
  await send(connection.cbs.ask, {
    to: '$cbs', message_id: id, reply_to: 'cbs', body: value,
    application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: 'hub' },
  });
  const { message } = await next(connection.cbs.answers);
  assert.equal(message.correlation_id, id);
  return message.application_properties['status-code'];
}

async function login(extra) {
  const connection = await dial(extra);
  assert.equal(await putToken(connection, token), 200);
  return connection;
}

async function http(method, path, body) {
  const response = await fetch(control + path, {
    method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'content-type': 'application/json' },
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer}`);
  return answer ? JSON.parse(answer) : undefined;
}

// stored returns the messages that have reached the cloud with that property.
async function stored(run, count) {
  const until = Date.now() + limit;
  for (;;) {
    const list = (await http('GET', '/messages?limit=100000')).filter((m) => m.properties.run === run);
    if (list.length >= count || Date.now() > until) return list;
    await pause(50);
  }
}

async function connections() {
  await check('a bare AMQP header is enough, and open tells the limits', async () => {
    const connection = await dial();
    const { max_frame_size, channel_max, idle_time_out } = connection.remote.open;
    assert.deepEqual([max_frame_size, channel_max, idle_time_out], [65536, 8191, 240000]);
    await end(connection);
  });
  await check('SASL ANONYMOUS is taken', async () => end(await dial({ username: 'anonymous' })));
  await check('put-token: 200 for a good token, 400 for nonsense, both on one connection', async () => {
    const connection = await dial();
    assert.equal(await putToken(connection, token), 200);
    assert.equal(await putToken(connection, 'nonsense'), 400);
    assert.equal(await putToken(connection, token), 200);
    await end(connection);
  });
  await check('a forged token passes put-token and fails at the first link', async () => {
    const connection = await dial();
    const forged = token.replace(/sig=[^&]*/, 'sig=' + encodeURIComponent(Buffer.alloc(32).toString('base64')));
    assert.equal(await putToken(connection, forged), 200);
    await assert.rejects(sender(connection, `${base}/messages/events`), { condition: 'amqp:not-allowed' });
    await assert.rejects(receiver(connection, `${base}/twin`), { condition: 'amqp:not-allowed' });
    await end(connection);
  });
  await check('an address that is no node is refused', async () => {
    const connection = await login();
    await assert.rejects(sender(connection, `${base}/nowhere`), { condition: 'amqp:not-allowed' });
    await assert.rejects(receiver(connection, '/devices/x/messages/events'), { condition: 'amqp:not-allowed' });
    await end(connection);
  });
  await check('the same identity elsewhere closes this connection without an error', async () => {
    const older = await login();
    await sender(older, `${base}/messages/events`);
    const over = once(older, 'connection_close', 'connection_error');
    const newer = await login();
    await sender(newer, `${base}/messages/events`);
    const [event] = await over;
    assert.equal(event, 'connection_close');
    assert.equal(older.error, undefined);
    await end(newer);
  });
}

async function telemetry() {
  const connection = await login();
  const events = await sender(connection, `${base}/messages/events`);
  const message = (run, i, body) => ({
    message_id: `${run}-${i}`, content_type: 'application/json', content_encoding: 'utf-8',
    application_properties: { run, i: String(i), 'iothub-outputname': 'out' }, body: data(body || JSON.stringify({ i })),
  });

  await check('the telemetry link has a credit of 1000, 1 MiB and mixed settling', async () => {
    assert.equal(events.credit, 1000);
    assert.equal(events.remote.attach.max_message_size, 1 << 20);
    assert.ok([2, null, undefined].includes(events.remote.attach.snd_settle_mode)); // null is mixed
  });
  await check('a message is accepted and stored with its properties', async () => {
    const run = crypto.randomUUID();
    assert.equal((await send(events, message(run, 1)))[0], 'accepted');
    const [m] = await stored(run, 1);
    assert.deepEqual(m.body, { i: 1 });
    assert.equal(m.output, 'out');
    assert.equal(m.module, module_);
    assert.equal(m.system.messageId, `${run}-1`);
    assert.equal(m.system.contentType, 'application/json');
  });
  await check('a batch of 500 is accepted whole and stored in order', async () => {
    const run = crypto.randomUUID();
    const members = Array.from({ length: 500 }, (_, i) => rhea.message.encode(message(run, i)));
    const batch = rhea.message.encode({ body: rhea.message.data_sections(members) });
    assert.equal((await send(events, batch, batchFormat))[0], 'accepted');
    const list = await stored(run, 500);
    assert.deepEqual(list.map((m) => m.body.i), Array.from({ length: 500 }, (_, i) => i));
  });
  await check('2500 messages at once come back accepted, each once, within the credit', async () => {
    const run = crypto.randomUUID();
    const outcomes = [];
    for (let i = 0; i < 2500; i++) {
      if (!events.sendable()) await once(events, 'sendable');
      outcomes.push(send(events, message(run, i)));
      events.setMaxListeners(0);
      connection.setMaxListeners(0);
    }
    for (const [event] of await Promise.all(outcomes)) assert.equal(event, 'accepted');
    assert.equal((await stored(run, 2500)).length, 2500);
  });
  await check('each size limit has its own condition', async () => {
    const run = crypto.randomUUID();
    const [one, state] = await send(events, message(run, 1, JSON.stringify('x'.repeat(256 << 10))));
    assert.deepEqual([one, state.error.condition], ['rejected', 'amqp:link:message-size-exceeded']);
    const [all, whole] = await send(events, message(run, 2, JSON.stringify('x'.repeat(600 << 10))));
    assert.deepEqual([all, whole.error.condition], ['rejected', 'amqp:not-allowed']);
  });
  await end(connection);

  await check('a message over 1 MiB detaches the link', async () => {
    const own = await login();
    await receiver(own, `${base}/messages/events`); // keeps the connection
    const link = await sender(own, `${base}/messages/events`);
    const gone = once(link, 'sender_error');
    link.send(rhea.message.encode({ body: data('x'.repeat(1 << 20)) }), undefined, 0);
    await gone;
    assert.equal(link.error.condition, 'amqp:link:message-size-exceeded');
    await end(own);
  });
  await check('a refusal on request is a rejection, and the link stays', async () => {
    const own = await login();
    const link = await sender(own, `${base}/messages/events`);
    await http('POST', '/faults', { identity: module_, count: 1, refuse: { condition: 'amqp:internal-error' } });
    const run = crypto.randomUUID();
    assert.equal((await send(link, message(run, 1)))[0], 'rejected');
    assert.equal((await send(link, message(run, 2)))[0], 'accepted');
    await end(own);
  });
}

async function twins() {
  const connection = await login();
  const ask = await sender(connection, `${base}/twin`, { snd_settle_mode: 1, properties: correlated('twin:1') });
  const answers = await receiver(connection, `${base}/twin`,
    { snd_settle_mode: 1, rcv_settle_mode: 0, properties: correlated('twin:1') });
  const request = async (operation, body) => {
    const id = crypto.randomUUID();
    ask.send({ correlation_id: id, message_annotations: { operation, resource: '/properties/reported' }, body: data(body) });
    const { message } = await next(answers);
    assert.equal(message.correlation_id, id);
    return message;
  };
  const mark = crypto.randomUUID();

  await check('the twin links settle by the sender', async () => {
    assert.equal(ask.remote.attach.snd_settle_mode, 1);
    assert.equal(answers.remote.attach.snd_settle_mode, 1);
  });
  await check('reported properties are patched with 204 and read back with 200', async () => {
    const patched = await request('PATCH', JSON.stringify({ mark }));
    assert.equal(patched.message_annotations.status, 204);
    assert.equal(text(patched), '');
    const got = await request('GET', ' ');
    assert.equal(got.message_annotations.status, 200);
    assert.equal(JSON.parse(text(got)).reported.mark, mark);
  });
  await check('a patch that breaks the rules has the status 400', async () => {
    assert.equal((await request('PATCH', '{"a":[null]}')).message_annotations.status, 400);
  });
  await check('desired properties arrive without being asked for', async () => {
    await http('PATCH', `/twins/${device}/modules/${module_}`, { properties: { desired: { mark } } });
    const { message } = await next(answers);
    assert.equal(message.correlation_id, undefined);
    const patch = JSON.parse(text(message));
    assert.equal(patch.mark, mark);
    assert.equal(typeof patch.$version, 'number');
  });
  await end(connection);
}

async function methods() {
  const connection = await login();
  const options = { properties: correlated('methods:1') };
  const respond = await sender(connection, `${base}/methods/devicebound`, options);
  const calls = await receiver(connection, `${base}/methods/devicebound`, options);
  const call = (payload) => http('POST', `/twins/${device}/modules/${module_}/methods`,
    { methodName: 'ping', payload, responseTimeoutInSeconds: 20, connectTimeoutInSeconds: 20 });
  const answer = async (status, reply, asUUID) => {
    const { message } = await next(calls);
    assert.equal(message.application_properties['IoThub-methodname'], 'ping');
    const id = asUUID ? rhea.types.wrap_uuid(Buffer.from(message.correlation_id.replaceAll('-', ''), 'hex')) : message.correlation_id;
    respond.send({ correlation_id: id, application_properties: { 'IoThub-status': status }, body: data(JSON.stringify(reply)) });
    return JSON.parse(text(message));
  };

  for (const asUUID of [false, true]) {
    await check(`a method goes there and back, its id as ${asUUID ? 'a UUID' : 'text'}`, async () => {
      const result = call({ n: 1 });
      assert.deepEqual(await answer(rhea.types.wrap_int(201), { pong: true }, asUUID), { n: 1 });
      assert.deepEqual(await result, { status: 201, payload: { pong: true } });
    });
  }
  await check('a status that is no AMQP int becomes 400000', async () => {
    const result = call(null);
    await answer(rhea.types.wrap_long(200), { pong: true });
    assert.equal((await result).status, 400000);
  });
  await end(connection);
}

async function inputs() {
  const connection = await login();
  const link = await receiver(connection, `${base}/messages/events`, { autoaccept: false, autosettle: true });
  await check('input messages come one at a time, with their annotations', async () => {
    for (const i of [1, 2]) await http('POST', `/inputs/${module_}/commands`, { i });
    const first = await next(link);
    assert.equal(first.message.message_annotations['x-opt-input-name'], 'commands');
    assert.match(first.message.message_annotations['x-opt-lock-token'], /^[0-9a-f-]{36}$/);
    assert.equal(first.delivery.tag.length, 16);
    await pause(100); // that nothing comes takes time
    assert.equal(link.queue.length, 0);
    first.delivery.accept();
    const second = await next(link);
    second.delivery.release(); // drops it
    await http('POST', `/inputs/${module_}/commands`, { i: 3 });
    const third = await next(link);
    assert.deepEqual([first, second, third].map((c) => JSON.parse(text(c.message)).i), [1, 2, 3]);
    third.delivery.accept();
  });
  await end(connection);
}

async function main() {
  for (const part of [connections, telemetry, twins, methods, inputs]) {
    stuck = undefined;
    await http('DELETE', '/faults'); // what a failed check may have left
    await part().catch((err) => fail(part.name, String(err.message)));
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

main();
