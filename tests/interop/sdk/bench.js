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
const limit = 20000; // ms for one check

let passed = 0;
let failed = 0;

async function check(name, body) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened for ${limit} ms`)), limit);
  });
  try {
    await Promise.race([body(), late]);
    passed++;
    console.log(`ok   sdk: ${name}`);
  } catch (err) {
    failed++;
    console.log(`FAIL sdk: ${name}: ${String(err.message).split('\n').join(' ')}`);
  } finally {
    clearTimeout(timer);
  }
}

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
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// state waits until the hub's view of a client is as wanted.
async function state(identity, wanted) {
  for (;;) {
    const { clients } = await http('GET', '/stats');
    if (wanted(clients.find((c) => c.identity === identity))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

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
  check, http, stored, state, once, webSocketAgent, protocols, ca, device, control, counts: () => ({ passed, failed }),
};
