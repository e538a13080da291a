'use strict';
// Checks with a bound on their time, Chromium, and what is measured inside a page.

const { chromium } = require('playwright-core');
const path = require('node:path');

const limit = 60000; // ms for one check
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

let failed = 0;

// stuck is the check of the present page that ran out of time. It still goes on and would disturb what comes after it, so
// that the rest of that page's checks fails with it. A page that is visited begins anew.
let stuck;

function fail(name, why) {
  failed++;
  console.log(`FAIL portal: ${name}: ${why.split('\n').slice(0, 4).join(' ')}`);
}

async function check(name, body, ms = limit) {
  if (stuck) return fail(name, `not made, for time ran out in: ${stuck}`);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      stuck = name;
      reject(new Error(`not done in ${ms} ms`));
    }, ms);
  });
  try {
    const note = await Promise.race([body(), late]);
    console.log(`ok   portal: ${name}${note ? `: ${note}` : ''}`);
  } catch (err) {
    fail(name, String(err.message));
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });

const sizes = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

// visit opens the page and gathers what a clean page has none of: errors, refusals of its policy, requests to elsewhere.
async function visit(browser, url, size, scheme) {
  stuck = undefined;
  const context = await browser.newContext({ viewport: sizes[size], colorScheme: scheme, hasTouch: size === 'phone', locale: 'en-GB' });
  const page = await context.newPage();
  const complaints = [];
  page.setDefaultTimeout(30000);
  page.on('pageerror', (err) => complaints.push(`error: ${err.message}`));
  page.on('console', (m) => { if (m.type() === 'error' && !/status of 4\d\d/.test(m.text())) complaints.push(m.text()); });
  page.on('request', (r) => { if (!r.url().startsWith(new URL(url).origin)) complaints.push(`request: ${r.url()}`); });
  await page.goto(url);
  const shot = (name) => page.screenshot({ path: path.join(process.env.SHOTS, `${size}-${scheme}-${name}.png`) });
  return { page, shot, complaints, close: () => context.close() };
}

// faint returns texts whose contrast with what lies behind them is below 4.5 (3 for large ones).
function faint() {
  const channels = (c) => (c.match(/[\d.]+/g) ?? []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = channels(getComputedStyle(n).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if ((!own && !('value' in node && node.value)) || !node.checkVisibility() || node.disabled || node.tagName === 'OPTION') continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(channels(style.color).slice(0, 3)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push(`${node.tagName} "${(node.textContent || node.value).trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
  }
  return found;
}

// nameless returns controls without a name that a screen reader could say.
function nameless() {
  return [...document.querySelectorAll('input, select, textarea, button, a, [role=listbox], pre[tabindex]')]
    .filter((n) => n.checkVisibility() && !(n.labels?.length || n.getAttribute('aria-label') || n.getAttribute('aria-labelledby') || n.textContent.trim()))
    .map((n) => n.outerHTML.slice(0, 80));
}

// measure notes, from now on, the longest task, the longest time from an input to its frame, and the longest time
// without a frame. Called again it begins anew.
function measure() {
  const nothing = { task: 0, tasks: 0, input: 0, inputs: 0, gap: 0, frame: 0, frames: 0 };
  if (globalThis.measured) {
    Object.assign(globalThis.measured, nothing);
    return;
  }
  const m = globalThis.measured = nothing;
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) { m.tasks++; m.task = Math.max(m.task, e.duration); }
  }).observe({ type: 'longtask' });
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) { m.inputs++; m.input = Math.max(m.input, e.processingStart - e.startTime); }
  }).observe({ type: 'event', durationThreshold: 16 });
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    m.gap = Math.max(m.gap, now - last - 20); // how much later than asked: a lower bound of what blocks the page
    last = now;
  }, 20);
  let painted = last;
  const frame = (now) => {
    m.frames++;
    m.frame = Math.max(m.frame, now - painted);
    painted = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

module.exports = { check, launch, visit, faint, nameless, measure, failures: () => failed };
