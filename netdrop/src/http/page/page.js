'use strict';
// The page's state is what the stream said: `start` has the counts since the start, each `summary` what was added. Text from
// elsewhere (names, commands) becomes text nodes, never HTML.

const HISTORY = 60;      // seconds of a sparkline
const SITES = 200;       // rows on the page
const DROPS = 50;        // last drops on the page
const DOCTOR_MS = 15000; // between two questions what the doctor found
const KEPT_DROPS = 500;  // last drops in memory
const FLOWS = 2000;      // flows in memory
const CLASSES = ['policy', 'congestion', 'no-receiver', 'malformed', 'routing', 'unknown', 'lifecycle'];
const ACCOUNTS = [
  ['seen', 'seen', 'drops that the kernel program saw'],
  ['detailed', 'detailed', 'with details'],
  ['sampled_out', 'sampled out', 'counted; details left out by the sampling rate'],
  ['filtered', 'filtered', 'left out by the filter'],
  ['ring_full', 'ring full', 'counted; details lost as the ring was full'],
  ['table_full', 'table full', 'seen and in no row, as the counter table was full'],
  ['recursion_misses', 'missed', 'kept from the program by the kernel\'s recursion guard; not in seen'],
  ['stackless', 'no stack', 'details without their call chain'],
];
const TCP_ROWS = 6;      // rows of a list of TCP's
const QUANTILES = [[.5, 'half at most'], [.9, '90 % at most'], [.99, '99 % at most']];
const UNCOUNTED = new Set(['table_full', 'recursion_misses']);

const $ = id => document.getElementById(id);
const state = {
  sites: new Map(), tcp: null, doctor: null, flows: new Map(), drops: [], accounts: {}, history: [], began: 0, elapsed: 0, rate: 0, host: '',
  sort: 'rate', ascending: false, filter: '', chosen: new Map(), pane: 'reason', noise: false, paused: false, open: null, skipped: 0,
};

