import { element, get, may, query, save, send, transfer, upload } from './api.js';
import { dialog, field, h, number, rate, size, time, toast, typed } from './dom.js';
import { list, perSecond } from './list.js';

const states = [['', 'All'], ['backlog', 'Backlog'], ['noConsumers', 'No consumers'], ['paused', 'Paused'], ['empty', 'Empty'], ['temporary', 'Temporary']];

export function queues(page) {
  const arrives = perSecond('enqueued');
  const leaves = perSecond('dequeued');
  const l = list({
    page, path: '/queues', key: (q) => q.name, filter: 'Part of a name, or orders.>', states,
    none: 'There are no queues yet. A client that sends to one makes it.',
    columns: [
      ['Queue', (q) => [h('a', { href: `#/queues/${element(q.name)}` }, q.name), badges(q)], { sort: 'name' }],
      ['Messages', (q) => number(q.messages), { sort: 'messages', n: true }],
      ['In flight', (q) => number(q.inFlight), { sort: 'inFlight', n: true }],
      ['Consumers', (q) => number(q.consumers), { sort: 'consumers', n: true }],
      ['In/s', (q, before) => rate(arrives(q, before)), { n: true }],
      ['Out/s', (q, before) => rate(leaves(q, before)), { n: true }],
      ['Enqueued', (q) => number(q.enqueued), { sort: 'enqueued', n: true }],
      ['Dequeued', (q) => number(q.dequeued), { sort: 'dequeued', n: true }],
    ],
  });
  page.show('Queues', h('div', { class: 'bar' }, l.tools, may('admin') && h('button', { class: 'primary', onclick: () => create(page) }, 'New queue')), l.table);
  page.every(2000, l.refresh);
}

function badges(q) {
  return [q.paused && h('span', { class: 'badge warn' }, 'paused'), q.messages > 0 && q.consumers === 0 && h('span', { class: 'badge' }, 'no consumers')];
}

function create(page) {
  dialog({
    title: 'New queue', action: 'Create', fields: [field('Name', h('input', { name: 'name', required: true, autofocus: true, spellcheck: 'false' }))],
    done: async ({ name }) => {
      await send('POST', '/queues', { name });
      location.hash = `#/queues/${element(name)}`;
      page.refresh();
    },
  });
}

// queue is the page of one queue: its figures, what can be done, what is in it.
export function queue(page, name) {
  const path = `/queues/${element(name)}`;
  const figures = h('dl', { class: 'strip' });
  const pausing = h('button', { onclick: () => act(pausing.dataset.verb) });
  const consumers = h('tbody', {});
  const messages = browser(page, name, path);

  async function act(verb) {
    await attempt(page, () => send('POST', `${path}/${verb}`), verb === 'pause' ? 'Paused: nothing is delivered until it is resumed.' : 'Resumed.');
  }

  page.show(name,
    h('p', { class: 'quiet' }, h('a', { href: '#/queues' }, 'Queues'), ` / ${name}`), figures,
    may('operate') && h('div', { class: 'buttons' },
      h('button', { class: 'primary', onclick: () => compose(page, path, name) }, 'Send a message'), pausing,
      h('button', { onclick: () => bring(page, path) }, 'Import'),
      h('button', { onclick: () => retryAll(page, name) }, 'Retry all'),
      h('button', { onclick: () => elsewhere(page, name, 'move', { all: true }, 'all messages') }, 'Move all'),
      h('button', { class: 'danger', onclick: () => purge(page, path, name) }, 'Purge'),
      may('admin') && h('button', { class: 'danger', onclick: () => remove(page, path, name) }, 'Delete')),
    messages.section,
    h('section', { class: 'card', 'aria-labelledby': 'consumers' }, h('h2', { id: 'consumers' }, 'Consumers'),
      h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {},
        ['Client', 'Selector'].map((t) => h('th', { scope: 'col' }, t)), ['Priority', 'Delivered', 'Unsettled', 'Window'].map((t) => h('th', { scope: 'col', class: 'n' }, t)))), consumers))));

  let before;
  page.every(2000, async (signal) => {
    const [q, c] = await Promise.all([get(path, {}, signal), get(`${path}/consumers`, { limit: 50 }, signal)]);
    const at = performance.now();
    const seconds = before && (at - before.at) / 1000;
    const per = (key) => rate(before && Math.max(0, q[key] - before.q[key]) / seconds);
    const shown = [['Messages', number(q.messages)], ['In flight', number(q.inFlight)], ['Consumers', number(q.consumers)], ['In/s', per('enqueued')],
      ['Out/s', per('dequeued')], ['Enqueued', number(q.enqueued)], ['Dequeued', number(q.dequeued)], ['Expired', number(q.expired)], ['Dead-lettered', number(q.deadLettered)]];
    figures.replaceChildren(...shown.map(([t, v]) => h('div', {}, h('dt', {}, t), h('dd', {}, v))), q.paused ? h('span', { class: 'badge warn' }, 'paused') : '');
    pausing.dataset.verb = q.paused ? 'resume' : 'pause';
    pausing.textContent = q.paused ? 'Resume' : 'Pause';
    consumers.replaceChildren(...(c.items.length ? c.items : [null]).map((x) => (x
      ? h('tr', {}, h('th', { scope: 'row' }, h('a', { href: `#/connections?filter=${element(x.clientId)}` }, x.clientId), x.browse && h('span', { class: 'badge' }, 'browser'), x.exclusive && h('span', { class: 'badge' }, 'exclusive')),
        h('td', {}, x.selector ?? ''), [x.priority, x.delivered, x.unsettled, x.window].map((v) => h('td', { class: 'n' }, number(v))))
      : h('tr', {}, h('td', { class: 'empty', colspan: 6 }, 'Nobody consumes.')))));
    if (!before || before.q.messages !== q.messages || before.q.dequeued !== q.dequeued) await messages.refresh(signal);
    before = { q, at };
  });
}

