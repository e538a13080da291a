// What the checks share: their names and counts, how they wait, and the simulator's side.
'use strict';

const assert = require('assert');
const fs = require('fs');

const player = process.env.DEVICES;
const ready = JSON.parse(fs.readFileSync(process.env.READY));
const limit = 60000; // milliseconds for one check
const atOnce = 20; // requests that are under way together

let failed = 0;
// stuck is the check that ran out of time. It still goes on and would disturb what comes after it, so that the rest fails
// with it.
let stuck;

function fail(name, why) {
  failed++;
  console.log(`FAIL ${player}: ${name}: ${why}`.replace(/\n/g, ' '));
}

async function check(name, body, ms = limit) {
  if (stuck) return fail(name, `not made, for time ran out in: ${stuck}`);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      stuck = name;
      reject(new Error(`the check took over ${ms} ms`));
    }, ms);
  });
  try {
    const note = await Promise.race([body(), late]);
    console.log(`ok   ${player}: ${name}${typeof note === 'string' ? `: ${note}` : ''}`);
  } catch (err) {
    fail(name, `${err.name} ${err.message}`);
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

async function control(method, path) {
  const response = await fetch(ready.control + path, { method });
  assert(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

// until asks again and again; the check's limit ends it.
async function until(holds) {
  while (!stuck && !(await holds())) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// each calls f for all items, a few at a time, and returns what it returned in their order.
async function each(items, f) {
  const results = new Array(items.length);
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await f(items[i], i);
  }));
  return results;
}

module.exports = { player, check, control, until, each, stopped: () => Boolean(stuck), ready, failures: () => failed };
