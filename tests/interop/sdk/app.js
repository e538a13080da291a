'use strict';
// A module as its author writes it for the edge runtime: what comes in at an input leaves by an output.

const { Message } = require('azure-iot-common');
const { ModuleClient } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

async function main() {
  const client = await ModuleClient.fromEnvironment(Mqtt);
  client.on('inputMessage', (input, message) => {
    client.complete(message, () => client.sendOutputEvent('out', new Message(`${input}: ${message.getBytes()}`), () => {}));
  });
  await client.open();
}

main();
