'use strict';
// The portal page. It asks the control API and shows what comes back. Whatever comes from messages, twins and answers
// is put on the page as text (textContent); the content security policy and Trusted Types refuse anything else.

const $ = (id) => document.getElementById(id);
const narrow = matchMedia('(max-width: 760px)');
const number = (n) => n.toLocaleString('en');

// el makes an element: a tag with classes after dots, its text or children, and attributes.
function el(what, content, attributes = {}) {
  const [tag, ...classes] = what.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (Array.isArray(content)) node.append(...content.filter(Boolean));
  else if (content !== undefined) node.textContent = content;
  return node;
}

function button(text, act, kind = 'button') {
  const b = el(kind, text, { type: 'button' });
  b.addEventListener('click', act);
  return b;
}

// setText spares the browser work where nothing has changed.
function setText(node, text) { if (node.textContent !== text) node.textContent = text; }

const toast = { timer: 0 };
function say(text) { // for eyes and for screen readers
  clearTimeout(toast.timer);
  $('said').textContent = text;
  toast.timer = setTimeout(() => { $('said').textContent = ''; }, 5000);
}

// ask calls the API; what it refuses is thrown with the text of any of its forms of errors.
async function ask(method, path, body, headers = {}) {
  const answer = await fetch(path, { method, body, headers });
  const text = await answer.text();
  if (answer.ok) return text === '' ? null : JSON.parse(text);
  let reason = text;
  try {
    const error = JSON.parse(text);
    reason = error.message ?? error.Message ?? text;
    const inner = JSON.parse(reason); // methods have a coded error inside the message
    reason = `${inner.errorCode}: ${inner.message}`;
  } catch { /* not nested: the text is the reason */ }
  throw Object.assign(new Error(reason), { status: answer.status });
}

const nameOf = (id) => (id.module ? `${id.device}/${id.module}` : `${id.device}/`); // as the control API reads it
const shown = (id) => (id.module ? (id.device === overview?.device ? id.module : `${id.device}/${id.module}`) : id.device);
const twinPath = (name) => {
  const [device, module] = name.split('/');
  return `/twins/${encodeURIComponent(device)}` + (module ? `/modules/${encodeURIComponent(module)}` : '');
};

// ---- What the page knows of the hub, asked every two seconds

let overview = null;

async function refresh() {
  try {
    overview = await ask('GET', 'overview');
    $('pill-page').hidden = true;
  } catch {
    $('pill-page').hidden = false;
    return;
  }
  setText($('hubname'), `${overview.device} at ${overview.iothub}`);
  pill('pill-hub', overview.listening, 'hub up', 'hub down');
  pill('pill-cloud', !overview.stats.cloudCut, 'cloud connected', `cloud cut, ${number(overview.stats.queued)} queued`);
  fillIdentities();
  const view = current();
  if (view === 'devices') showDevices();
  if (view === 'routes') showRoutes();
  if (view === 'twin') await showReported();
  if (view === 'send') fillTargets();
  if (view === 'messages') showCounts();
  await showFaults();
}

function pill(id, good, yes, no) {
  setText($(id), good ? yes : no);
  $(id).className = `pill ${good ? 'good' : 'bad'}`;
}

// options keeps a list's choice, and touches it only when it has changed.
function options(select, list, wanted = select.value) {
  const key = JSON.stringify(list);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...list.map(([value, text]) => el('option', text, { value })));
  }
  if (select.value !== wanted && list.some(([value]) => value === wanted)) select.value = wanted;
}

function fillIdentities() {
  const list = overview.identities.map((id) => [nameOf(id), shown(id)]);
  for (const select of document.querySelectorAll('select[data-identities]')) {
    const all = select.dataset.identities === 'all';
    const first = overview.identities.find((id) => id.connected && id.module) ?? overview.identities.find((id) => id.module);
    const wanted = select.value || (all || !first ? '' : nameOf(first));
    options(select, all ? [['', 'all'], ...list] : list, wanted);
  }
}

function ago(time) {
  if (!time) return 'not since the start';
  const s = Math.max(0, Math.round((Date.now() - new Date(time)) / 1000));
  if (s < 3) return 'now';
  if (s < 120) return `${s} s ago`;
  return s < 7200 ? `${Math.round(s / 60)} min ago` : `${Math.round(s / 3600)} h ago`;
}

