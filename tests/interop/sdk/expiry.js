'use strict';
// A module whose token is over: the hub ends its connection, and the SDK has to come back with a new one by itself.

const assert = require('node:assert/strict');
const { ModuleClient } = require('azure-iot-device');
const { group, http, pause, wait, ca, device } = require('./bench.js');

async function expiry({ name, transport, gateway, extra }) {
  const module_ = `expiry-${name.toLowerCase()}`;
  const identity = `${device}/${module_}`;
  const fields = JSON.parse(process.env.HUB_CONNECTION_STRINGS)[module_];
  const seen = async () => (await http('GET', '/stats')).identities[identity];
  const call = (connectTimeoutInSeconds) => http('POST', `/twins/${device}/modules/${module_}/methods`,
    { methodName: 'measure', payload: null, ...wait, connectTimeoutInSeconds });
  await group()(`${name}: its token expires, it loses its connection, and comes back with a new token`, async () => {
    const client = ModuleClient.fromConnectionString(fields.replace(/GatewayHostName=[^;]*/, `GatewayHostName=${gateway}`), transport);
    client.on('error', () => {});
    await client.setOptions({ ca, ...extra() });
    await client.open();
    client.onMethod('measure', (request, response) => response.send(201, null));
    assert.equal((await call(30)).status, 201);
    await pause(1100); // one that is made in the same second is the same token
    const before = await seen();
    assert.deepEqual(await http('POST', `/tokens/expire?identity=${identity}`), { expired: 1 });
    // What is called while the connection ends gets no answer.
    const gone = ({ clients, identities }) => !clients.some((c) => c.identity === identity && c.connected)
      || identities[identity].connections > before.connections;
    while (!gone(await http('GET', '/stats'))) await pause(20);
    assert.equal((await call(100)).status, 201);
    const after = await seen();
    assert.deepEqual([after.connections, after.refused], [before.connections + 1, before.refused]);
    client.close().catch(() => {}); // not awaited, see sdk.js
  }, 150000); // over AMQP the SDK waits 45 s for links of the connection that was closed
}

module.exports = { expiry };