// ---- small helpers

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}
// Replaces children when what they show has changed: one that is being clicked or copied stays otherwise.
function renew(element, shown, children) {
  if (element.dataset.shown === shown) return false;
  element.dataset.shown = shown;
  element.replaceChildren(...children());
  return true;
}
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
const whole = new Intl.NumberFormat('en');
function short(number) {
  if (number < 10000) return whole.format(Math.round(number));
  for (const [size, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (number >= size) return (number / size).toPrecision(3).replace(/e\+.*/, '') + ' ' + unit;
  }
}
function perSecond(rate) {
  if (rate === 0) return '0';
  return rate < 10 ? rate.toFixed(1) : short(rate);
}
function percent(part, all) {
  if (!all) return '0 %';
  const share = 100 * part / all;
  return share === 100 ? '100 %' : share >= 99.95 ? '>99.9 %' : share > 0 && share < .1 ? '<0.1 %' : share.toFixed(1) + ' %';
}
function span(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = Math.max(0, parts.findIndex(([size]) => seconds >= size));
  const [size, unit] = parts[first];
  const rest = parts[first + 1];
  const head = Math.floor(seconds / size) + ' ' + unit;
  const tail = rest ? Math.floor(seconds % size / rest[0]) : 0;
  return tail ? head + ' ' + tail + ' ' + rest[1] : head;
}
function endpoint(end) {
  if (!end) return '?';
  const address = end.address || '*';
  if (end.port === undefined) return address;
  return (address.includes(':') ? '[' + address + ']' : address) + ':' + end.port;
}
function line(svg, values, most) {
  const { width, height } = svg.viewBox.baseVal;
  const top = Math.max(most || 0, ...values, 1e-9);
  const step = width / (HISTORY - 1);
  const from = HISTORY - values.length;
  const points = values.map((value, at) => ((from + at) * step).toFixed(1) + ' ' + (height - 1 - value / top * (height - 2)).toFixed(1));
  const [area, stroke] = svg.querySelectorAll('path');
  const path = points.length > 1 ? 'M' + points.join('L') : '';
  stroke.setAttribute('d', path);
  area.setAttribute('d', path && path + `L${width} ${height}L${(from * step).toFixed(1)} ${height}Z`);
}
function remember(values, value) {
  values.push(value);
  if (values.length > HISTORY) values.shift();
}

// ---- what the server tells

const name = thing => thing && (thing.name || String(thing.index || thing.inode || ''));
function siteOf(row) {
  const place = row.trap ? 'trap ' + (row.trap.name || '') : (row.address || row.function || '');
  return place + ' ' + (row.reason || '');
}
function functionOf(row) {
  if (row.trap) return (row.trap.name || 'trap') + (row.trap.driver ? ' (' + row.trap.driver + ')' : '');
  if (!row.function) return row.address || (row.other ? 'all others' : '');
  const offset = row.offset === undefined ? '' : '+0x' + row.offset.toString(16);
  return row.function + offset + (row.module ? ' [' + row.module + ']' : '');
}
function reasonOf(row) {
  return row.reason || (row.trap ? row.trap.group || 'hardware' : 'no reason given');
}
function count(summary) {
  const seconds = Math.max(summary.interval_ms, 1) / 1000;
  for (const row of summary.rows) {
    const key = siteOf(row);
    let site = state.sites.get(key);
    if (!site) {
      site = { key, row, total: 0, bytes: 0, added: 0, rate: 0, history: [], parts: { device: new Map(), netns: new Map(), protocol: new Map() } };
      state.sites.set(key, site);
    }
    site.total += row.count;
    site.bytes += row.bytes;
    site.added += row.count;
    for (const [dimension, value] of [['device', name(row.device)], ['netns', name(row.netns)], ['protocol', row.protocol]]) {
      const part = value || 'none';
      site.parts[dimension].set(part, (site.parts[dimension].get(part) || 0) + row.count);
    }
  }
  for (const [account, number] of Object.entries(summary.accounts)) {
    state.accounts[account] = (state.accounts[account] || 0) + number;
  }
  if (summary.tcp) countTcp(summary.tcp);
  return seconds;
}
// Where `capture.tcp` asks for it.
function countTcp(told) {
  const tcp = state.tcp ??= { retransmits: new Map(), resets: new Map(), closes: new Map(), times: new Map(), out: 0, again: 0 };
  const add = (sums, part, number) => sums.set(part, (sums.get(part) || 0) + number);
  for (const { event, detail, failed, count: number } of told.counts) {
    if (event === 'retransmit') add(tcp.retransmits, failed ? 'could not be sent' : detail || 'other', number);
    else if (event === 'reset-sent') add(tcp.resets, 'sent: ' + (detail || 'no reason told'), number);
    else if (event === 'reset-received') add(tcp.resets, 'received in ' + (detail || '?'), number);
  }
  for (const { close, count: number } of told.closes || []) add(tcp.closes, close, number);
  for (const { what, buckets } of told.rtt || []) {
    if (what === 'sample') for (const [, to, number] of buckets) add(tcp.times, to, number);
  }
  tcp.out += told.host.segments_out;
  tcp.again += told.host.segments_retransmitted;
}
function start(summary) {
  state.sites.clear();
  state.tcp = null;
  state.accounts = {};
  state.history = [];
  const seconds = count(summary);
  state.began = performance.now() - seconds * 1000;
  for (const site of state.sites.values()) site.added = 0;
  state.rate = 0;
}
function step(summary) {
  const seconds = count(summary);
  state.rate = (summary.accounts.seen - summary.accounts.filtered) / seconds;
  remember(state.history, state.rate);
  for (const site of state.sites.values()) {
    site.rate = site.added / seconds;
    site.added = 0;
    remember(site.history, site.rate);
  }
}
function keep(drop) {
  // The last drops were asked for while the stream had begun: some come twice.
  if (state.drops.slice(0, 200).some(known => known.time === drop.time && known.cpu === drop.cpu)) return;
  state.drops.unshift(drop);
  if (state.drops.length > KEPT_DROPS) state.drops.pop();
  const packet = drop.packet;
  if (!packet || !packet.source || !packet.destination) return;
  const flow = endpoint(packet.source) + ' → ' + endpoint(packet.destination);
  const known = state.flows.get(flow);
  if (known) known.count += drop.weight;
  else if (state.flows.size < FLOWS) state.flows.set(flow, { count: drop.weight, class: drop.class || 'unknown' });
}

// ---- choosing

const isNoise = row => row.class === 'lifecycle';
function words(row) {
  return [reasonOf(row), functionOf(row), row.class, name(row.device), name(row.netns), row.protocol,
    row.packet && row.packet.protocol, row.packet && endpoint(row.packet.source), row.packet && endpoint(row.packet.destination)]
    .filter(Boolean).join(' ').toLowerCase();
}
function siteWords(site) {
  const parts = Object.values(site.parts).flatMap(part => [...part.keys()]);
  return (words(site.row) + ' ' + parts.join(' ')).toLowerCase();
}
function wanted(site) {
  if (isNoise(site.row) && !state.noise && state.chosen.get('class') !== 'lifecycle') return false;
  for (const [dimension, value] of state.chosen) {
    if (dimension === 'class' && (site.row.class || 'unknown') !== value) return false;
    if (dimension === 'reason' && reasonOf(site.row) !== value) return false;
    if (site.parts[dimension] && !site.parts[dimension].has(value)) return false;
  }
  return !state.filter || siteWords(site).includes(state.filter);
}
function wantedDrop(drop) {
  if (isNoise(drop) && !state.noise && state.chosen.get('class') !== 'lifecycle') return false;
  const has = { class: drop.class || 'unknown', reason: reasonOf(drop), device: name(drop.device) || 'none', netns: name(drop.netns) || 'none', protocol: drop.packet.protocol || 'none' };
  for (const [dimension, value] of state.chosen) if (has[dimension] !== value) return false;
  return !state.filter || words(drop).includes(state.filter);
}
function choose(dimension, value) {
  if (state.chosen.get(dimension) === value) state.chosen.delete(dimension);
  else state.chosen.set(dimension, value);
  draw();
}

// ---- drawing

function draw() {
  drawOverview();
  drawSites();
  drawPane();
  drawTcp();
  drawDrops();
  if (state.open) drawOpenSite();
}
function drawOverview() {
  write($('rate'), perSecond(state.rate));
  write($('rate-of'), state.history.length ? 'peak ' + perSecond(Math.max(...state.history)) : '');
  line($('rate-line'), state.history);
  const byClass = new Map(CLASSES.map(one => [one, 0]));
  for (const site of state.sites.values()) {
    const kind = site.row.class || 'unknown';
    byClass.set(kind, (byClass.get(kind) || 0) + site.total);
  }
  const all = [...byClass.values()].reduce((sum, one) => sum + one, 0);
  write($('since'), 'since ' + span((performance.now() - state.began) / 1000));
  const parts = [...byClass].filter(([, number]) => number > 0);
  $('class-bar').replaceChildren(...parts.map(([kind, number]) => {
    const part = make('span', { 'data-class': kind });
    part.style.flexGrow = number / all;
    return part;
  }));
  const list = $('class-list');
  renew(list, parts.map(([kind]) => kind).join(), () => parts.map(([kind]) => make('li', {}, make('button',
    { type: 'button', 'data-class': kind, onclick: () => choose('class', kind) }, make('span', { class: 'dot' }), kind, make('b')))));
  for (const button of list.querySelectorAll('button')) {
    const kind = button.dataset.class;
    write(button.querySelector('b'), short(byClass.get(kind)));
    button.setAttribute('aria-pressed', state.chosen.get('class') === kind);
  }
  drawAccounts();
}
function drawAccounts() {
  const list = $('accounts');
  if (!list.children.length) {
    for (const [, label, meaning] of ACCOUNTS) list.append(make('dt', { title: meaning }, label), make('dd'));
  }
  const { accounts } = state;
  [...list.querySelectorAll('dd')].forEach((cell, at) => {
    const [account] = ACCOUNTS[at];
    const number = accounts[account] || 0;
    write(cell, short(number));
    cell.title = whole.format(number);
    cell.classList.toggle('warn', number > 0 && UNCOUNTED.has(account));
    cell.classList.toggle('thin', number > 0 && account === 'ring_full');
  });
  const of = account => accounts[account] || 0;
  const balances = of('detailed') + of('sampled_out') + of('ring_full') + of('filtered') === of('seen');
  const verdict = !balances ? 'The accounts do not add up: please report it.'
    : [...UNCOUNTED].some(of) ? 'Some drops are in no row: see the red numbers.'
    : of('ring_full') ? 'Counts are exact; some details were lost.' : 'Counts are exact; nothing was lost.';
  write($('balance'), verdict);
}

const rows = new Map();
function drawSites() {
  const sites = [...state.sites.values()].filter(wanted);
  const orders = {
    rate: (a, b) => b.rate - a.rate || b.total - a.total,
    total: (a, b) => b.total - a.total,
    name: (a, b) => reasonOf(a.row).localeCompare(reasonOf(b.row)) || a.key.localeCompare(b.key),
  };
  sites.sort(orders[state.sort]);
  if (state.ascending) sites.reverse();
  const all = sites.reduce((sum, site) => sum + site.total, 0);
  const shown = sites.slice(0, SITES);
  write($('site-count'), sites.length > SITES ? `${SITES} of ${sites.length}` : state.sites.size === sites.length ? String(sites.length) : `${sites.length} of ${state.sites.size}`);
  const keys = new Set(shown.map(site => site.key));
  for (const [key, row] of rows) if (!keys.has(key)) { row.remove(); rows.delete(key); }
  const body = $('sites');
  shown.forEach((site, at) => {
    let row = rows.get(site.key);
    if (!row) rows.set(site.key, row = siteRow(site));
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] || null);
    fillRow(row, site, all);
  });
  $('quiet').hidden = shown.length > 0;
  write($('quiet'), state.sites.size ? 'No site is like that.' : 'Nothing was dropped so far.');
  renew($('chips'), [...state.chosen].join(' '), () => [...state.chosen].map(([dimension, value]) => make('button',
    { type: 'button', title: 'Show all again', onclick: () => choose(dimension, value) }, `${dimension}: ${value} ✕`)));
  const up = state.sort === 'name' ? !state.ascending : state.ascending;
  for (const button of document.querySelectorAll('th[data-sort] button')) {
    const cell = button.closest('th');
    if (cell.dataset.sort === state.sort) cell.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    else cell.removeAttribute('aria-sort');
  }
}
function siteRow(site) {
  const row = $('site-row').content.firstElementChild.cloneNode(true);
  row.dataset.class = site.row.class || 'unknown';
  row.dataset.key = site.key;
  row.title = row.dataset.class;
  write(row.querySelector('.reason'), reasonOf(site.row));
  write(row.querySelector('.function'), functionOf(site.row));
  row.addEventListener('click', () => open(site.key));
  row.addEventListener('keydown', event => { if (event.key === 'Enter') open(site.key); });
  return row;
}
function places(site) {
  const most = dimension => [...site.parts[dimension]].sort((a, b) => b[1] - a[1]).map(([part]) => part);
  const told = most('device').filter(one => one !== 'none');
  return (told.length > 2 ? told.slice(0, 2).join(', ') + ' +' + (told.length - 2) : told.join(', ')) || '–';
}
function fillRow(row, site, all) {
  row.classList.toggle('idle', site.rate === 0);
  write(row.querySelector('.where'), places(site));
  line(row.querySelector('svg'), site.history);
  write(row.querySelector('.rate'), perSecond(site.rate) + '/s');
  write(row.querySelector('.total'), short(site.total));
  row.querySelector('.total').title = whole.format(site.total);
  row.querySelector('.part').style.setProperty('--part', (all ? 100 * site.total / all : 0) + '%');
  write(row.querySelector('.percent'), percent(site.total, all));
}
function drawPane() {
  const sums = new Map();
  const add = (part, number, kind) => {
    const sum = sums.get(part) || { count: 0, class: kind };
    sum.count += number;
    sums.set(part, sum);
  };
  if (state.pane === 'flow') {
    for (const [flow, { count, class: kind }] of state.flows) if (!state.filter || flow.includes(state.filter)) add(flow, count, kind);
  } else {
    for (const site of state.sites.values()) {
      if (!wanted(site)) continue;
      if (state.pane === 'reason') add(reasonOf(site.row), site.total, site.row.class || 'unknown');
      else for (const [part, number] of site.parts[state.pane]) add(part, number, null);
    }
  }
  const sorted = [...sums].sort((a, b) => b[1].count - a[1].count);
  const most = sorted.length ? sorted[0][1].count : 0;
  const pane = $('pane');
  const items = sorted.slice(0, 14);
  renew(pane, state.pane + ' ' + items.map(([part, sum]) => part + sum.class).join(), () => items.map(([part, sum]) => make('li', {}, make('button', {
    type: 'button', 'data-class': sum.class, title: part,
    onclick: () => state.pane === 'flow' ? search(part.split(' → ')[1]) : choose(state.pane, part),
  }, make('span', {}, part), make('b')))));
  [...pane.querySelectorAll('button')].forEach((button, at) => {
    button.style.setProperty('--part', (most ? 100 * items[at][1].count / most : 0) + '%');
    write(button.querySelector('b'), short(items[at][1].count));
  });
  const more = sorted.length > items.length ? `${sorted.length - items.length} more. ` : '';
  write($('pane-note'), state.pane === 'flow' ? more + 'Estimated, from the details that this page has seen.' : more || (items.length ? '' : 'None yet.'));
}
function drawTcp() {
  const { tcp } = state;
  $('tcp').hidden = !tcp;
  if (!tcp) return;
  // The kernel's own counts: of all connections, whatever the filter lets through.
  write($('tcp-ratio'), tcp.out ? `${percent(tcp.again, tcp.out)} of ${short(tcp.out)} segments sent again, in netdrop's namespace` : '');
  const most = sums => [...sums].sort((a, b) => b[1] - a[1]).slice(0, TCP_ROWS);
  for (const part of ['retransmits', 'resets', 'closes']) {
    const all = [...tcp[part].values()].reduce((sum, one) => sum + one, 0);
    drawTallies($('tcp-' + part), most(tcp[part]).map(([of, number]) => [of, short(number), number / all]));
  }
  const times = [...tcp.times].sort((a, b) => a[0] - b[0]);
  const all = times.reduce((sum, [, number]) => sum + number, 0);
  const told = QUANTILES.map(([part, words]) => [words, microseconds(atMost(times, part * all)), 0]);
  drawTallies($('tcp-times'), all ? [...told, ['measured', short(all), 0]] : []);
}
// The end of the bucket in which that many are reached.
function atMost(times, rank) {
  let seen = 0;
  const found = times.find(([, number]) => (seen += number) >= rank);
  return found ? found[0] : 0;
}
function microseconds(us) {
  const [size, unit] = us >= 1e6 ? [1e6, 's'] : us >= 1e3 ? [1e3, 'ms'] : [1, 'µs'];
  return Number((us / size).toPrecision(3)) + ' ' + unit;
}
function drawTallies(list, rows) {
  renew(list, rows.map(([of]) => of).join('\n') || 'none', () => rows.length
    ? rows.map(([of]) => make('li', { title: of }, make('span', {}, of), make('b')))
    : [make('li', { class: 'faint' }, 'None yet.')]);
  rows.forEach(([, number, part], at) => {
    write(list.children[at].querySelector('b'), number);
    list.children[at].style.setProperty('--part', 100 * part + '%');
  });
}
function packetOf(drop) {
  const packet = drop.packet || {};
  const ends = packet.source || packet.destination ? endpoint(packet.source) + ' → ' + endpoint(packet.destination) : '';
  const flags = packet.tcp && packet.tcp.flags ? ' ' + packet.tcp.flags : '';
  return [packet.protocol || packet.family || '', ends, packet.length + ' B' + flags].filter(Boolean).join(' ');
}
function ownerOf(drop) {
  const owner = drop.socket && drop.socket.owner;
  if (!owner) return (drop.netns && (drop.netns.container_name || drop.netns.pod_name)) || '';
  return owner.command ? `${owner.command}(${owner.pid})` : owner.container_name || owner.container || owner.unit || '';
}
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
function drawDrops() {
  const drops = state.drops.filter(wantedDrop).slice(0, DROPS);
  $('no-drops').hidden = drops.length > 0;
  write($('no-drops'), state.drops.length ? 'No drop is like that.' : 'No details yet.');
  write($('skipped'), state.skipped ? `${short(state.skipped)} details were not sent to this page` : '');
  const body = $('drops');
  const wished = new Set(drops);
  for (const row of [...body.children]) if (!wished.has(row.drop)) row.remove();
  // Rows that stay are not touched: they would appear again.
  const isFirst = !body.children.length;
  drops.forEach((drop, at) => {
    const row = body.children[at];
    if (row && row.drop === drop) return;
    const fresh = dropRow(drop);
    fresh.classList.toggle('new', !isFirst);
    body.insertBefore(fresh, row || null);
  });
}
function dropRow(drop) {
  const cells = [
    make('td', { class: 'mono' }, clock.format(new Date(drop.time))),
    make('td', { title: reasonOf(drop) }, make('span', { class: 'dot' }), reasonOf(drop)),
    make('td', { class: 'wide mono' }, functionOf(drop)),
    make('td', { class: 'mono', title: packetOf(drop) }, packetOf(drop)),
    make('td', { class: 'wide' }, [name(drop.device), name(drop.netns)].filter(Boolean).join(' · ')),
    make('td', { class: 'wide' }, ownerOf(drop)),
    make('td', { class: 'wide number' }, whole.format(drop.weight)),
  ];
  const row = make('tr', { 'data-class': drop.class || 'unknown' }, ...cells);
  row.drop = drop;
  return row;
}