function showDevices() {
  const clients = new Map((overview.stats.clients ?? []).map((c) => [c.identity, c]));
  setText($('unlisted'), overview.unlisted ? `${number(overview.unlisted)} more are not listed` : '');
  keepFocus($('identities'), overview.identities.map((id) => {
    const name = nameOf(id);
    const c = clients.get(id.module ? name : id.device) ?? {};
    const topics = ['desired', 'methods', 'inputs', 'c2d'].filter((t) => c[t]).map((t) => (t === 'c2d' ? 'cloud' : t)).join(', ');
    const go = (text, view, select) => Object.assign(button(text, () => {
      $(select).value = name;
      location.hash = view;
      if (view === 'messages') open();
      if (view === 'methods') suggest();
    }, 'button.link'), { title: `${text} of ${shown(id)}` });
    const own = !id.module && id.device === overview.device; // the hub itself, which is not its own client
    const kind = own ? ' edge device' : id.module ? '' : ' leaf device';
    return el('tr', [
      el('th', [shown(id), kind && el('span.muted', kind)], { scope: 'row' }),
      el('td', [own ? el('span.muted', 'this one') : el(`span.dot.${id.connected ? 'good' : 'muted'}`, id.connected ? 'connected' : id.disabled ? 'disabled' : 'disconnected')]),
      el('td.figures', own ? '–' : ago(id.lastSeen), { 'data-label': 'Last seen' }),
      el('td', topics || '–', { 'data-label': 'Listens to' }),
      el('td.num', number(c.waiting ?? 0), { 'data-label': 'Waiting' }),
      el('td.go', [go('messages', 'messages', 'f-identity'), go('twin', 'twin', 't-identity'), go('methods', 'methods', 'm-identity'), kind && !own ? bar(id) : null]),
    ]);
  }));
}

// bar keeps a device from connecting, or lets it in again.
function bar(id) {
  const [text, done] = id.disabled ? ['enable', 'may connect again'] : ['disable', 'may not connect any more'];
  const body = JSON.stringify({ device: id.device, disabled: !id.disabled });
  const b = button(text, () => act('POST', '/identities', body, `${shown(id)} ${done}`), 'button.link');
  return Object.assign(b, { title: `${text} ${shown(id)}` });
}

// keepFocus replaces rows and leaves the keyboard where it was.
function keepFocus(parent, nodes) {
  const focusable = [...parent.querySelectorAll('button')];
  const at = focusable.indexOf(document.activeElement);
  parent.replaceChildren(...nodes);
  if (at >= 0) parent.querySelectorAll('button')[at]?.focus();
}

function showRoutes() {
  $('r-rows').replaceChildren(...overview.routes.map((r) => el('tr', [
    el('th', r.name, { scope: 'row' }), el('td', [el('code', r.route)]),
    el('td.num', r.priority > 9 ? 'default' : String(r.priority), { 'data-label': 'Priority' }),
    el('td.num', number(r.taken), { 'data-label': 'Taken' }),
  ])));
  const s = overview.stats;
  const totals = {
    'Accepted from clients': s.accepted, 'Refused transfers': s.refused, 'In the cloud': s.upstream, 'Without a route': s.noRoute,
    'Waiting for the cloud': s.queued, Expired: s.expired, 'To inputs': s.inputs.accepted, 'To inputs again': s.inputs.retried,
    Connects: s.connects, 'Method calls': s.methods, 'Faults that happened': s.faults,
  };
  $('r-totals').replaceChildren(...Object.entries(totals).map(([k, v]) => el('div', [el('dt', k), el('dd', number(v))])));
}

// ---- Live messages: a bounded list, of which only the rows in view are elements

const maxKept = 2000; // rows that can be scrolled back to
const feed = { source: null, rows: [], matched: 0, passed: 0, last: 0, rates: [], filtered: false, chosen: 0, pressed: 0, outputs: new Set(), pool: [] };

function open(since) {
  feed.source?.close();
  if (since === undefined) Object.assign(feed, { rows: [], matched: 0, passed: 0, chosen: 0, last: 0, rates: [] });
  const q = new URLSearchParams();
  for (const name of ['identity', 'output', 'text']) if ($(`f-${name}`).value) q.set(name, $(`f-${name}`).value);
  if (since !== undefined) q.set('since', since);
  feed.filtered = ['identity', 'output', 'text'].some((name) => q.has(name));
  setText($('empty'), feed.filtered ? 'No message matches.' : 'No message yet. Messages appear here when they reach the cloud.');
  paint();
  if ($('pause').getAttribute('aria-pressed') === 'true') setPaused(false);
  feed.source = new EventSource(`feed?${q}`);
  const source = feed.source;
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => { // the browser tries again by itself, unless it was refused
    if (source.readyState !== EventSource.CLOSED || source !== feed.source) return;
    say('The simulator refuses the live view, as too many pages watch. It is tried again.');
    setTimeout(() => { if (source === feed.source) open(feed.last); }, 5000);
  };
}

