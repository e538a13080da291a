'use strict';
// A module that knows nothing but its environment, as the runtime, or the simulator's env command, gives it.

const assert = require('node:assert/strict');
const { Message } = require('azure-iot-common');
const { ModuleClient } = require('azure-iot-device');
const { group, http, stored, state, wait, device } = require('./bench.js');

const styles = { workload: 'through the workload API', connectionstring: 'with a connection string and a file of roots' };

async function environment({ name, transport, gateway, extra }) {
  const check = group();
  const module_ = `sdk-${name.toLowerCase()}`;
  for (const [style, how] of Object.entries(styles)) {
    await check(`${name}: ModuleClient.fromEnvironment ${how}: sends, has its twin, answers a method`, async () => {
      const variables = await http('GET', `/env/${module_}?style=${style}`);
      if (variables.IOTEDGE_GATEWAYHOSTNAME) variables.IOTEDGE_GATEWAYHOSTNAME = gateway;
      if (variables.EdgeHubConnectionString) {
        variables.EdgeHubConnectionString = variables.EdgeHubConnectionString.replace(/GatewayHostName=[^;]*/, `GatewayHostName=${gateway}`);
      }
      Object.assign(process.env, variables);
      let client;
      try {
        client = await ModuleClient.fromEnvironment(transport);
        client.on('error', () => {});
        if (Object.keys(extra()).length > 0) await client.setOptions(extra());
        await client.open();
        const message = new Message('{}');
        message.properties.add('run', `${module_}-${style}`);
        await client.sendOutputEvent('out', message);
        assert.equal((await stored(`${module_}-${style}`)).module, module_);
        assert.ok((await client.getTwin()).properties.desired.$version >= 1);
        client.onMethod('measure', (request, response) => response.send(200, style));
        const result = await http('POST', `/twins/${device}/modules/${module_}/methods`, { methodName: 'measure', payload: null, ...wait });
        assert.deepEqual(result, { status: 200, payload: style });
      } finally {
        for (const variable of Object.keys(variables)) delete process.env[variable];
        client?.close().catch(() => {}); // not awaited, see sdk.js
      }
      await state(`${device}/${module_}`, (c) => !c || !c.connected);
    });
  }
}

module.exports = { environment };