// attempt carries out a change, says how it went, and looks again.
async function attempt(page, change, text) {
  try {
    const said = await change();
    toast(typeof text === 'function' ? text(said) : text);
  } catch (e) {
    toast(e.message, true);
  }
  page.refresh();
}

// browser shows what waits, a page at a time; what is chosen can be worked with.
function browser(page, name, path) {
  const chosen = new Set();
  let from = '';
  let earlier = [];
  const rows = h('tbody', {});
  const selector = h('input', { type: 'search', 'aria-label': 'Selector', placeholder: "Selector, such as region = 'north'", value: page.query.get('selector') ?? '', spellcheck: 'false' });
  const all = h('input', { type: 'checkbox', 'aria-label': 'Choose all shown', onchange: () => rows.querySelectorAll('input').forEach((i) => { if (i.checked !== all.checked) i.click(); }) });
  const doing = h('div', { class: 'buttons', hidden: true });
  const previous = h('button', { onclick: () => { from = earlier.pop() ?? ''; page.refresh(refresh); } }, 'Previous');
  const following = h('button', { onclick: () => { earlier.push(from); from = following.dataset.next; page.refresh(refresh); } }, 'Next');
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const operate = may('operate');

  const search = h('form', { class: 'tools', onsubmit: (e) => {
    e.preventDefault();
    from = '';
    earlier = [];
    chosen.clear();
    page.refresh(refresh);
  } }, selector, h('button', {}, 'Select'), h('button', { type: 'button', onclick: () => attempt(page, () => save(`${path}/export${query({ selector: selector.value })}`, `${name}.jsonl`), 'Exported.') }, 'Export'));

  function choose(ref, on) {
    on ? chosen.add(ref) : chosen.delete(ref);
    const refs = () => ({ messages: [...chosen] });
    const n = chosen.size === 1 ? '1 message' : `${chosen.size} messages`;
    doing.hidden = chosen.size === 0;
    doing.replaceChildren(h('span', {}, `${n} chosen`),
      h('button', { onclick: () => elsewhere(page, name, 'move', refs(), n, clear) }, 'Move'),
      h('button', { onclick: () => elsewhere(page, name, 'copy', refs(), n, clear) }, 'Copy'),
      h('button', { onclick: () => attempt(page, () => transfer(name, 'retry', refs()), clear) }, 'Retry'),
      h('button', { class: 'danger', onclick: () => dialog({
        title: `Delete ${n}?`, text: 'They are gone for good.', action: 'Delete', danger: true,
        done: () => attempt(page, () => transfer(name, 'delete', refs()), clear),
      }) }, 'Delete'));
  }
  function clear(said) {
    chosen.clear();
    doing.hidden = true;
    all.checked = false;
    page.refresh(refresh);
    return said;
  }

  async function refresh(signal) {
    problem.hidden = true;
    let got;
    try {
      got = await get(`${path}/messages`, { from, limit: 50, selector: selector.value.trim(), maxBody: 200 }, signal);
    } catch (e) {
      if (e.status !== 400) throw e;
      problem.textContent = e.message; // of the selector
      problem.hidden = false;
      return;
    }
    rows.replaceChildren(...got.items.map((m) => h('tr', {},
      operate && h('td', { class: 'pick' }, h('input', { type: 'checkbox', 'aria-label': `Choose ${m.messageId || m.id}`, checked: chosen.has(m.ref), onchange: (e) => choose(m.ref, e.target.checked) })),
      h('th', { scope: 'row' }, h('button', { class: 'plain link', onclick: () => show(page, path, m.ref) }, m.messageId || m.id),
        m.inFlight && h('span', { class: 'badge' }, 'in flight'), m.redeliveries > 0 && h('span', { class: 'badge warn' }, `redelivered ${m.redeliveries}×`)),
      h('td', {}, time(m.timestamp)), h('td', { class: 'n' }, m.priority), h('td', { class: 'n' }, size(m.size)), h('td', { class: 'preview' }, preview(m)))));
    if (got.items.length === 0) rows.replaceChildren(h('tr', {}, h('td', { class: 'empty', colspan: 6 }, selector.value ? 'Nothing is selected here.' : 'No messages wait.')));
    previous.disabled = earlier.length === 0 && from === '';
    following.disabled = !got.next;
    following.dataset.next = got.next ?? '';
  }

  const section = h('section', { class: 'card', 'aria-labelledby': 'messages' }, h('h2', { id: 'messages' }, 'Messages'), search, problem, doing,
    h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {}, operate && h('th', { class: 'pick' }, all), ['Message', 'Time'].map((t) => h('th', { scope: 'col' }, t)),
      ['Priority', 'Size'].map((t) => h('th', { scope: 'col', class: 'n' }, t)), h('th', { scope: 'col' }, 'Body'))), rows)),
    h('div', { class: 'pager' }, previous, following));
  return { section, refresh };
}