function take(e) {
  if (e.sequence < feed.last) Object.assign(feed, { rows: [], matched: 0, passed: 0, rates: [] }); // the simulator began anew
  feed.last = e.sequence;
  feed.matched += e.matched;
  feed.passed += e.passed;
  feed.rates = [...feed.rates.filter((r) => r.at > performance.now() - 3000), { at: performance.now(), sequence: e.sequence }];
  if (e.rows.length) {
    for (const row of e.rows) if (row.output && !feed.outputs.has(row.output) && feed.outputs.size < 100) addOutput(row.output);
    feed.rows = [...e.rows.reverse(), ...feed.rows].slice(0, maxKept);
    // Who has scrolled away or chosen a message keeps what is in view.
    if ($('list').scrollTop > 0 || feed.chosen) $('list').scrollTop += e.rows.length * rowHeight();
  }
  if (current() === 'messages' && !document.hidden) paint();
}

function addOutput(name) {
  feed.outputs.add(name);
  $('outputs').append(el('option', undefined, { value: name }));
}

let height = 0;
const rowHeight = () => (height ||= parseInt(getComputedStyle(document.documentElement).getPropertyValue('--row'), 10));

function paint() {
  const list = $('list');
  const space = `${feed.rows.length * rowHeight()}px`;
  if ($('space').style.height !== space) $('space').style.height = space;
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight()) - 2);
  const visible = Math.ceil(list.clientHeight / rowHeight()) + 5;
  while (feed.pool.length < visible) {
    const spans = ['time', 'from', 'body', 'props', 'size'].map((name) => el(`span.${name}`));
    const row = el('div.row', spans, { role: 'option' });
    feed.pool.push({ row, spans });
    $('space').append(row);
  }
  feed.pool.forEach((slot, i) => fill(slot, feed.rows[first + i], first + i));
  const active = feed.pool.find((slot) => !slot.row.hidden && slot.sequence === feed.chosen);
  if (active) list.setAttribute('aria-activedescendant', active.row.id);
  else list.removeAttribute('aria-activedescendant');
  $('empty').hidden = feed.rows.length > 0;
  $('newest').hidden = list.scrollTop === 0 && !feed.chosen;
  showCounts();
}

function fill(slot, m, index) {
  slot.row.hidden = !m;
  if (!m) return;
  slot.row.style.transform = `translateY(${index * rowHeight()}px)`;
  slot.row.setAttribute('aria-selected', String(m.sequence === feed.chosen));
  slot.row.setAttribute('aria-setsize', String(feed.rows.length));
  slot.row.setAttribute('aria-posinset', String(index + 1));
  if (slot.sequence === m.sequence) return;
  slot.sequence = m.sequence;
  slot.row.id = `m${m.sequence}`;
  slot.row.dataset.sequence = m.sequence;
  const properties = Object.entries(m.properties ?? {}).map(([k, v]) => `${k}=${v}`).join(' ');
  setText(slot.spans[0], clock(m.enqueued));
  setText(slot.spans[1], shown(m) + (m.output ? ` / ${m.output}` : ''));
  setText(slot.spans[2], m.preview);
  setText(slot.spans[3], properties);
  setText(slot.spans[4], number(m.size));
}

const clock = (time) => {
  const d = new Date(time);
  return `${d.toLocaleTimeString('en-GB')}.${String(d.getMilliseconds()).padStart(3, '0')}`;
};

function showCounts() {
  const paused = feed.source === null;
  const [a, b] = [feed.rates[0], feed.rates.at(-1)];
  const rate = a && b.at - a.at > 400 ? Math.round((b.sequence - a.sequence) / ((b.at - a.at) / 1000)) : null;
  const missing = feed.matched - feed.rows.length + feed.passed;
  const parts = [`${number(feed.rows.length)} shown`];
  if (missing > 0) parts.push(`${number(missing)} not shown`);
  if (paused) parts.push(`paused, ${number(Math.max(0, (overview?.stats.sequence ?? 0) - feed.last))} newer`);
  else if (rate !== null) parts.push(`${number(rate)} a second${feed.filtered ? ' before the filter' : ''}`);
  setText($('counts'), parts.join(' · '));
}

function setPaused(paused) {
  $('pause').setAttribute('aria-pressed', String(paused));
  setText($('pause'), paused ? 'Resume' : 'Pause');
  if (paused) {
    feed.source?.close();
    feed.source = null;
    showCounts();
  }
}

function choose(index) {
  const m = feed.rows[index];
  if (!m) return;
  feed.chosen = m.sequence;
  const list = $('list');
  const top = index * rowHeight();
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
  paint();
  if (!$('detail').hidden) show(feed.chosen, false);
}

