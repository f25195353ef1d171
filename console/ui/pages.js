import { element, get, may, send } from './api.js';
import { dialog, duration, field, h, number, time, toast, typed } from './dom.js';
import { list } from './list.js';
import { compose, details, preview } from './queue.js';

// ask confirms a change, carries it out and looks again.
function ask(page, title, text, action, change, danger = true) {
  dialog({
    title, text, action, danger,
    done: async () => {
      await change();
      page.refresh();
    },
  });
}

const button = (title, onclick, danger) => h('button', { class: danger ? 'small danger' : 'small', onclick }, title);

export function topics(page) {
  const l = list({
    page, path: '/topics', key: (t) => t.name, filter: 'Part of a name, or news.>', none: 'Nobody subscribes to a topic, and none was made on purpose.',
    columns: [
      ['Topic', (t) => [t.name, t.created && h('span', { class: 'badge' }, 'made on purpose')], { sort: 'name' }],
      ['Subscribers', (t) => number(t.subscribers), { n: true, sort: 'subscribers' }],
      ['Durable subscriptions', (t) => h('a', { href: `#/subscriptions?filter=${element(t.name)}` }, number(t.durableSubscriptions)), { n: true }],
      ['', (t) => !/[*>]/.test(t.name) && [
        may('operate') && button('Send', () => compose(page, `/topics/${element(t.name)}`, t.name)),
        may('admin') && button('Delete', () => typed({
          title: `Delete ${t.name}`, name: t.name, action: 'Delete', text: 'What it remembers and its durable subscriptions go too, and its subscribers are disconnected.',
          done: async () => { await send('DELETE', `/topics/${element(t.name)}?force=true`); page.refresh(); },
        }), true)], { n: true }],
    ],
  });
  const create = () => dialog({
    title: 'New topic', action: 'Create', text: 'Topics need not be made: this one is listed without subscribers, and usable where policies forbid making them by use.',
    fields: [field('Name', h('input', { name: 'name', required: true, autofocus: true, spellcheck: 'false' }))],
    done: async ({ name }) => { await send('POST', '/topics', { name }); page.refresh(); },
  });
  page.show('Topics', h('div', { class: 'bar' }, l.tools, may('admin') && h('button', { class: 'primary', onclick: create }, 'New topic')), l.table);
  page.every(2000, l.refresh);
}

export function subscriptions(page) {
  const path = (s) => `/subscriptions/${element(s.clientId || '*')}/${element(s.name)}`;
  const l = list({
    page, path: '/subscriptions', key: (s) => `${s.clientId}\n${s.name}\n${s.topic}`, filter: 'Part of a client id, name or topic', none: 'Nobody subscribes to a topic.',
    columns: [
      ['Client', (s) => s.clientId || 'any', { sort: 'name' }],
      ['Name', (s) => [s.name ?? '', s.durable && h('span', { class: 'badge' }, 'durable'), s.shared && h('span', { class: 'badge' }, 'shared'), s.durable && !s.active && h('span', { class: 'badge warn' }, 'offline')]],
      ['Topic', (s) => s.topic], ['Selector', (s) => s.selector ?? ''],
      ['Messages', (s) => number(s.messages), { sort: 'messages', n: true }], ['In flight', (s) => number(s.inFlight), { n: true }],
      ['Consumers', (s) => number(s.consumers), { n: true }],
      ['', (s) => s.durable && [
        button('Browse', () => waiting(path(s), s.name)),
        may('operate') && button('Purge', () => ask(page, `Purge ${s.name}?`, 'All messages that wait for it are removed for good.', 'Purge', () => send('POST', `${path(s)}/purge`)), true),
        may('admin') && button('Delete', () => ask(page, `Delete ${s.name}?`, 'The subscription goes with all that waits for it.', 'Delete', () => send('DELETE', path(s))), true)], { n: true }],
    ],
  });
  page.show('Subscriptions', l.tools, l.table);
  page.every(2000, l.refresh);
}

// waiting shows the first messages that wait for a subscription.
async function waiting(path, name) {
  try {
    const got = await get(`${path}/messages`, { limit: 50, maxBody: 4000 });
    dialog({
      title: `Waiting for ${name}`, wide: true,
      fields: got.items.length ? got.items.map((m) => h('details', {}, h('summary', {}, time(m.timestamp), ' ', preview(m)), details(m))) : [h('p', { class: 'quiet' }, 'Nothing waits.')],
    });
  } catch (e) {
    toast(e.message, true);
  }
}

export function connections(page) {
  const l = list({
    page, path: '/connections', key: (c) => c.id, filter: 'Part of a client id, address or user', none: 'Nobody is connected.',
    columns: [
      ['Client', (c) => c.clientId, { sort: 'name' }], ['User', (c) => c.user ?? '–'],
      ['Protocol', (c) => [`${c.protocol} ${c.version}`, c.secure && h('span', { class: 'badge' }, 'TLS')]], ['From', (c) => c.remote ?? ''],
      ['Since', (c) => time(c.since), { sort: 'since' }], ['Sent', (c) => number(c.sent), { sort: 'sent', n: true }],
      ['Delivered', (c) => number(c.delivered), { n: true }], ['Consumers', (c) => number(c.consumers), { n: true }], ['Unsettled', (c) => number(c.unsettled), { n: true }],
      ['', (c) => [c.waits && h('span', { class: 'badge warn', title: c.waits }, 'waits'),
        may('operate') && button('Close', () => dialog({
          title: `Close the connection of ${c.clientId}?`, action: 'Close it', danger: true, text: 'What its consumers have not settled goes to others. The client may connect again.',
          fields: [field('Reason, for the client', h('input', { name: 'reason', maxlength: 200 }))],
          done: async ({ reason }) => { await send('DELETE', `/connections/${c.id}?reason=${element(reason)}`); page.refresh(); },
        }), true)], { n: true }],
    ],
  });
  page.show('Connections', l.tools, l.table);
  page.every(2000, l.refresh);
}

