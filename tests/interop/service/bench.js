// What the checks share: their names and counts, and the simulator's side.
'use strict';

const assert = require('assert');
const fs = require('fs');

const ready = JSON.parse(fs.readFileSync(process.env.READY));
const limit = 60000; // milliseconds for one check

let failed = 0;
// stuck is the check of the present group that ran out of time. It still goes on and would disturb what comes after it,
// so that the rest of its group fails with it.
let stuck;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function fail(name, why) {
  failed++;
  console.log(`FAIL ${name}: ${why}`.replace(/\n/g, ' '));
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
    await Promise.race([body(), late]);
    console.log(`ok   ${name}`);
  } catch (err) {
    const at = String(err.stack).split('\n').find((line) => line.includes('checks.js')) || '';
    fail(name, `${err.name} ${err.message} ${at.trim()}`);
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

// group makes the checks of one part, with what lies between them.
async function group(part) {
  stuck = undefined;
  await within(part(), 120000, 'the checks').catch((err) => fail(part.name, String(err.stack)));
}

// until asks again and again, and returns what holds; the check's limit ends it.
async function until(what, ask, holds) {
  for (const end = Date.now() + limit; ;) {
    const got = await ask();
    if (holds(got)) return got;
    if (Date.now() > end) throw new Error(`never: ${what}, but ${JSON.stringify(got)}`);
    await pause(50);
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

// inbox gathers an emitter's events; the function it returns waits for the next one, until the check's limit.
function inbox(emitter, event) {
  const waiting = [];
  const events = [];
  emitter.on(event, (value) => (waiting.length ? waiting.shift()(value) : events.push(value)));
  return () => (events.length ? Promise.resolve(events.shift()) : new Promise((resolve) => waiting.push(resolve)));
}

module.exports = { check, group, refused, control, inbox, until, pause, within, ready, failures: () => failed };