function listKey(event) {
  const at = feed.rows.findIndex((m) => m.sequence === feed.chosen);
  const page = Math.max(1, Math.floor($('list').clientHeight / rowHeight()) - 1);
  const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), PageDown: Math.min(feed.rows.length - 1, at + page),
    PageUp: Math.max(0, at - page), Home: 0, End: feed.rows.length - 1 }[event.key];
  if (to !== undefined) choose(to);
  else if (event.key === 'Enter' && feed.chosen) show(feed.chosen, true);
  else return;
  event.preventDefault();
}

function backToNewest() {
  feed.chosen = 0;
  $('list').scrollTop = 0;
  closeDetail();
  paint();
  $('list').focus();
}

// ---- One message

const maxBody = 65536; // bytes of a body that are put on the page
const detail = { bytes: null, sequence: 0 };

async function show(sequence, focus) {
  const [m] = await ask('GET', `/messages?since=${sequence - 1}&limit=1&raw=true`).catch(() => []);
  if (!m || m.sequence !== sequence) {
    say('The simulator does not keep this message any more.');
    return;
  }
  const bytes = Uint8Array.from(atob(m.bodyBase64 ?? ''), (c) => c.charCodeAt(0));
  Object.assign(detail, { bytes, sequence });
  setText($('d-title'), `Message ${number(sequence)}`);
  facts($('d-facts'), { Enqueued: m.enqueued, From: shown(m), Output: m.output ?? '–', Source: m.source, Body: `${number(bytes.length)} bytes` });
  facts($('d-properties'), m.properties);
  facts($('d-system'), m.system);
  const text = decoded(bytes);
  const best = text === null ? 'hex' : pretty(text) === null ? 'text' : 'json';
  const radios = $('detail').querySelectorAll('input[name=form]');
  for (const radio of radios) {
    radio.disabled = (radio.value === 'json' && best !== 'json');
    radio.checked = radio.value === best;
  }
  showBody(best);
  $('detail').hidden = false;
  document.querySelector('.split').classList.add('open');
  cover(true);
  paint();
  $('detail').scrollTop = 0;
  if (focus || narrow.matches) $('detail').focus();
}

// cover takes what lies under the message on a small screen out of the keyboard's way.
function cover(on) {
  for (const node of [document.querySelector('header'), document.querySelector('nav'), $('filters'), document.querySelector('.listbox')]) {
    node.inert = on && narrow.matches;
  }
}

function closeDetail() {
  if ($('detail').hidden) return;
  $('detail').hidden = true;
  document.querySelector('.split').classList.remove('open');
  cover(false);
  $('list').focus();
  paint();
}

function facts(list, values) {
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => (list.id === 'd-facts' ? 0 : a.localeCompare(b)));
  list.replaceChildren(...(entries.length ? entries : [['none', '']]).flatMap(([k, v]) => [el('dt', k), el('dd', v)]));
}

function decoded(bytes) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /[\0-\x08\x0b\x0c\x0e-\x1f]/.test(text) ? null : text;
  } catch { return null; }
}

// pretty indents JSON without reading its numbers, so that none changes. Null where it is not JSON.
function pretty(text) {
  try { JSON.parse(text); } catch { return null; }
  let depth = 0;
  const line = () => '\n' + '  '.repeat(depth);
  return (text.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? []).reduce((out, token) => {
    if (token === '{' || token === '[') { depth++; return out + token + line(); }
    if (token === '}' || token === ']') { depth--; return out.trimEnd().endsWith(token === '}' ? '{' : '[') ? out.trimEnd() + token : out + line() + token; }
    if (token === ',') return out + token + line();
    return out + (token === ':' ? ': ' : token);
  }, '');
}

function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.subarray(at, at + 16)];
    const codes = part.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    lines.push(`${at.toString(16).padStart(6, '0')}  ${codes}  ${part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join('')}`);
  }
  return lines.join('\n');
}

function showBody(form) {
  const part = detail.bytes.subarray(0, form === 'hex' ? maxBody / 4 : maxBody);
  const cut = part.length < detail.bytes.length;
  setText($('d-note'), cut ? `The first ${number(part.length)} of ${number(detail.bytes.length)} bytes.` : '');
  const text = () => new TextDecoder().decode(part);
  $('d-body').textContent = form === 'hex' ? hex(part) : form === 'json' ? (pretty(text()) ?? text()) : text();
}

// ---- Twin

const limits = { patch: 32768, depth: 10, key: 1024, value: 4096, least: -(2 ** 52), most: 2 ** 52 - 1 };
const size = (text) => new TextEncoder().encode(text).length;

