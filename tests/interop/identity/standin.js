// Three hundred devices on fifteen AMQP connections: what a gateway with an identity for each device looks like to the
// edge hub, by rhea. Desired values are reported as they come, the method getver is answered, messages from the cloud are
// completed. A connection that ends comes back with all of its devices; one that is refused is asked for again every second.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const rhea = require('rhea');
const { names, answer } = require('./devices.js');

const ready = JSON.parse(fs.readFileSync(process.env.READY));
const [host, port] = ready.amqp.split(':');
const perConnection = 20;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// derive asks the workload API for a device's key, as the gateway does.
function derive(id) {
  const body = JSON.stringify({ keyId: 'primary', algo: 'HMACSHA256', data: Buffer.from(id).toString('base64') });
  return new Promise((resolve, reject) => {
    const request = http.request({
      socketPath: ready.workload.replace('unix://', ''), method: 'POST', headers: { 'content-type': 'application/json' },
      path: '/modules/causeway/genid/1/sign?api-version=2020-07-07',
    }, (response) => {
      let text = '';
      response.on('data', (part) => { text += part; });
      response.on('end', () => (response.statusCode === 200 ? resolve(JSON.parse(text).digest) : reject(new Error(text))));
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function tokenOf(id) {
  const audience = encodeURIComponent(`${ready.iothub}/devices/${id}`);
  const expiry = Math.floor(Date.now() / 1000) + 3600;
  const signature = crypto.createHmac('sha256', Buffer.from(await derive(id), 'base64')).update(`${audience}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${audience}&sig=${encodeURIComponent(signature)}&se=${expiry}`;
}

// opened resolves when a link is there, and fails with the error of its detach.
function opened(link, what) {
  return new Promise((resolve, reject) => {
    // A refused attach is answered too, without the node; the detach follows.
    link.once(`${what}_open`, () => { if ((what === 'sender' ? link.target : link.source)?.address) resolve(link); });
    link.once(`${what}_error`, () => reject(Object.assign(new Error(String(link.error)), { condition: link.error.condition })));
    link.setMaxListeners(0);
    link.connection.once('disconnected', () => reject(new Error('the connection ended')));
    link.connection.once('connection_close', () => reject(new Error('the connection was closed')));
  });
}

const bodyOf = (message) => Buffer.concat([].concat(message.body ? message.body.content : [])).toString();

class Shard {
  constructor(ids) {
    this.ids = ids;
  }

  async run() {
    for (;;) {
      const ended = await this.connect().catch((err) => err);
      if (ended instanceof Error && process.env.VERBOSE) console.error(`shard of ${this.ids[0]}: ${ended.message}`);
      await pause(200 + Math.random() * 800);
    }
  }

  // connect returns when the connection has ended.
  async connect() {
    const connection = rhea.create_container().connect({
      host, port: Number(port), transport: 'tls', servername: 'localhost', ca: fs.readFileSync(ready.ca), reconnect: false, hostname: ready.iothub,
    });
    connection.setMaxListeners(0);
    const over = new Promise((resolve) => ['connection_close', 'disconnected'].forEach((e) => connection.once(e, resolve)));
    connection.on('connection_error', () => {});
    connection.on('session_error', () => {});
    await Promise.race([new Promise((resolve) => connection.once('connection_open', resolve)), over]);
    this.connection = connection;
    const put = await this.tokens();
    for (let missing = this.ids; missing.length > 0 && connection.is_open();) {
      const refused = [];
      for (const id of missing) {
        await put(await tokenOf(id));
        await this.enter(id).catch((err) => (err.condition === 'amqp:not-allowed' ? refused.push(id) : Promise.reject(err)));
      }
      if (refused.length > 0) await Promise.race([pause(1000), over]);
      missing = refused;
    }
    return over;
  }

  async tokens() {
    const answers = await opened(this.connection.open_receiver({ source: { address: '$cbs' }, name: 'cbs-answers' }), 'receiver');
    const ask = await opened(this.connection.open_sender({ target: { address: '$cbs' }, name: 'cbs' }), 'sender');
    const waiting = new Map();
    answers.on('message', ({ message }) => waiting.get(message.correlation_id)(message.application_properties['status-code']));
    return (token) => new Promise((resolve, reject) => {
      const id = crypto.randomUUID();
      waiting.set(id, (status) => (status === 200 ? resolve() : reject(new Error(`put-token: ${status}`))));
      ask.send({
        message_id: id, body: token,
        application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: 'device' },
      });
    });
  }

  // link opens one of a device's links; the names are its own on the session.
  link(id, what, node, direction, extra) {
    const properties = { 'com.microsoft:channel-correlation-id': `${what}:${id}`, 'com.microsoft:api-version': '2020-09-30' };
    const address = `/devices/${id}/${node}`;
    const options = { name: `${id} ${what} ${direction}`, properties, ...extra };
    return direction === 'sender'
      ? opened(this.connection.open_sender({ ...options, target: { address } }), direction)
      : opened(this.connection.open_receiver({ ...options, source: { address } }), direction);
  }

  // enter opens the telemetry link first: where that is refused there is nothing else to ask for.
  async enter(id) {
    const telemetry = await this.link(id, 'telemetry', 'messages/events', 'sender');
    await this.twin(id);
    await this.methods(id);
    const fromCloud = await this.link(id, 'cloud', 'messages/devicebound', 'receiver', { rcv_settle_mode: 1, autoaccept: false });
    fromCloud.on('message', ({ delivery }) => delivery.accept());
    const body = rhea.message.data_section(Buffer.from(JSON.stringify({ imei: id })));
    telemetry.send({ body, content_type: 'application/json', content_encoding: 'utf-8' });
  }

  async twin(id) {
    const answers = await this.link(id, 'twin', 'twin', 'receiver');
    const ask = await this.link(id, 'twin', 'twin', 'sender', { snd_settle_mode: 1 });
    const request = (operation, annotations, body) => ask.send({
      correlation_id: `${operation}${crypto.randomUUID()}`, message_annotations: { operation, ...annotations },
      body: rhea.message.data_section(Buffer.from(body)),
    });
    const report = (desired) => {
      const values = Object.entries(desired).filter(([name]) => !name.startsWith('$'));
      if (values.length > 0) request('PATCH', { resource: '/properties/reported' }, JSON.stringify(Object.fromEntries(values)));
    };
    answers.on('message', ({ message }) => {
      if (!message.correlation_id) report(JSON.parse(bodyOf(message)));
      else if (String(message.correlation_id).startsWith('GET')) report(JSON.parse(bodyOf(message)).desired);
    });
    request('GET', {}, '');
  }

  async methods(id) {
    const calls = await this.link(id, 'methods', 'methods/devicebound', 'receiver');
    const answers = await this.link(id, 'methods', 'methods/devicebound', 'sender', { snd_settle_mode: 1 });
    calls.on('message', ({ message }) => {
      const known = message.application_properties['IoThub-methodname'] === 'getver';
      answers.send({
        correlation_id: message.correlation_id,
        application_properties: { 'IoThub-status': rhea.types.wrap_int(known ? 200 : 422) },
        body: rhea.message.data_section(Buffer.from(JSON.stringify(known ? answer(id) : { error: 'unknown' }))),
      });
    });
  }
}

for (let i = 0; i < names.length; i += perConnection) new Shard(names.slice(i, i + perConnection)).run();