export function preview(m) {
  if (m.viewError) return h('span', { class: 'problem' }, m.viewError);
  const b = m.body;
  if (!b || b.kind === 'none') return h('span', { class: 'quiet' }, 'no body');
  const text = b.text ?? (b.value === undefined ? `${b.kind}, ${size(b.size)}` : JSON.stringify(b.value));
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

// show has a message whole, its body as text, JSON or bytes.
async function show(page, path, ref) {
  let m;
  try {
    m = await get(`${path}/messages/${element(ref)}`);
  } catch (e) {
    toast(e.message, true);
    return;
  }
  dialog({ title: 'Message', wide: true, fields: details(m, `${path}/messages/${element(ref)}/body`) });
}

export function details(m, bodyPath) {
  const facts = [['Id', m.id], ['Message id', m.messageId], ['Destination', m.destination], ['Came from', m.origin], ['Reply to', m.replyTo], ['Correlation id', m.correlationId],
    ['Sent', time(m.timestamp)], ['Expires', m.expires ? time(m.expires) : ''], ['Persistent', m.persistent ? 'yes' : 'no'], ['Priority', m.priority], ['Group', m.groupId],
    ['Type', m.type], ['Content type', m.contentType], ['User', m.userId], ['Redeliveries', m.redeliveries], ['Encoding', m.encoding]].filter(([, v]) => v || v === 0);
  const properties = [...(m.properties ?? []), ...(m.annotations ?? [])];
  const views = bodyViews(m.body);
  const body = h('pre', { tabindex: 0, 'aria-label': 'Body' }, views[0]?.[1]() ?? 'no body');
  return [
    h('dl', { class: 'facts' }, facts.map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])),
    properties.length > 0 && [h('h3', {}, 'Properties'), h('dl', { class: 'facts' }, properties.map((p) => [h('dt', {}, p.name), h('dd', {}, typeof p.value === 'object' ? JSON.stringify(p.value) : String(p.value))]))],
    h('h3', {}, 'Body'),
    h('div', { class: 'chips', role: 'group', 'aria-label': 'Body as' }, views.map(([title, text], i) => h('button', {
      type: 'button', class: 'chip', 'aria-pressed': String(i === 0),
      onclick: (e) => {
        body.textContent = text();
        e.target.parentElement.querySelectorAll('button').forEach((b) => b.setAttribute('aria-pressed', String(b === e.target)));
      },
    }, title)), bodyPath && m.body && m.body.kind !== 'none' && h('button', { type: 'button', class: 'chip', onclick: () => save(bodyPath, 'body').catch((e) => toast(e.message, true)) }, 'Download')),
    body,
  ];
}

function bodyViews(b) {
  if (!b || b.kind === 'none') return [];
  if (b.value !== undefined) return [['JSON', () => JSON.stringify(b.value, null, 2)]];
  const bytes = b.text === undefined ? Uint8Array.from(atob(b.base64 ?? ''), (c) => c.charCodeAt(0)) : new TextEncoder().encode(b.text);
  const views = [['Bytes', () => hex(bytes)]];
  if (b.text === undefined) return views;
  views.unshift(['Text', () => b.text]);
  try {
    const parsed = JSON.parse(b.text);
    if (typeof parsed === 'object') views.unshift(['JSON', () => JSON.stringify(parsed, null, 2)]);
  } catch { /* it is no JSON */ }
  return views;
}