// judge applies the edge hub's rules, and returns what breaks one, or ''. The simulator has the last word.
function judge(value, path = '', depth = 1, inArray = false) {
  if (value === null) return inArray ? `${path} is null inside an array` : '';
  if (typeof value === 'string') return size(value) > limits.value ? `${path} is ${number(size(value))} bytes long, at most 4,096 are allowed` : '';
  if (typeof value === 'number') {
    return Number.isInteger(value) && (value < limits.least || value > limits.most) ? `${path} is outside -2^52 to 2^52-1` : '';
  }
  if (typeof value !== 'object') return '';
  if (depth > limits.depth) return `${path} is nested ${depth} levels deep, at most 10 are allowed`;
  for (const [key, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) {
      const wrong = /[.$#\s\p{Cc}]/u.exec(key);
      if (wrong) return `the name "${key}" under "${path}" holds ${JSON.stringify(wrong[0])}: names are without . $ # and space`;
      if (size(key) > limits.key) return `a name under "${path}" is longer than 1,024 bytes`;
    }
    const fault = judge(inner, `${path}/${key}`, depth + 1, inArray || Array.isArray(value));
    if (fault) return fault;
  }
  return '';
}

// parse reads JSON and says where it breaks.
function parse(text) {
  try { return { value: JSON.parse(text) }; } catch (err) {
    const before = text.slice(0, breaksAt(text)).split('\n');
    const next = text.slice(before.join('\n').length).trim()[0];
    return { fault: `line ${before.length}, column ${before.at(-1).length + 1}: ${next ? `${JSON.stringify(next)} cannot stand here` : 'the end comes too early'}` };
  }
}

// breaksAt is where a text stops being JSON: browsers say it each in their own way, or not at all.
function breaksAt(text) {
  const scalar = /"(?:[^"\\\0-\x1f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
  let at = 0;
  const blank = () => { while (/[ \t\r\n]/.test(text[at] ?? '')) at++; };
  const eat = (c) => { blank(); return text[at] === c && ++at > 0; };
  const plain = (string) => {
    blank();
    scalar.lastIndex = at;
    const found = scalar.exec(text);
    if (!found || (string && text[at] !== '"')) return false;
    at = scalar.lastIndex;
    return true;
  };
  const value = (depth = 0) => {
    const close = { '{': '}', '[': ']' }[(blank(), text[at])];
    if (!close) return plain(false);
    if (depth > 500) return false; // far deeper than a twin, far less than the stack
    at++;
    if (eat(close)) return true;
    do {
      if (close === '}' && !(plain(true) && eat(':'))) return false;
      if (!value(depth + 1)) return false;
    } while (eat(','));
    return eat(close);
  };
  value();
  blank();
  return at;
}

function verdict(node, field, fault, good = '') {
  setText(node, fault || good);
  node.className = `verdict ${fault ? 'bad' : ''}`;
  if (field) field.setAttribute('aria-invalid', String(Boolean(fault)));
  return !fault;
}

const twin = { name: '', etag: '', version: 0, clean: '' };

function strip(properties) {
  const { $version, $metadata, ...rest } = properties;
  return { version: $version, updated: $metadata?.$lastUpdated, text: JSON.stringify(rest, null, 2) };
}

async function loadTwin() {
  twin.name = $('t-identity').value;
  if (!twin.name) return;
  const t = await ask('GET', twinPath(twin.name));
  const desired = strip(t.properties.desired);
  Object.assign(twin, { etag: t.etag, version: desired.version, clean: $('t-mode').value === 'PUT' ? desired.text : '{}' });
  $('t-text').value = twin.clean;
  setText($('t-version'), `version ${desired.version}${desired.updated ? `, ${ago(desired.updated)}` : ''}`);
  reported(t);
  checkTwin();
}

function reported(t) {
  const r = strip(t.properties.reported);
  setText($('t-reported'), r.text);
  setText($('t-reported-version'), `version ${r.version}${r.updated && r.version > 1 ? `, ${ago(r.updated)}` : ''}`);
}

async function showReported() {
  const name = twin.name;
  const t = name && await ask('GET', twinPath(name)).catch(() => null);
  if (!t || name !== twin.name) return;
  reported(t);
  if (t.properties.desired.$version === twin.version) {
    setText($('t-version'), `version ${twin.version}, ${ago(strip(t.properties.desired).updated)}`);
  } else if ($('t-text').value === twin.clean) {
    await loadTwin();
  } else {
    setText($('t-version'), `you edit version ${twin.version}; version ${t.properties.desired.$version} exists by now`);
  }
}

function checkTwin() {
  const text = $('t-text').value;
  const { value, fault } = parse(text);
  let why = fault;
  const bytes = size(fault ? text : JSON.stringify(value));
  if (!why && (value === null || typeof value !== 'object' || Array.isArray(value))) why = 'the properties must be a JSON object';
  why ||= judge(value);
  if (!why && bytes > limits.patch) why = `${number(bytes)} bytes, at most 32,768 are allowed`;
  $('t-meter').value = bytes;
  setText($('t-size'), `${number(bytes)} of 32,768 bytes`);
  $('t-apply').disabled = Boolean(why);
  return verdict($('t-verdict'), $('t-text'), why, text === twin.clean ? '' : 'valid, not applied yet');
}

async function applyTwin() {
  if (!checkTwin()) return;
  try {
    // Reported properties change the twin's etag as well; what counts is what was edited.
    const now = await ask('GET', twinPath(twin.name));
    if (now.properties.desired.$version === twin.version) twin.etag = now.etag;
    const body = `{"properties":{"desired":${$('t-text').value}}}`;
    await ask($('t-mode').value, twinPath(twin.name), body, { 'If-Match': `"${twin.etag}"`, 'Content-Type': 'application/json' });
    await loadTwin();
    verdict($('t-verdict'), $('t-text'), '', `applied: version ${twin.version}`);
    say(`Desired properties applied, version ${twin.version}`);
  } catch (err) {
    verdict($('t-verdict'), $('t-text'), err.status === 412 ? 'somebody changed the twin meanwhile: copy your text, then reload' : err.message);
  }
}

// ---- Direct methods

// What is offered while one types, by what the module is called. Any other name can be typed as well.
const suggestions = [
  { module: /^causeway/i, methods: { ping: {}, getStatus: {}, listDevices: { limit: 100 }, getDevice: { deviceId: '' },
    sendCommand: { deviceId: '', command: '', timeoutSeconds: 20 }, sendRaw: { deviceId: '', text: '', awaitReplySeconds: 0 },
    disconnectDevice: { deviceId: '' }, listDeadLetters: { limit: 20 }, replayDeadLetters: { all: true }, setLogLevel: { level: 'debug' } } },
];
const maxCalls = 50;
let offered = {};

function suggest() {
  const module = $('m-identity').value.split('/')[1] ?? '';
  offered = suggestions.find((s) => s.module.test(module))?.methods ?? {};
  $('m-names').replaceChildren(...Object.keys(offered).map((value) => el('option', undefined, { value })));
}

// A payload is filled in while nobody has written one.
function prefill() {
  const known = Object.values(offered).map((p) => JSON.stringify(p, null, 2));
  const payload = offered[$('m-name').value];
  if (payload && ['', '{}', ...known].includes($('m-payload').value.trim())) $('m-payload').value = JSON.stringify(payload, null, 2);
}

async function callMethod() {
  const text = $('m-payload').value.trim() || 'null';
  if (!verdict($('m-verdict'), $('m-payload'), parse(text).fault)) return;
  const call = { name: $('m-identity').value, of: $('m-identity').selectedOptions[0].textContent, method: $('m-name').value, text, response: $('m-response').value, connect: $('m-connect').value };
  const card = el('li');
  $('m-none').hidden = true;
  $('m-history').prepend(card);
  while ($('m-history').children.length > maxCalls) $('m-history').lastChild.remove();
  const begun = new Date();
  const render = (status, kind, answer) => {
    const again = button('Again', () => {
      $('m-identity').value = call.name;
      $('m-name').value = call.method;
      $('m-payload').value = call.text === 'null' ? '' : call.text;
      suggest();
      $('m-name').focus();
    }, 'button.link');
    const time = answer === undefined ? '' : ` in ${number(Date.now() - begun.getTime())} ms`;
    card.replaceChildren(
      el('div.head', [el('span', [el('strong', call.method), el('span.muted', ` of ${call.of}`)]), el(`span.status.${kind}`, status)]),
      el('div.head', [el('span.muted.figures', `${begun.toLocaleTimeString('en-GB')}${time}; within ${call.response} s, connect ${call.connect} s`), again]),
      el('details', [el('summary', 'Payload'), el('pre', pretty(call.text) ?? call.text, { tabindex: '0' })]),
      answer === undefined ? null : el('pre', answer, { tabindex: '0', 'aria-label': 'Answer' }),
    );
    if (answer === undefined) card.lastChild.remove();
  };
  render('waiting', 'muted');
  try {
    const body = `{"methodName":${JSON.stringify(call.method)},"payload":${text},"responseTimeoutInSeconds":${call.response},"connectTimeoutInSeconds":${call.connect}}`;
    const answer = await ask('POST', `${twinPath(call.name)}/methods`, body);
    render(String(answer.status), answer.status < 300 ? 'good' : 'warn', JSON.stringify(answer.payload, null, 2) ?? 'null');
    say(`${call.method} answered with ${answer.status}`);
  } catch (err) {
    render(err.status ? `HTTP ${err.status}` : 'no answer', 'bad', err.message);
    say(`${call.method} failed: ${err.message}`);
  }
}

// ---- Sending

const toDevice = () => document.querySelector('input[name=kind]:checked').value === 'c2d';

function fillTargets() {
  const c2d = toDevice();
  const fit = overview.identities.filter((id) => (c2d ? !id.module && id.device !== overview.device : id.module && id.device === overview.device));
  options($('s-target'), fit.map((id) => [c2d ? id.device : id.module, shown(id)]));
  setText($('s-label'), c2d ? 'Leaf device' : 'Module');
  $('s-none').hidden = !c2d || fit.length > 0;
  $('s-input-label').hidden = c2d;
  $('s-input').required = !c2d;
  $('s-form').querySelector('button.main').disabled = fit.length === 0;
}

async function sendMessage() {
  const q = new URLSearchParams();
  for (const line of $('s-properties').value.split('\n').filter((l) => l.trim())) {
    const [name, ...value] = line.split('=');
    if (!value.length || !name.trim()) {
      verdict($('s-verdict'), $('s-properties'), `the line "${line}" must be name=value`);
      return;
    }
    q.set(name.trim(), value.join('='));
  }
  const target = encodeURIComponent($('s-target').value);
  const path = toDevice() ? `/devices/${target}/messages/devicebound` : `/inputs/${target}/${encodeURIComponent($('s-input').value)}`;
  try {
    await ask('POST', `${path}?${q}`, $('s-body').value, { 'Content-Type': 'text/plain;charset=utf-8' });
    verdict($('s-verdict'), $('s-properties'), '', `queued at ${clock(new Date())}`);
  } catch (err) {
    verdict($('s-verdict'), null, err.message);
  }
}

// ---- Faults

let rules = [];

// ruleKind is which switch a rule belongs to.
const ruleKind = (r) => (r.attach ? 'attach' : r.refuse ? 'refuse' : r.drop ? 'drop' : r.withhold ? 'withhold' : 'delay');

async function showFaults() {
  rules = await ask('GET', '/faults').catch(() => rules);
  $('pill-faults').hidden = rules.length === 0;
  $('pill-faults').className = 'pill warn';
  setText($('pill-faults'), rules.length === 1 ? '1 fault in force' : `${rules.length} faults in force`);
  $('sw-cloud').setAttribute('aria-checked', String(overview.stats.cloudCut));
  $('sw-hub').setAttribute('aria-checked', String(!overview.listening));
  const whose = $('x-identity').value;
  setText($('x-for'), `for ${$('x-identity').selectedOptions[0]?.textContent ?? 'all'}`);
  for (const sw of $('x-kinds').querySelectorAll('[role=switch]')) {
    sw.setAttribute('aria-checked', String(rules.some((r) => ruleKind(r) === sw.dataset.kind && (r.identity ?? '') === whose)));
  }
  $('x-none').hidden = rules.length > 0;
  $('x-clear').disabled = rules.length === 0;
  keepFocus($('x-rules'), rules.slice(0, 100).map((r) => el('li.head', [
    el('span', describe(r)), button('Take back', () => act('DELETE', `/faults?id=${r.id}`, null, 'The fault was taken back'), 'button.link'),
  ])));
}

function describe(r) {
  const what = { attach: () => `refuse links with ${r.attach.condition}`, refuse: () => `refuse with ${r.refuse.condition}${r.holding ? ` a body with “${r.holding}”` : ''}`, drop: () => 'drop the connection', withhold: () => 'withhold the answer',
    delay: () => `delay by ${number(r.delayMs)} ms` }[ruleKind(r)]();
  return `${what}, ${r.identity ? `for ${r.identity}` : 'for all'}, ${r.count < 0 ? 'until taken back' : `${number(r.count)} more`}`;
}

async function act(method, path, body, done) {
  try {
    const answer = await ask(method, path, body);
    say(typeof done === 'function' ? done(answer) : done);
  } catch (err) {
    say(err.message);
  }
  await refresh();
}

// only limits a request to the identity that is chosen.
function only(path) {
  const identity = $('x-identity').value;
  return identity ? `${path}${path.includes('?') ? '&' : '?'}identity=${encodeURIComponent(identity)}` : path;
}

async function switchFault(sw) {
  const { kind } = sw.dataset;
  const identity = $('x-identity').value;
  if (sw.getAttribute('aria-checked') === 'true') {
    for (const r of rules.filter((rule) => ruleKind(rule) === kind && (rule.identity ?? '') === identity)) {
      await act('DELETE', `/faults?id=${r.id}`, null, `${sw.textContent} was taken back`);
    }
    return;
  }
  const fault = { identity, count: Number($('x-count').value) };
  if (kind === 'delay') fault.delayMs = Number($('x-delay').value);
  else if (kind === 'refuse') {
    fault.refuse = { condition: $('x-condition').value, description: 'refused from the portal' };
    fault.holding = $('x-holding').value;
  } else if (kind === 'attach') fault.attach = { description: 'refused from the portal' };
  else fault[kind] = true;
  await act('POST', '/faults', JSON.stringify(fault), `${sw.textContent} is in force`);
}

// ---- Wiring

const views = ['messages', 'devices', 'twin', 'methods', 'send', 'routes', 'faults'];
const current = () => (views.includes(location.hash.slice(1)) ? location.hash.slice(1) : 'messages');

function turn() {
  const view = current();
  for (const name of views) $(name).hidden = name !== view;
  for (const a of document.querySelectorAll('nav a')) {
    if (a.hash === `#${view}`) {
      a.setAttribute('aria-current', 'page');
      a.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else a.removeAttribute('aria-current');
  }
  document.title = `${$(view).querySelector('h2').textContent} – Causeway simulator`;
  if (view !== 'messages') cover(false);
  if (view === 'twin' && $('t-identity').value !== twin.name) loadTwin().catch((err) => say(err.message));
  if (view === 'messages') paint();
  refresh();
}

function later(act_, ms) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(act_, ms); };
}

