'use strict';
// One module on the standard ports, with its environment as the simulator's env command prints it. The module app is a
// program that the simulator has started, app.js.

const assert = require('node:assert/strict');
const { Message } = require('azure-iot-common');
const { ModuleClient } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');
const { group, http, stored, state, pause, counts } = require('./bench.js');

const module_ = process.argv[2];
const check = group();
const transports = {
  'sdk-mqtt': ['MQTT', Mqtt], 'sdk-mqtt-ws': ['MQTT-WS', MqttWs], 'sdk-amqp': ['AMQP', Amqp], 'sdk-amqp-ws': ['AMQP-WS', AmqpWs],
};

async function client([name, transport]) {
  await check(`${name}: on its standard port, with nothing but the environment`, async () => {
    const module = await ModuleClient.fromEnvironment(transport);
    module.on('error', () => {});
    await module.open();
    const message = new Message('x');
    message.properties.add('run', module_);
    await module.sendOutputEvent('out', message);
    assert.equal((await stored(module_)).output, 'out');
    assert.ok((await module.getTwin()).properties.desired.$version >= 1);
  });
  await check(`${name}: a method from module to module, on the port of WebSocket`, async () => {
    const module = await ModuleClient.fromEnvironment(transport);
    module.on('error', () => {});
    await module.open();
    module.onMethod('ping', (request, response) => response.send(201, { got: request.payload }));
    await state(`edge/${module_}`, (c) => c && c.methods);
    const { status, payload } = await module.invokeMethod('edge', module_, { methodName: 'ping', payload: [1], responseTimeoutInSeconds: 10 });
    assert.deepEqual([status, payload], [201, { got: [1] }]);
  });
}

async function program() {
  await check('a program in another language is a module that the simulator starts', async () => {
    await state(`edge/${module_}`, (c) => c && c.inputs);
    const answer = await fetch(`${process.env.HUB_CONTROL}/inputs/${module_}/commands`, { method: 'POST', body: 'go' });
    assert.ok(answer.ok);
    let message;
    while (!message) {
      message = (await http('GET', '/messages?limit=100000')).find((m) => m.module === module_);
      if (!message) await pause(50);
    }
    assert.deepEqual([message.output, Buffer.from(message.bodyBase64, 'base64').toString()], ['out', 'commands: go']);
  });
}

(async () => {
  await (module_ in transports ? client(transports[module_]) : program());
  process.exit(counts().failed ? 1 : 0);
})();