function hex(bytes) {
  const out = [];
  const most = 16384;
  for (let i = 0; i < Math.min(bytes.length, most); i += 16) {
    const row = [...bytes.slice(i, i + 16)];
    out.push(`${i.toString(16).padStart(6, '0')}  ${row.map((x) => x.toString(16).padStart(2, '0')).join(' ').padEnd(47)}  ${row.map((x) => (x > 31 && x < 127 ? String.fromCharCode(x) : '·')).join('')}`);
  }
  if (bytes.length > most) out.push(`… and ${number(bytes.length - most)} bytes more`);
  return out.join('\n');
}

// compose sends a message to a queue or a topic.
export function compose(page, path, name) {
  dialog({
    title: `Send to ${name}`, action: 'Send', wide: true,
    fields: [
      field('Body', h('textarea', { name: 'text', rows: 8, autofocus: true, spellcheck: 'false' })),
      field('Properties', h('textarea', { name: 'properties', rows: 2, placeholder: 'region=north', spellcheck: 'false' }), 'One a line, name=value.'),
      h('div', { class: 'row' },
        field('Priority', h('input', { name: 'priority', type: 'number', min: 0, max: 9, value: 4 })),
        field('Time to live, seconds', h('input', { name: 'ttl', type: 'number', min: 0 })),
        field('Delay, seconds', h('input', { name: 'delay', type: 'number', min: 0 })),
        field('Cron', h('input', { name: 'cron', placeholder: '*/5 * * * *', spellcheck: 'false' }))),
      h('label', { class: 'check' }, h('input', { name: 'persistent', type: 'checkbox', checked: true }), 'Persistent'),
    ],
    done: async (f) => {
      const properties = f.properties.split('\n').filter((line) => line.trim()).map((line) => {
        const at = line.indexOf('=');
        if (at < 1) throw new Error(`"${line}" is not name=value.`);
        return { name: line.slice(0, at).trim(), type: 'string', value: line.slice(at + 1) };
      });
      const schedule = { delay: f.delay ? f.delay * 1000 : undefined, cron: f.cron.trim() || undefined };
      const message = {
        body: { kind: 'text', text: f.text }, properties, priority: Number(f.priority), persistent: f.persistent === 'on',
        expires: f.ttl > 0 ? Date.now() + f.ttl * 1000 : undefined, schedule: schedule.delay || schedule.cron ? schedule : undefined,
      };
      await send('POST', `${path}/messages`, message);
      toast(message.schedule ? 'Scheduled.' : 'Sent.');
      page.refresh();
    },
  });
}

function elsewhere(page, name, action, what, which, then = (said) => said) {
  const title = action === 'move' ? 'Move' : 'Copy';
  dialog({
    title: `${title} ${which}`, action: title,
    fields: [field('To the queue', h('input', { name: 'to', required: true, autofocus: true, spellcheck: 'false' })),
      h('label', { class: 'check' }, h('input', { name: 'create', type: 'checkbox' }), 'Make it if it does not exist')],
    done: async ({ to, create: make }) => {
      toast(then(await transfer(name, action, { ...what, to, create: make === 'on' })));
      page.refresh();
    },
  });
}

function retryAll(page, name) {
  dialog({
    title: 'Retry all messages', action: 'Retry', text: 'Each dead letter goes back to the destination that it came from. Others stay.',
    done: () => attempt(page, () => transfer(name, 'retry', { all: true }), (said) => said),
  });
}

function purge(page, path, name) {
  typed({
    title: `Purge ${name}`, name, action: 'Purge', text: 'All messages that wait are removed for good. Those with consumers stay.',
    done: () => attempt(page, () => send('POST', `${path}/purge`), (said) => `${number(said.removed)} messages are gone.`),
  });
}

function remove(page, path, name) {
  typed({
    title: `Delete ${name}`, name, action: 'Delete', text: 'The queue goes with all of its messages, and connections that consume from it are closed.',
    done: async () => {
      await send('DELETE', `${path}?force=true`);
      toast(`${name} is deleted.`);
      location.hash = '#/queues';
    },
  });
}

function bring(page, path) {
  const file = h('input', { name: 'file', type: 'file', accept: '.jsonl,.ndjson,.json', required: true });
  dialog({
    title: 'Import messages', action: 'Import', text: 'JSON lines, as an export writes them. Messages that wait here already are left out.', fields: [field('File', file)],
    done: async () => {
      const said = await upload(`${path}/import`, file.files[0]);
      toast(`${number(said.imported)} imported, ${number(said.duplicates)} were here already.`);
      page.refresh();
    },
  });
}