const on = (id, type, act_) => $(id).addEventListener(type, act_);
const form = (id, submit) => {
  on(id, 'submit', (event) => { event.preventDefault(); submit(); });
  on(id, 'keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $(id).requestSubmit(); });
};

function wire() {
  addEventListener('hashchange', turn);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address names the view
    $('main').focus();
  });
  addEventListener('resize', () => { height = 0; paint(); cover(!$('detail').hidden); });
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') closeDetail(); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

  const reopen = later(() => open(), 250);
  form('filters', () => open());
  for (const id of ['f-output', 'f-text']) on(id, 'input', reopen);
  on('f-identity', 'change', () => open());
  on('pause', 'click', () => {
    const paused = feed.source !== null;
    if (paused) setPaused(true);
    else open(feed.last);
    say(paused ? 'Paused' : 'Live again');
  });
  on('clear', 'click', () => {
    Object.assign(feed, { rows: [], matched: 0, passed: 0, chosen: 0 });
    paint();
  });
  on('newest', 'click', backToNewest);
  on('list', 'scroll', () => requestAnimationFrame(paint));
  on('list', 'keydown', listKey);
  // Rows move under the pointer: what was pressed counts.
  on('list', 'pointerdown', (event) => { feed.pressed = Number(event.target.closest('.row')?.dataset.sequence ?? 0); });
  on('list', 'click', () => {
    if (!feed.pressed) return;
    feed.chosen = feed.pressed;
    paint();
    show(feed.pressed, false);
  });
  on('d-close', 'click', closeDetail);
  for (const radio of $('detail').querySelectorAll('input[name=form]')) radio.addEventListener('change', () => showBody(radio.value));

  form('t-form', applyTwin);
  on('t-text', 'input', later(checkTwin, 120));
  for (const id of ['t-identity', 't-mode', 't-reload']) {
    on(id, id === 't-reload' ? 'click' : 'change', () => loadTwin().catch((err) => say(err.message)));
  }
  on('t-format', 'click', () => {
    $('t-text').value = pretty($('t-text').value) ?? $('t-text').value;
    checkTwin();
  });

  form('m-form', callMethod);
  on('m-identity', 'change', suggest);
  on('m-name', 'input', prefill);
  on('m-payload', 'input', later(() => verdict($('m-verdict'), $('m-payload'), parse($('m-payload').value.trim() || 'null').fault), 120));

  form('s-form', sendMessage);
  for (const radio of document.querySelectorAll('input[name=kind]')) radio.addEventListener('change', fillTargets);

  on('sw-cloud', 'click', () => act('POST', overview.stats.cloudCut ? '/cloud/restore' : '/cloud/cut', null,
    overview.stats.cloudCut ? 'The cloud is back' : 'The cloud is cut off'));
  on('sw-hub', 'click', () => act('POST', overview.listening ? `/hub/down?abrupt=${$('abrupt').checked}` : '/hub/up', null,
    overview.listening ? 'The hub is down' : 'The hub is up'));
  for (const sw of $('x-kinds').querySelectorAll('[role=switch]')) sw.addEventListener('click', () => switchFault(sw));
  on('x-identity', 'change', showFaults);
  on('x-clear', 'click', () => act('DELETE', '/faults', null, 'All faults were taken back'));
  for (const b of document.querySelectorAll('[data-post]')) {
    b.addEventListener('click', () => act('POST', only(b.dataset.post), null, (answer) => `${b.dataset.done}: ${Object.values(answer)[0]}`));
  }
}

async function begin() {
  wire();
  turn();
  await refresh();
  suggest();
  open();
  // The next question waits for the answer, so that a slow simulator is not asked more.
  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, 2000); });
    if (!document.hidden) await refresh().catch((err) => say(err.message));
  }
}

begin();
