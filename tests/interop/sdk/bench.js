'use strict';
// What the checks share: a check with a bound on its time, the control API, the protocols. See README.md for what is in
// the environment.

const fs = require('node:fs');
const https = require('node:https');
const tls = require('node:tls');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');

const control = process.env.HUB_CONTROL;
const ca = process.env.HUB_CA && fs.readFileSync(process.env.HUB_CA, 'utf8');
const device = process.env.HUB_DEVICE;
const limit = 60000; // ms for one check
const wait = { connectTimeoutInSeconds: 30, responseTimeoutInSeconds: 15 }; // of one method, so that two have room in it

let passed = 0;
let failed = 0;

function fail(name, why) {
  failed++;
  console.log(`FAIL sdk: ${name}: ${why.split('\n').join(' ')}`);
}

// group returns a check for what goes on with one client. What ran out of time still goes on and would disturb what
// comes after it, so that the rest of its group fails with it.
function group() {
  let stuck;
  return async function check(name, body, ms = limit) {
    if (stuck) return fail(name, `not made, for time ran out in: ${stuck}`);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => {
        stuck = name;
        reject(new Error(`nothing happened for ${ms} ms`));
      }, ms);
    });
    try {
      await Promise.race([body(), late]);
      passed++;
      console.log(`ok   sdk: ${name}`);
    } catch (err) {
      fail(name, String(err.message));
    } finally {
      clearTimeout(timer);
    }
    return undefined;
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function http(method, path, body) {
  const response = await fetch(control + path, {
    method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'content-type': 'application/json' },
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer}`);
  return answer ? JSON.parse(answer) : undefined;
}

// stored waits for a message with the property in the cloud.
async function stored(run) {
  for (;;) {
    const found = (await http('GET', '/messages?limit=100000')).find((m) => m.properties.run === run);
    if (found) return found;
    await pause(50);
  }
}

// state waits until the hub's view of a client is as wanted.
async function state(identity, wanted) {
  for (;;) {
    const { clients } = await http('GET', '/stats');
    if (wanted(clients.find((c) => c.identity === identity))) return;
    await pause(50);
  }
}

// tokens is how many the identity has put.
const tokens = async (identity) => (await http('GET', '/stats')).identities[identity]?.tokens ?? 0;

// The SDK goes to port 443 for WebSocket. Its own option for proxies leads it to the port that is free.
function webSocketAgent() {
  const agent = new https.Agent({ ca });
  agent.createConnection = (options) => tls.connect({ ...options, ca, host: 'localhost', servername: 'localhost', port: Number(process.env.HUB_WEB_PORT) });
  return agent;
}

// once waits for one call of a listener.
function once(register) {
  return new Promise((resolve) => register((...values) => resolve(values)));
}

const protocols = [
  { name: 'MQTT', transport: Mqtt, gateway: `localhost:${process.env.HUB_MQTT_PORT}`, extra: () => ({}) },
  { name: 'MQTT-WS', transport: MqttWs, gateway: 'localhost', extra: () => ({ mqtt: { webSocketAgent: webSocketAgent() } }) },
  { name: 'AMQP', transport: Amqp, gateway: `localhost:${process.env.HUB_AMQP_PORT}`, extra: () => ({}) },
  { name: 'AMQP-WS', transport: AmqpWs, gateway: 'localhost', extra: () => ({ amqp: { webSocketAgent: webSocketAgent() } }) },
];

module.exports = {
  group, http, stored, state, tokens, once, pause, wait, webSocketAgent, protocols, ca, device, control, counts: () => ({ passed, failed }),
};