// ---- the doctor

async function askDoctor() {
  const response = await ask('/api/v1/findings').catch(() => null);
  if (!response || !response.ok) return;
  state.doctor = await response.json();
  if (!state.paused) drawDoctor();
}
function drawDoctor() {
  const told = state.doctor;
  $('doctor').hidden = !told || !told.time;
  if ($('doctor').hidden) return;
  const left = told.unchecked.length;
  const at = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' }).format(new Date(told.time));
  write($('doctor-of'), `${told.checked} things checked over ${span(told.seconds)} until ${at}` + (left ? `, ${left} could not be` : ''));
  $('doctor-of').title = told.unchecked.map(one => `${one.check}: ${one.why}`).join('\n');
  renew($('findings'), JSON.stringify(told.findings), () => told.findings.length
    ? told.findings.map(finding) : [make('li', { class: 'faint' }, 'All fine.')]);
}
function finding(one) {
  const remedy = ({ what, now = [], persistently }) => [make('p', {}, what), ...now.map(command => make('pre', {}, '$ ' + command)),
    persistently && make('p', { class: 'faint' }, 'For good: ' + persistently)];
  return make('li', { 'data-severity': one.severity }, make('details', {},
    make('summary', {}, make('b', {}, one.severity), make('span', {}, ' ' + one.subject + ': ' + one.sentence.replace(/^\d{4,}/, number => whole.format(number)))),
    make('p', {}, `Cause (${one.certainty}): ${one.cause}`), ...one.remedies.flatMap(remedy),
    one.caution && make('p', { class: 'caution' }, one.caution), make('pre', {}, '$ ' + one.verify)));
}
// What it says of a site: of its reason or, where the kernel gives none, of its function.
function diagnosed(row) {
  const cause = !row.reason || row.reason === 'NOT_SPECIFIED' ? row.function : row.reason;
  return state.doctor ? state.doctor.findings.filter(one => one.explains.includes(cause)) : [];
}