export function schedules(page) {
  const rows = h('tbody', {});
  const count = h('span', { class: 'count' });
  const earlier = [];
  let after = '';
  const previous = h('button', { onclick: () => { after = earlier.pop() ?? ''; page.refresh(); } }, 'Previous');
  const following = h('button', { onclick: () => { earlier.push(after); after = following.dataset.next; page.refresh(); } }, 'Next');
  page.show('Schedules', h('div', { class: 'card' }, h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, h('tr', {},
    ['Due', 'To', 'Repeats', 'Body', 'Id', ''].map((t) => h('th', { scope: 'col' }, t)))), rows)), h('div', { class: 'pager' }, count, previous, following)));
  page.every(2000, async (signal) => {
    const got = await get('/schedules', { after, limit: 50 }, signal);
    const path = (s) => `/schedules/${element(s.id)}`;
    rows.replaceChildren(...got.items.map((s) => h('tr', {}, h('th', { scope: 'row' }, time(s.due)), h('td', {}, s.message?.destination ?? 'not shown'),
      h('td', {}, s.cron ? [h('code', {}, s.cron), s.zone ? ` ${s.zone}` : ''] : s.repeat ? `every ${duration(s.period / 1000)}, ${number(s.left)} left` : 'once'),
      h('td', { class: 'preview' }, s.message ? preview(s.message) : ''), h('td', {}, s.id),
      h('td', { class: 'n' }, may('operate') && [
        button('Send now', () => ask(page, 'Send it now?', 'It is sent once, besides its schedule.', 'Send', () => send('POST', `${path(s)}/run`), false)),
        button('Remove', () => ask(page, 'Remove the schedule?', 'It is never sent again.', 'Remove', () => send('DELETE', path(s))), true)]))));
    if (!got.items.length) rows.replaceChildren(h('tr', {}, h('td', { class: 'empty', colspan: 6 }, 'Nothing is scheduled.')));
    count.textContent = got.total ? `${number(got.total)} in all` : '';
    previous.disabled = earlier.length === 0;
    following.disabled = !got.next;
    following.dataset.next = got.next ?? '';
  });
}

export function transactions(page) {
  const l = list({
    page, path: '/transactions', key: (t) => t.id, filter: 'Part of an id or user', none: 'No transaction waits for its end.',
    columns: [
      ['Transaction', (t) => h('code', {}, t.id), { sort: 'name' }], ['User', (t) => t.user ?? '–'], ['To', (t) => t.destinations.join(', ')],
      ['Sends', (t) => number(t.sends), { n: true }], ['Takes', (t) => number(t.settles), { n: true }],
      ['', (t) => ['commit', 'rollback'].map((verb) => button(verb === 'commit' ? 'Commit' : 'Roll back',
        () => ask(page, `${verb === 'commit' ? 'Commit' : 'Roll back'} it?`, 'Only if its transaction manager is lost: the manager can no longer decide.', verb === 'commit' ? 'Commit' : 'Roll back',
          () => send('POST', `/transactions/${t.id}/${verb}`)), true)), { n: true }],
    ],
  });
  page.show('Transactions', h('p', { class: 'quiet' }, 'Prepared transactions (XA) that wait for their transaction manager.'), l.tools, l.table);
  page.every(3000, l.refresh);
}

export function cluster(page) {
  const about = h('dl', { class: 'strip' });
  const rows = h('tbody', {});
  const table = h('section', { class: 'card', 'aria-labelledby': 'members', hidden: true }, h('h2', { id: 'members' }, 'Nodes'), h('div', { class: 'scroll' }, h('table', {},
    h('thead', {}, h('tr', {}, ['Node', 'Role', 'In sync', 'Address'].map((t) => h('th', { scope: 'col' }, t)), ['Lag, records', 'Silent for'].map((t) => h('th', { scope: 'col', class: 'n' }, t)))), rows)));
  page.show('Cluster', about, may('admin') && h('div', { class: 'buttons' }, h('button', {
    onclick: () => ask(page, 'Let another node be the master?', 'Clients are disconnected and connect to the next master.', 'Step down', () => send('POST', '/cluster/step-down')),
  }, 'Step down')), table);
  page.every(2000, async (signal) => {
    const c = await get('/cluster', {}, signal);
    const { members } = await get('/cluster/members', {}, signal);
    const shown = [['Mode', c.mode], ['This node', c.node], ['Its role', c.role], ['Master', c.master], ['Epoch', c.epoch], ['Failovers', c.failovers], ['Lease', c.leaseSeconds == null ? null : `${c.leaseSeconds.toFixed(1)} s`],
      ['Committed', c.copy && number(c.copy.committed)], ['Quorum', c.copy?.quorum]].filter(([, v]) => v != null && v !== '');
    about.replaceChildren(...shown.map(([t, v]) => h('div', {}, h('dt', {}, t), h('dd', {}, v))));
    table.hidden = members.length === 0;
    rows.replaceChildren(...members.map((m) => h('tr', {}, h('th', { scope: 'row' }, m.node), h('td', {}, m.master ? 'master' : 'standby'),
      h('td', {}, h('span', { class: m.inSync ? 'badge good' : 'badge warn' }, m.inSync ? 'yes' : m.phase || 'no')), h('td', {}, m.address ?? ''),
      h('td', { class: 'n' }, m.lag == null ? '–' : number(m.lag)), h('td', { class: 'n' }, m.silentSeconds == null ? '–' : `${m.silentSeconds.toFixed(1)} s`))));
  });
}
