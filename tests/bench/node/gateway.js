// The gateway that a user of Microsoft's Node SDK writes: lines over TCP become messages of a
// module, over AMQP with TLS. A connection is not read while many of its lines are on their way.
'use strict';

const fs = require('fs');
const net = require('net');
const readline = require('readline');
const { ModuleClient, Message } = require('azure-iot-device');
const { Amqp } = require('azure-iot-device-amqp');

// The lines of one connection that may wait for the hub.
const window = 100;

const client = ModuleClient.fromConnectionString(process.env.EdgeHubConnectionString, Amqp);

function serve(socket) {
  let waiting = 0;
  const lines = readline.createInterface({ input: socket, crlfDelay: Infinity });
  socket.on('error', (err) => console.error('device:', err.message));
  lines.on('line', (line) => {
    if (++waiting === window) socket.pause();
    client.sendEvent(new Message(line), (err) => {
      if (err) {
        console.error('send:', err.message);
        process.exit(1);
      }
      if (--waiting === window / 2) socket.resume();
    });
  });
}

async function main() {
  await client.setOptions({ ca: fs.readFileSync(process.env.EdgeModuleCACertificateFile, 'utf8') });
  await client.open();
  const [host, port] = process.argv[2].split(':');
  net.createServer(serve).listen(Number(port), host, 1024);
}

main().catch((err) => {
  console.error(err.message);
  process.exit(1);
});