// ---- drill-down

async function open(key) {
  const site = state.sites.get(key);
  if (!site) return;
  state.open = key;
  const row = site.row;
  write($('site-title'), reasonOf(row));
  const body = $('site-body');
  const svg = $('site-row').content.querySelector('svg').cloneNode(true);
  svg.id = 'open-line';
  body.replaceChildren(
    make('p', { class: 'tag', 'data-class': row.class || 'unknown' }, make('span', { class: 'dot' }), row.class || 'unknown', make('code', { class: 'faint' }, functionOf(row))),
    make('ul', { id: 'open-doctor', class: 'findings' }),
    make('div', { id: 'open-told' }),
    make('div', { 'data-class': row.class || 'unknown' }, svg),
    make('dl', { class: 'facts', id: 'open-facts' }),
    make('div', { id: 'open-todo' }),
    make('h3', {}, 'Last drops here'), make('ol', { class: 'last', id: 'open-drops' }),
  );
  if (!$('site').open) $('site').showModal();
  $('site').scrollTop = 0;
  drawOpenSite();
  await explain(key, row);
}
function drawOpenSite() {
  const site = state.sites.get(state.open);
  if (!site) return;
  line($('open-line'), site.history);
  const list = part => [...part].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([one, number]) => `${one} (${short(number)})`).join(', ');
  const facts = [
    ['Rate', perSecond(site.rate) + '/s'], ['Since the start', `${whole.format(site.total)} drops, ${short(site.bytes)}B`],
    ['Devices', list(site.parts.device)], ['Namespaces', list(site.parts.netns)], ['Protocols', list(site.parts.protocol)], ['Address', site.row.address],
  ];
  const known = state.drops.find(drop => siteOf(drop) === site.key && drop.source);
  if (known) facts.push(['Source line', known.source]);
  $('open-facts').replaceChildren(...facts.filter(([, value]) => value).flatMap(([label, value]) => [make('dt', {}, label), make('dd', {}, value)]));
  const told = diagnosed(site.row);
  renew($('open-doctor'), JSON.stringify(told), () => told.map(finding));
  const drops = state.drops.filter(drop => siteOf(drop) === site.key).slice(0, 10);
  const none = [make('li', { class: 'faint' }, 'None with details yet.')];
  renew($('open-drops'), drops.map(drop => drop.time).join(), () => drops.length ? drops.map(openDrop) : none);
}
function openDrop(drop) {
  const where = [name(drop.device), name(drop.netns), ownerOf(drop)].filter(Boolean).join(' · ');
  return make('li', {}, make('code', {}, clock.format(new Date(drop.time)) + '  ' + packetOf(drop)),
    make('div', { class: 'faint' }, where), drop.stack && make('pre', {}, drop.stack.join('\n')));
}
async function explain(key, row) {
  const unspecific = !row.reason || row.reason === 'NOT_SPECIFIED';
  const asked = [unspecific ? null : row.reason, row.trap ? row.trap.name : row.function, unspecific ? row.reason : null].filter(Boolean);
  let entries = [];
  for (const one of asked) {
    const response = await ask('/api/v1/explain/' + encodeURIComponent(one)).catch(() => null);
    if (response && response.ok) entries = entries.concat((await response.json()).entries);
    if (entries.length) break;
  }
  if (state.open !== key) return;
  const [entry] = entries;
  if (!entry) {
    $('open-told').replaceChildren(make('p', { class: 'faint' }, 'The knowledge base says nothing about it.'));
    return;
  }
  const step = one => make('li', { class: 'step' }, one.command && make('pre', {}, '$ ' + one.command), one.note && make('p', {}, one.note));
  const part = (title, items) => items.length ? [make('h3', {}, title), make('ul', {}, ...items)] : [];
  $('open-told').replaceChildren(make('p', { class: 'meaning' }, entry.meaning), ...(entry.normal ? [make('p', { class: 'faint' }, entry.normal)] : []));
  $('open-todo').replaceChildren(
    ...part('Usual causes', entry.causes.map(cause => make('li', {}, cause))),
    ...part('How to tell', entry.confirm.map(step)),
    ...part('Remedy', entry.remedy.map(step)),
    ...(entry.caution ? [make('p', { class: 'caution' }, entry.caution)] : []),
  );
}

