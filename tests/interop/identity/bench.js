// What the checks share: their names and counts, how they wait, and the simulator's side.
'use strict';

const assert = require('assert');
const fs = require('fs');

const player = process.env.DEVICES;
const ready = JSON.parse(fs.readFileSync(process.env.READY));
const limit = 40000; // milliseconds for one check
const atOnce = 20; // requests that are under way together

let failed = 0;

async function check(name, body) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the check took over ${limit} ms`)), limit);
  });
  try {
    await Promise.race([body(), late]);
    console.log(`ok   ${player}: ${name}`);
  } catch (err) {
    failed++;
    console.log(`FAIL ${player}: ${name}: ${err.name} ${err.message}`.replace(/\n/g, ' '));
  } finally {
    clearTimeout(timer);
  }
}

async function control(method, path) {
  const response = await fetch(ready.control + path, { method });
  assert(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

// until asks again and again; the check's limit ends it.
async function until(what, holds) {
  for (const end = Date.now() + limit; !(await holds());) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
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

module.exports = { player, check, control, until, each, ready, failures: () => failed };
