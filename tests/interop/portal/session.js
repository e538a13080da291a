'use strict';
// A newcomer's first session with the portal page. See README.md.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { check, launch, visit, faint, nameless, measure, failures } = require('./browser.js');

const ready = JSON.parse(fs.readFileSync(process.env.READY, 'utf8'));
const { LINES_PORT: linesPort, RAW_PORT: rawPort } = process.env;
const hostile = '<img src=x onerror=hit()>';

async function api(method, path, body) {
  const answer = await fetch(ready.control + path, { method, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

// fleet sends lines until it is stopped.
function fleet(lines, rate, ...more) {
  const child = spawn(process.env.FLEET, ['-trackers', '0', '-udp-trackers', '0', '-meters', '0', '-lines', String(lines),
    '-lines-addr', `127.0.0.1:${linesPort}`, '-rate', String(rate), '-settle', '1s', ...more], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  return { stop: async () => { child.kill('SIGTERM'); await ended; } };
}

// write sends one line, as a device would, and does not wait for what the gateway thinks of it.
async function write(port, line) {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.end(line);
  await once(socket, 'finish');
}

async function until(what, probe) {
  for (const end = Date.now() + 45000; Date.now() < end;) {
    if (await probe()) return;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  throw new Error(`not within 45 s: ${what}`);
}

// seen is how many messages the page says to have had, shown or not, and the newest that it shows.
const seen = (page) => page.evaluate(() => {
  const number = (of) => Number((document.querySelector('#counts').textContent.match(of)?.[1] ?? '0').replaceAll(/\D/g, ''));
  return {
    total: number(/([\d,]+) shown/) + number(/([\d,]+) not shown/),
    newest: Math.max(0, ...[...document.querySelectorAll('.row:not([hidden])')].map((row) => Number(row.dataset.sequence))),
  };
});
const count = (page) => page.locator('.row:visible').count();
const rowText = (page) => page.locator('.row:visible').allTextContents();

async function view(page, name) {
  await page.getByRole('navigation').getByRole('link', { name }).click();
  await page.getByRole('heading', { level: 2 }).filter({ visible: true }).waitFor();
}

// session is what a newcomer does, in that order. Each size has a session of its own.
async function session(browser, size, scheme) {
  const title = (text) => `${size}, ${scheme}: ${text}`;
  const { page, shot, complaints, close } = await visit(browser, ready.portal, size, scheme);
  const field = (id) => page.locator(`#${id}`);
  const step = (name, body) => check(title(name), async () => {
    try { return await body(); } catch (err) { await shot(`failed-${name.replaceAll(/\W+/g, '-')}`); throw err; }
  });

  await step('the page opens, and says who is there', async () => {
    await page.getByText('hub up').waitFor();
    await page.getByText('cloud connected').waitFor();
    await view(page, 'Devices');
    await page.getByRole('row', { name: /causeway\s*connected/ }).waitFor();
    await page.getByRole('row', { name: /thermometer leaf device\s*disconnected/ }).waitFor();
    await shot('devices');
  });

  await step('messages come by themselves', async () => {
    await view(page, 'Messages');
    await until('rows', async () => (await count(page)) > 3);
    const before = await page.locator('#counts').textContent();
    await until('the count moves', async () => (await page.locator('#counts').textContent()) !== before);
    await shot('messages');
  });

  await step('a filter by output and text leaves what was meant', async () => {
    await field('f-text').fill('LINE-2');
    await until('only that device', async () => {
      const rows = await rowText(page);
      return rows.length > 0 && rows.every((t) => t.includes('line-2'));
    });
    await field('f-output').fill('no such output');
    await page.getByText('No message matches.').waitFor();
    await field('f-output').fill('telemetry');
    await until('rows again', async () => (await count(page)) > 0);
    await field('f-identity').selectOption({ label: 'thermometer' });
    await page.getByText('No message matches.').waitFor();
    await field('f-identity').selectOption({ label: 'all' });
    await field('f-text').fill('');
    await until('the others again', async () => (await rowText(page)).some((t) => t.includes('line-1')));
  });

  await step('a message opens with its properties and its body as JSON, text and bytes', async () => {
    await until('rows', async () => (await count(page)) > 3);
    await page.locator('.row:visible').nth(1).click();
    const detail = page.getByRole('complementary');
    await detail.getByText('System properties').waitFor();
    await detail.getByText('contentType').waitFor();
    assert.match(await page.locator('#d-body').textContent(), /^\{\n {2}"/);
    await shot('message');
    await detail.getByLabel('Hex').check();
    assert.match(await page.locator('#d-body').textContent(), /^000000 {2}7b 22/);
    await detail.getByLabel('Text').check();
    assert.match(await page.locator('#d-body').textContent(), /^\{"/);
    await page.keyboard.press('Escape');
    await detail.waitFor({ state: 'hidden' });
    assert.equal(await page.evaluate(() => document.activeElement.id), 'list');
  });

  await step('the keyboard alone chooses and opens a message', async () => {
    await page.locator('#list').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    const active = await page.locator('#list').getAttribute('aria-activedescendant');
    await page.keyboard.press('Enter');
    await page.getByRole('complementary').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'detail');
    assert.equal(`m${(await page.locator('#d-title').textContent()).replaceAll(/\D/g, '')}`, active);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Back to the newest' }).click();
  });

  await step('a pause holds the list, and says what it missed', async () => {
    await page.getByRole('button', { name: 'Pause' }).click();
    const held = page.getByText(/paused, [1-9]\d* newer/);
    await held.waitFor();
    const first = (await rowText(page))[0];
    const said = await held.textContent();
    await until('more is missed', async () => (await held.textContent()) !== said);
    assert.equal((await rowText(page))[0], first);
    await page.getByRole('button', { name: 'Resume' }).click();
    await until('newer rows', async () => (await rowText(page))[0] !== first);
  });

  await step('markup in a message is shown, not obeyed', async () => {
    await write(rawPort, `${hostile}\n`);
    await field('f-output').fill('');
    await field('f-text').fill('onerror');
    await until('the row', async () => (await rowText(page))[0]?.includes(hostile));
    await page.locator('.row:visible').first().click();
    await page.getByRole('complementary').waitFor();
    assert.equal(await page.locator('#d-body').textContent(), hostile);
    await shot('markup');
    await page.keyboard.press('Escape');
    await field('f-text').fill('');
    await until('the others again', async () => (await rowText(page)).some((t) => t.includes('line-1')));
    assert.equal(await page.locator('img').count(), 0);
    assert.deepEqual(complaints, []);
  });

  await step('a desired value is changed, and the report follows', async () => {
    await view(page, 'Twin');
    await field('t-identity').selectOption({ label: 'causeway' });
    const text = field('t-text');
    await until('the twin', async () => (await text.inputValue()).includes('"listeners"'));
    const version = Number(/version (\d+)/.exec(await page.locator('#t-version').textContent())[1]);
    const desired = JSON.parse(await text.inputValue());
    desired.log.level = desired.log.level === 'info' ? 'debug' : 'info';
    await text.fill(JSON.stringify(desired, null, 2));
    await page.getByText('valid, not applied yet').waitFor();
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.getByText(`applied: version ${version + 1}`, { exact: true }).waitFor();
    const { properties } = await api('GET', `/twins/${ready.device}/modules/causeway`);
    assert.equal(properties.desired.log.level, desired.log.level);
    await until('the report', async () => (await page.locator('#t-reported').textContent()).includes(`"lastDesiredVersion": ${version + 1}`));
    await shot('twin');
  });

  await step('what the edge hub would refuse is refused while one types', async () => {
    const text = field('t-text');
    const old = await text.inputValue();
    const deep = '{"a":'.repeat(10) + '{"b":1}' + '}'.repeat(10);
    for (const [typed, reason] of [['{"a": 1,\n "b": }', /line 2/], ['[]', /must be a JSON object/], ['{"$a":1}', /holds "\$"/], ['{"a.b":1}', /holds "\."/],
      [`{"a":"${'x'.repeat(4097)}"}`, /4,097 bytes long, at most 4,096/], [deep, /nested 11 levels/], ['{"a":[null]}', /null inside an array/],
      [JSON.stringify({ a: Array(9).fill('x'.repeat(4000)) }), /at most 32,768/], ['{"a":4503599627370496}', /outside/]]) {
      await text.fill(typed);
      await until(`${reason}`, async () => reason.test(await page.locator('#t-verdict').textContent()));
      assert.ok(await page.getByRole('button', { name: 'Apply' }).isDisabled());
      const answer = await fetch(`${ready.control}/twins/${ready.device}`, { method: 'PATCH', body: `{"properties":{"desired":${typed}}}` });
      assert.equal(answer.status, 400, `the simulator on ${typed.slice(0, 40)}`); // the page and the hub have the same rules
    }
    await shot('twin-refused');
    await text.fill(old);
    await until('it is good again', async () => page.getByRole('button', { name: 'Apply' }).isEnabled());
  });

  await step('a direct method answers, and stays in the history', async () => {
    await view(page, 'Methods');
    await field('m-identity').selectOption({ label: 'causeway' });
    assert.ok((await page.locator('#m-names option').evaluateAll((list) => list.map((o) => o.value))).includes('getStatus'));
    await field('m-name').fill('listDevices');
    assert.match(await field('m-payload').inputValue(), /"limit": 100/);
    await page.getByRole('button', { name: 'Call' }).click();
    await page.locator('#m-history .status').filter({ hasText: /^200$/ }).waitFor();
    await field('m-name').fill('nonsense');
    await field('m-payload').fill('{"a":1}');
    await page.keyboard.press('Control+Enter');
    await page.locator('#m-history .status').filter({ hasText: /^400$/ }).waitFor();
    await field('m-identity').selectOption({ label: 'thermometer' });
    await field('m-name').fill('ping');
    await page.getByRole('button', { name: 'Call' }).click();
    await page.getByText(/404103/).first().waitFor();
    assert.equal(await page.locator('#m-history > li').count(), 3);
    await shot('methods');
    await page.getByRole('button', { name: 'Again' }).last().click();
    assert.equal(await field('m-name').inputValue(), 'listDevices');
  });

  await step('a message goes to a leaf device, and to an input', async () => {
    await view(page, 'Send');
    await field('s-input').fill('commands');
    await field('s-body').fill('{"deviceId":"nobody","command":"x"}');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(/^queued at/).waitFor();
    await page.getByLabel('Cloud to device').check();
    await field('s-properties').fill('colour');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('must be name=value').waitFor();
    await field('s-properties').fill('colour=red');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText(/^queued at/).waitFor();
    await shot('send');
  });

  await step('routes count', async () => {
    await view(page, 'Routes');
    const taken = async () => Number((await page.getByRole('row', { name: /^telemetry/ }).getByRole('cell').last().textContent()).replaceAll(/\D/g, ''));
    await until('some', async () => (await taken()) > 0);
    const before = await taken();
    await until('more', async () => (await taken()) > before);
    await shot('routes');
  });

  await step('a fault is injected and taken back', async () => {
    await view(page, 'Faults');
    const refuse = page.getByRole('switch', { name: 'Refuse', exact: true });
    await refuse.click();
    await page.getByText('1 fault in force').waitFor();
    await until('the switch is on', async () => (await refuse.getAttribute('aria-checked')) === 'true');
    assert.equal((await api('GET', '/faults'))[0].refuse.condition, 'amqp:internal-error');
    await until('it happens', async () => (await api('GET', '/stats')).faults > 0);
    await shot('faults');
    await page.getByRole('button', { name: 'Take back', exact: true }).click();
    await page.locator('#pill-faults').waitFor({ state: 'hidden' });
    assert.deepEqual(await api('GET', '/faults'), []);
    const cloud = page.getByRole('switch', { name: 'Cloud cut off' });
    await cloud.click();
    await page.getByText(/cloud cut, /).waitFor();
    await cloud.click();
    await page.getByText('cloud connected').waitFor();
    await until('the gateway is there', async () => (await api('GET', '/stats')).clients.some((c) => c.identity === `${ready.device}/causeway` && c.connected));
    await field('x-identity').selectOption({ label: 'causeway' });
    const { connects } = await api('GET', '/stats');
    await page.getByRole('button', { name: 'Close connections as the hub does' }).click();
    await page.getByText('Connections that were closed: 1').waitFor();
    await until('the gateway comes back', async () => (await api('GET', '/stats')).connects > connects);
    await field('x-identity').selectOption({ label: 'all' });
    const hub = page.getByRole('switch', { name: 'Hub down' });
    await hub.focus();
    await page.keyboard.press('Space');
    await page.getByText('hub down', { exact: true }).waitFor();
    await page.keyboard.press('Space');
    await page.getByText('hub up', { exact: true }).waitFor();
  });

  await step('nothing was complained about, and nothing came from elsewhere', async () => assert.deepEqual(complaints, []));
  await close();
}

// look goes through all views: contrast, names of the controls, no sideways scrolling, and a picture of each.
async function look(browser, size, scheme) {
  const { page, shot, close } = await visit(browser, ready.portal, size, scheme);
  await check(`${size}, ${scheme}: every view can be read, named and held`, async () => {
    await until('rows', async () => (await count(page)) > 3);
    const faults = [];
    for (const name of ['Messages', 'Devices', 'Twin', 'Methods', 'Send', 'Routes', 'Faults']) {
      await view(page, name);
      await page.waitForLoadState('networkidle', { timeout: 700 }).catch(() => {}); // the feed never ends
      for (const f of await page.evaluate(faint)) faults.push(`${name}: ${f}`);
      for (const f of await page.evaluate(nameless)) faults.push(`${name}: no name: ${f}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) faults.push(`${name}: ${wide} pixels wider than the window`);
      await shot(`view-${name.toLowerCase()}`);
    }
    assert.deepEqual(faults, []);
  });
  await close();
}

// resist tries what a hostile message would try, if it ever got so far, and shows that the checks above can fail.
async function resist(browser) {
  const { page, complaints, close } = await visit(browser, ready.portal, 'desk', 'light');
  await check('the policy refuses markup, scripts and requests to elsewhere', async () => {
    await page.getByText('hub up').waitFor();
    const done = await page.evaluate(async () => {
      const worked = [];
      const attempt = async (name, act) => { try { await act(); worked.push(name); } catch { /* refused */ } };
      await attempt('markup', () => document.body.insertAdjacentHTML('beforeend', '<i>x</i>'));
      await attempt('a script', () => {
        const script = document.createElement('script');
        script.textContent = 'globalThis.hit = true';
        document.body.append(script);
        if (!globalThis.hit) throw new Error('did not run');
      });
      await attempt('a handler', () => {
        const node = document.createElement('b');
        node.setAttribute('onclick', 'globalThis.hit = true');
        document.body.append(node);
        node.click();
        if (!globalThis.hit) throw new Error('did not run');
      });
      await attempt('a request', () => fetch('http://127.0.0.1:9/'));
      await attempt('an image', () => new Promise((resolve, reject) => {
        Object.assign(new Image(), { onload: resolve, onerror: reject }).src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
      }));
      return worked;
    });
    assert.deepEqual(done, []);
    assert.ok(complaints.length > 0, 'refusals are not noticed');
  });
  await check('the checks of contrast and names can fail', async () => {
    await page.evaluate(() => {
      const p = document.createElement('p');
      p.textContent = 'hardly to be seen';
      p.style.color = '#bbb';
      document.querySelector('#messages').append(p, document.createElement('input'));
    });
    assert.match(String(await page.evaluate(faint)), /hardly to be seen/);
    assert.equal((await page.evaluate(nameless)).length, 1);
  });
  await close();
}

// walk goes through a view by the Tab key alone.
async function walk(browser) {
  const { page, close } = await visit(browser, ready.portal, 'desk', 'light');
  await check('the Tab key reaches everything, and one sees where one is', async () => {
    await page.getByText('hub up').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    assert.ok(await page.locator('#messages').isVisible());
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'f-identity');
    await page.goto(`${ready.portal}#faults`); // from here the browser goes on in that view
    await page.locator('#faults').waitFor(); // what is not yet there takes no focus
    await page.keyboard.press('Tab');
    const seen = [];
    for (let i = 0; i < 30; i++) {
      const at = await page.evaluate(() => {
        const n = document.activeElement;
        return n === document.body ? null : { name: n.id || n.textContent, outline: getComputedStyle(n).outlineStyle };
      });
      if (!at) break;
      assert.notEqual(at.outline, 'none', at.name);
      seen.push(at.name);
      await page.keyboard.press('Tab');
    }
    for (const name of ['sw-cloud', 'sw-hub', 'abrupt', 'x-identity', 'x-count', 'x-delay', 'x-condition', 'x-holding', 'Delay', 'Withhold', 'Refuse', 'Drop', 'Expire tokens']) {
      assert.ok(seen.includes(name), `${name} is not among ${seen}`);
    }
    assert.ok(seen.indexOf('sw-cloud') < seen.indexOf('x-identity') && seen.indexOf('x-identity') < seen.indexOf('Refuse'), `${seen}`);
  });
  await close();
}

// flooded is ten seconds of a flood, in which somebody uses the page: what it looked like, and what of it was not good. A
// page with nothing on it tells whether the machine lets pages run at all.
async function flooded(page, empty) {
  await page.evaluate(measure);
  await empty.evaluate(measure);
  const begun = (await api('GET', '/portal/overview')).stats.upstream;
  const had = await seen(page);
  const start = Date.now();
  await page.locator('#list').focus();
  for (let i = 0; Date.now() - start < 10000; i++) {
    await page.keyboard.press(['ArrowDown', 'PageDown', 'ArrowUp', 'End', 'Home'][i % 5]);
    await page.mouse.move(600, 400 + (i % 7) * 20);
    await page.mouse.wheel(0, i % 2 ? 300 : -300);
    if (i % 10 === 9) await page.getByRole('button', { name: 'Back to the newest' }).click();
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  const seconds = (Date.now() - start) / 1000;
  await page.locator('#list').evaluate((list) => { list.scrollTop = 0; });
  await page.keyboard.press('Escape'); // and nothing is chosen
  const has = await seen(page);
  const { stats: now } = await api('GET', '/portal/overview');
  const rate = (now.upstream - begun) / seconds;
  const kept = (has.total - had.total) / (now.upstream - begun);
  const m = await page.evaluate(() => globalThis.measured);
  const idle = await empty.evaluate(() => globalThis.measured.gap);
  const elements = await page.locator('.row').count();
  const note = `${rate.toFixed(0)} a second, longest task ${m.tasks ? `${m.task.toFixed(0)} ms` : 'below 50 ms'}, ` +
    `slowest input ${m.input.toFixed(0)} ms of ${m.inputs}, longest gap ${m.gap.toFixed(0)} ms (${idle.toFixed(0)} ms on an empty page), ` +
    `${(m.frames / seconds).toFixed(0)} frames a second, longest time without one ${m.frame.toFixed(0)} ms, ` +
    `${(kept * 100).toFixed(0)} % of the messages counted, the newest shown is ${now.sequence - has.newest} behind, ${elements} rows on the page`;
  const busy = idle > 250;
  const good = {
    'the rate': rate > 900,
    // A tenth of a second is felt; five are a page that freezes. The bound leaves room for a machine that does other things.
    'the longest task': busy || m.task < 500,
    'the slowest input': busy || m.input < 500,
    'the longest gap': busy || m.gap < 1000,
    'the longest time without a frame': busy || m.frame < 1000,
    'the rows on the page': elements < 100,
    // Live is what came a moment ago: two seconds of it may be on their way.
    'the messages counted': busy || kept > 0.8,
    'the newest shown': busy || now.sequence - has.newest < 2 * rate,
  };
  return { note, busy, faults: Object.keys(good).filter((what) => !good[what]) };
}

async function flood(browser) {
  const { page, shot, close } = await visit(browser, ready.portal, 'desk', 'light');
  const empty = await visit(browser, 'about:blank', 'desk', 'light');
  const many = fleet(50, 20, '-offset', '1000');
  await check('1,000 messages a second for 10 s leave the page live and responsive', async () => {
    const { stats: before } = await api('GET', '/portal/overview');
    await until('the flood', async () => (await api('GET', '/portal/overview')).stats.upstream > before.upstream + 1500);
    // What else the machine does is not the page's fault: the best of three windows counts.
    const windows = [];
    const rank = ({ busy, faults }) => (busy ? 100 : 0) + faults.length;
    for (let i = 0; i < 3 && (i === 0 || rank(windows[0]) > 0); i++) {
      windows.push(await flooded(page, empty.page));
      windows.sort((a, b) => rank(a) - rank(b));
    }
    const [best] = windows;
    await shot('flood');
    assert.ok(best.faults.length === 0, `${best.faults.join(', ')}: ${best.note}`);
    assert.match(await page.locator('#counts').textContent(), /[\d,]+ not shown/);
    // The measure itself: a task that blocks the page has to be seen.
    await page.evaluate(measure);
    await page.evaluate(() => new Promise((resolve) => {
      setTimeout(() => { for (const end = performance.now() + 300; performance.now() < end;); setTimeout(resolve, 100); });
    }));
    const proof = () => page.evaluate(() => globalThis.measured);
    await until('a task of 300 ms is measured', async () => {
      const { task, gap, frame } = await proof();
      return task >= 250 && gap >= 200 && frame >= 200;
    });
    return best.busy ? `too busy a machine to judge that: ${best.note}` : best.note;
  }, 150000);
  await many.stop();
  await empty.close();
  await close();
}

async function main() {
  const browser = await launch();
  const few = fleet(3, 3, '-lines-ack', 'OK');
  try {
    await session(browser, 'desk', 'light');
    await session(browser, 'phone', 'dark');
    for (const [size, scheme] of [['desk', 'light'], ['desk', 'dark'], ['phone', 'light'], ['phone', 'dark']]) await look(browser, size, scheme);
    await walk(browser);
    await resist(browser);
    await few.stop();
    await flood(browser);
  } finally {
    await few.stop();
    await browser.close();
  }
  process.exitCode = failures() ? 1 : 0;
}

main().catch((err) => {
  console.log(`FAIL portal: the session: ${err.message}`);
  process.exitCode = 1;
});
