// The console: which page the address asks for, who looks at it, and how often it looks at the broker.

import { get, identify, login, logout, may, who } from './api.js';
import { dialog, field, h, toast } from './dom.js';
import { overview } from './overview.js';
import { cluster, connections, schedules, subscriptions, topics, transactions } from './pages.js';
import { queue, queues } from './queue.js';

const main = document.getElementById('main');
const banner = document.getElementById('banner');

const pages = [
  ['', 'Overview', overview], ['queues', 'Queues', queues], ['topics', 'Topics', topics], ['subscriptions', 'Subscriptions', subscriptions],
  ['connections', 'Connections', connections], ['schedules', 'Schedules', schedules], ['transactions', 'Transactions', transactions, 'admin'], ['cluster', 'Cluster', cluster],
];
let current;
let grouped = false;

// Page is what a page's code works with; it ends when another one is shown.
class Page {
  constructor(path, search) {
    this.path = path;
    this.query = search;
    this.ending = new AbortController();
  }

  show(title, ...content) {
    document.title = `${title} – Entrepot`;
    main.replaceChildren(h('h1', {}, title), ...content.flat().filter(Boolean));
  }

  // every has look run now and again each so many milliseconds while the page can be seen.
  every(period, look) {
    this.look = look;
    const round = async () => {
      if (this.ending.signal.aborted) return;
      if (!document.hidden) await this.refresh();
      setTimeout(round, period);
    };
    round();
  }

  // follow has a stream run, and again after it broke.
  async follow(stream) {
    while (!this.ending.signal.aborted) {
      try {
        await stream(this.ending.signal);
      } catch { /* what is wrong is said by the looks */ }
      await new Promise((resolve) => { setTimeout(resolve, 3000); });
    }
  }

  async refresh(look = this.look) {
    try {
      await look(this.ending.signal);
      say('');
    } catch (e) {
      if (!this.ending.signal.aborted) say(e.message);
    }
  }

  // go shows the same page with another query.
  go(search) {
    if (this.ending.signal.aborted) return; // another page is shown by now
    const text = search.toString();
    history.replaceState(null, '', `#${this.path}${text ? `?${text}` : ''}`);
    const focus = document.activeElement?.id;
    route();
    const again = focus && document.getElementById(focus);
    if (again) {
      again.focus();
      again.setSelectionRange?.(again.value.length, again.value.length);
    }
  }
}

function say(text) {
  banner.textContent = text;
  banner.hidden = !text;
}

function route() {
  const [path, search] = (location.hash.slice(1) || '/').split('?');
  const [first, second] = path.split('/').slice(1).map(decodeURIComponent);
  current?.ending.abort();
  current = new Page(path, new URLSearchParams(search));
  document.querySelectorAll('#nav a').forEach((a) => a.setAttribute('aria-current', a.dataset.page === first ? 'page' : 'false'));
  const known = pages.find(([name]) => name === first);
  if (!may('read')) current.show('Log in', h('p', {}, who().users ? 'Your user has no role here. Ask an administrator to put it into the group of readers, operators or admins.' : 'Only programs on the broker’s machine are served.'));
  else if (first === 'queues' && second) queue(current, second);
  else if (known) known[2](current);
  else current.show('Nothing here', h('p', {}, h('a', { href: '#/' }, 'To the overview')));
}

function frame() {
  document.getElementById('nav').replaceChildren(...pages.filter(([name, , , role]) => may(role ?? 'read') && (name !== 'cluster' || grouped))
    .map(([name, title]) => h('a', { href: `#/${name}`, 'data-page': name }, title)));
  const w = who();
  document.getElementById('who').replaceChildren(...(w.users
    ? [h('span', {}, `${w.name} `, h('small', {}, w.role)), h('button', { class: 'small', onclick: w.name === 'anonymous' ? askLogin : logout }, w.name === 'anonymous' ? 'Log in' : 'Log out')]
    : [h('span', {}, h('small', {}, 'this machine, no users'))]));
}

async function begin() {
  try {
    grouped = may('read') && (await get('/cluster')).mode !== 'alone';
  } catch (e) {
    say(e.message);
  }
  frame();
  route();
}

let asking;
function askLogin(event) {
  if (asking?.isConnected) return;
  asking = dialog({
    title: 'Log in', action: 'Log in', text: event?.detail?.detail,
    fields: [field('User', h('input', { name: 'user', autocomplete: 'username', required: true, autofocus: true, spellcheck: 'false' })),
      field('Password', h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true }))],
    done: async ({ user, password }) => {
      await login(user, password);
      await begin();
    },
  });
}

window.addEventListener('login', askLogin);
window.addEventListener('hashchange', () => { route(); main.focus(); });
window.addEventListener('unhandledrejection', (e) => toast(e.reason?.message ?? String(e.reason), true));
document.addEventListener('keydown', (e) => {
  const search = document.getElementById('filter');
  if (e.key === '/' && search && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    e.preventDefault();
    search.select();
  }
});

try {
  await identify();
  await begin();
  if (who().users && !may('read') && who().name === 'anonymous') askLogin();
} catch (e) {
  say(e.message);
}