// ---- the connection

function ask(path, options = {}) {
  const token = sessionStorage.getItem('token');
  const headers = token ? { Authorization: 'Bearer ' + token } : {};
  return fetch(path, { ...options, headers, cache: 'no-store' });
}
function tell(kind, text) {
  $('state').dataset.state = kind;
  write($('state'), text);
}
function login() {
  return new Promise(done => {
    const dialog = $('login');
    $('login-error').hidden = !sessionStorage.getItem('token');
    const enter = () => {
      sessionStorage.setItem('token', $('token').value.trim());
      $('token').value = '';
      dialog.close();
      done();
    };
    $('enter').onclick = enter;
    $('token').onkeydown = event => { if (event.key === 'Enter') enter(); };
    dialog.oncancel = event => event.preventDefault();
    if (!dialog.open) dialog.showModal();
  });
}
function event(kind, data) {
  if (kind === 'start') start(data);
  else if (kind === 'summary') step(data);
  else if (kind === 'drop') keep(data);
  else if (kind === 'skipped') state.skipped += data.drops;
  else if (kind === 'end') return false;
  return true;
}
async function follow(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split('\n\n');
    text = events.pop();
    for (const one of events) {
      const [, kind, data] = /^event: (\w+)\ndata: (.*)$/s.exec(one) || [];
      if (kind && !event(kind, JSON.parse(data))) return tell('lost', 'ended');
    }
    if (!state.paused) draw();
    tell('live', state.paused ? 'paused' : 'live');
  }
}
async function first() {
  const [build, drops] = await Promise.all([ask('/api/v1/build'), ask('/api/v1/drops?limit=200')]);
  if (build.ok) {
    const told = await build.json();
    write($('host'), told.host);
    write($('kernel'), told.kernel ? 'Linux ' + told.kernel : '');
    document.title = told.host ? told.host + ' · netdrop' : 'netdrop';
  }
  if (drops.ok && !state.drops.length) (await drops.json()).drops.reverse().forEach(keep);
}
async function run() {
  for (let pause = 1; ; pause = Math.min(pause * 2, 15)) {
    try {
      const response = await ask('/api/v1/stream');
      if (response.status === 401) { await login(); pause = .5; continue; }
      if (!response.ok) throw new Error(String(response.status));
      await first();
      pause = 1;
      await askDoctor();
      const doctor = setInterval(askDoctor, DOCTOR_MS);
      await follow(response).finally(() => clearInterval(doctor));
    } catch (error) {
      // The server has gone, or the network has: both may come back.
    }
    for (let left = pause; left > 0; left--) {
      tell('lost', `lost, again in ${left} s`);
      await new Promise(done => setTimeout(done, 1000));
    }
    tell('connecting', 'connecting');
  }
}

