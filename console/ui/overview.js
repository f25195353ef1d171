import { element, get, rates } from './api.js';
import { duration, h, number, rate, size, time } from './dom.js';

const kept = 120; // seconds that the chart shows
const lines = [['published', 'Published'], ['delivered', 'Delivered'], ['acknowledged', 'Acknowledged']];

export function overview(page) {
  const figures = h('div', { class: 'figures' });
  const chart = h('div', { class: 'chart' });
  const now = h('dl', { class: 'legend' });
  const attention = h('div', {});
  const listeners = h('tbody', {});
  const about = h('p', { class: 'quiet' });
  const history = [];
  page.show('Overview',
    about, figures,
    h('section', { class: 'card', 'aria-labelledby': 'rates' }, h('h2', { id: 'rates' }, 'Messages a second'), now, chart),
    h('div', { class: 'columns' },
      h('section', { class: 'card', 'aria-labelledby': 'attention' }, h('h2', { id: 'attention' }, 'Needs attention'), attention),
      h('section', { class: 'card', 'aria-labelledby': 'listeners' }, h('h2', { id: 'listeners' }, 'Listeners'),
        h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Name'), h('th', { scope: 'col' }, 'Address'))), listeners))));

  page.every(2000, async (signal) => {
    const [b, unserved, paused, dead] = await Promise.all([
      get('/broker', {}, signal),
      get('/queues', { state: 'noConsumers', sort: 'messages', order: 'desc', limit: 5 }, signal),
      get('/queues', { state: 'paused', limit: 5 }, signal),
      get('/queues', { filter: 'DLQ', state: 'backlog', sort: 'messages', order: 'desc', limit: 5 }, signal),
    ]);
    about.textContent = `${b.name}, Entrepot ${b.version}, up for ${duration(b.uptimeSeconds)} since ${time(b.startedAt)}`;
    figures.replaceChildren(
      figure('Messages waiting', number(b.messages), '#/queues?state=backlog'), figure('In flight', number(b.inFlight)),
      figure('Queues', number(b.queues), '#/queues'), figure('Subscriptions', number(b.durableSubscriptions), '#/subscriptions'),
      figure('Connections', number(b.connections), '#/connections'), figure('Consumers', number(b.consumers)),
      figure('Memory', size(b.memoryUsed), null, b.memoryLimit ? b.memoryUsed / b.memoryLimit : null), figure('On disk', size(b.storeBytes)));
    listeners.replaceChildren(...Object.entries(b.listeners).map(([name, uri]) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, uri))));
    attention.replaceChildren(...concerns(b, unserved, paused, dead));
  });
  page.follow(async (signal) => {
    for await (const r of rates(signal)) {
      history.push(r);
      if (history.length > kept) history.shift();
      now.replaceChildren(...lines.map(([key, title], i) => h('div', { class: `line${i}` }, h('dt', {}, title), h('dd', {}, rate(r[key])))));
      chart.replaceChildren(draw(history));
    }
  });
}

function figure(title, value, href, part) {
  const inside = [h('span', { class: 'title' }, title), h('span', { class: 'value' }, value),
    part != null && h('meter', { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0, value: part, 'aria-label': `${Math.round(part * 100)} % of the limit` })];
  return href ? h('a', { class: 'figure', href }, inside) : h('div', { class: 'figure' }, inside);
}

// concerns are what an operator would look at first.
function concerns(b, unserved, paused, dead) {
  const rows = [];
  const row = (q, text) => rows.push(h('li', {}, h('a', { href: `#/queues/${element(q.name)}` }, q.name), ` ${text}`));
  if (b.waitingProducers) rows.push(h('li', {}, `Producers that wait: ${number(b.waitingProducers)}. Either memory, the disk or a queue is full.`));
  dead.items.forEach((q) => row(q, `holds ${q.messages === 1 ? 'a dead letter' : `${number(q.messages)} dead letters`}`));
  unserved.items.filter((q) => !dead.items.some((d) => d.name === q.name)).forEach((q) => row(q, `${q.messages === 1 ? '1 message' : `${number(q.messages)} messages`}, no consumer`));
  paused.items.forEach((q) => row(q, 'is paused'));
  return rows.length ? [h('ul', { class: 'concerns' }, rows)] : [h('p', { class: 'good' }, 'Nothing. Every queue with messages has a consumer.')];
}

// draw makes the chart of the last two minutes; its figures stand in the legend, too.
function draw(history) {
  const width = 1140;
  const height = 170;
  const top = nice(Math.max(1, ...history.flatMap((r) => lines.map(([key]) => r[key]))));
  const x = (i) => width - (history.length - 1 - i) * (width / (kept - 1));
  const y = (v) => height - (v / top) * (height - 12);
  return h('svg', { viewBox: `0 0 ${width + 60} ${height + 8}`, role: 'img', 'aria-label': 'Rates of the last two minutes' },
    [0, 0.5, 1].map((part) => h('g', {},
      h('line', { x1: 0, x2: width, y1: y(top * part), y2: y(top * part), class: 'grid' }),
      h('text', { x: width + 6, y: y(top * part) + 4 }, rate(top * part)))),
    lines.map(([key], i) => h('polyline', { class: `line${i}`, points: history.map((r, n) => `${x(n).toFixed(1)},${y(r[key]).toFixed(1)}`).join(' ') })));
}

// nice rounds up to 1, 2 or 5 times a power of ten.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].find((m) => m * power >= n) * power;
}
