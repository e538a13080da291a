// What the checks share: their names and counts, and the simulator's side.
'use strict';

const assert = require('assert');
const fs = require('fs');

const ready = JSON.parse(fs.readFileSync(process.env.READY));
const limit = 30000; // milliseconds for one check

let failed = 0;

function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function check(name, body) {
  try {
    await within(body(), limit, 'the check');
    console.log(`ok   ${name}`);
  } catch (err) {
    failed++;
    const at = String(err.stack).split('\n').find((line) => line.includes('checks.js')) || '';
    console.log(`FAIL ${name}: ${err.name} ${err.message} ${at.trim()}`.replace(/\n/g, ' '));
  }
}

// refused expects the SDK to end with an error of that name.
async function refused(name, promise) {
  const err = await promise.then(() => null, (e) => e);
  assert(err, `no ${name}`);
  assert.strictEqual(err.name, name, err.message);
  return err;
}

async function control(method, path, body) {
  const response = await fetch(ready.control + path, { method, body });
  assert(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

// inbox gathers an emitter's events; the function it returns waits for the next one.
function inbox(emitter, event) {
  const waiting = [];
  const events = [];
  emitter.on(event, (value) => (waiting.length ? waiting.shift()(value) : events.push(value)));
  return () => (events.length ? Promise.resolve(events.shift())
    : within(new Promise((resolve) => waiting.push(resolve)), limit / 3, `event ${event}`));
}

module.exports = { check, refused, control, inbox, within, ready, failures: () => failed };