// ---- the hands

function search(text) {
  $('filter').value = text;
  state.filter = text.toLowerCase();
  draw();
}
const THEMES = ['auto', 'light', 'dark'];
const system = matchMedia('(prefers-color-scheme: dark)');
function theme(chosen) {
  const dark = chosen === 'dark' || (chosen !== 'light' && system.matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  $('theme').dataset.chosen = chosen;
  write($('theme'), chosen[0].toUpperCase() + chosen.slice(1));
}
system.addEventListener('change', () => theme($('theme').dataset.chosen));
$('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf($('theme').dataset.chosen) + 1) % THEMES.length];
  localStorage.setItem('theme', next);
  theme(next);
});
theme(THEMES.includes(localStorage.getItem('theme')) ? localStorage.getItem('theme') : 'auto');
$('filter').addEventListener('input', () => search($('filter').value));
$('noise').addEventListener('change', () => { state.noise = $('noise').checked; draw(); });
$('pause').addEventListener('click', () => {
  state.paused = !state.paused;
  $('pause').setAttribute('aria-pressed', state.paused);
  write($('pause'), state.paused ? 'Go on' : 'Pause');
  if (!state.paused) draw();
});
for (const button of document.querySelectorAll('th[data-sort] button')) {
  button.addEventListener('click', () => {
    const sort = button.closest('th').dataset.sort;
    state.ascending = sort === state.sort && !state.ascending;
    state.sort = sort;
    drawSites();
  });
}
for (const tab of document.querySelectorAll('[data-pane]')) {
  tab.addEventListener('click', () => {
    state.pane = tab.dataset.pane;
    document.querySelectorAll('[data-pane]').forEach(one => one.setAttribute('aria-selected', one === tab));
    drawPane();
  });
}
$('close').addEventListener('click', () => $('site').close());
$('site').addEventListener('click', event => { if (event.target === $('site')) $('site').close(); });
$('site').addEventListener('close', () => { state.open = null; });
addEventListener('keydown', event => {
  if (event.key !== '/' || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  $('filter').focus();
});
run();
