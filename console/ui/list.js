// A list as the API pages it: sorted and filtered by the broker, its state in the address.

import { get } from './api.js';
import { h, number } from './dom.js';

const pageSize = 50;

// list returns a page's parts. columns are [title, cell(item, before), {sort, n}];
// before is the same item at the last look, with the seconds since.
export function list({ page, path, key, columns, filter, states, values = {}, none }) {
  const state = page.query;
  const limit = pageSize;
  const offset = Number(state.get('offset') ?? 0);
  let seen = new Map();
  let seenAt = 0;

  let typing;
  const go = (changes) => {
    clearTimeout(typing);
    const next = new URLSearchParams(state);
    if (search) changes = { filter: search.value.trim(), ...changes }; // what was typed just now, too
    for (const [k, v] of Object.entries(changes)) v === '' || v == null ? next.delete(k) : next.set(k, v);
    if (!('offset' in changes) || next.get('filter') !== state.get('filter')) next.delete('offset');
    page.go(next);
  };

  const head = h('tr', {}, columns.map(([title, , o = {}]) => {
    if (!o.sort) return h('th', { scope: 'col', class: o.n ? 'n' : null }, title);
    const on = (state.get('sort') ?? 'name') === o.sort;
    const down = state.get('order') === 'desc';
    const order = on ? (down ? '' : 'desc') : o.n ? 'desc' : '';
    return h('th', { scope: 'col', class: o.n ? 'n' : null, 'aria-sort': on ? (down ? 'descending' : 'ascending') : 'none' },
      h('button', { class: 'plain', id: `sort-${o.sort}`, onclick: () => go({ sort: o.sort, order }) }, title, h('span', { 'aria-hidden': 'true' }, on ? (down ? ' ▾' : ' ▴') : '')));
  }));
  const body = h('tbody', {});
  const count = h('span', { class: 'count' });
  const previous = h('button', { disabled: true, onclick: () => go({ offset: Math.max(0, offset - limit) || '' }) }, 'Previous');
  const following = h('button', { disabled: true, onclick: () => go({ offset: offset + limit }) }, 'Next');

  const search = filter && h('input', {
    type: 'search', id: 'filter', placeholder: filter, 'aria-label': filter, value: state.get('filter') ?? '', spellcheck: 'false',
    oninput: () => { clearTimeout(typing); typing = setTimeout(() => go({ filter: search.value.trim() }), 300); },
  });
  const chips = states && h('div', { class: 'chips', role: 'group', 'aria-label': 'State' }, states.map(([value, title]) => h('button', {
    class: 'chip', id: `state-${value}`, 'aria-pressed': String((state.get('state') ?? '') === value), onclick: () => go({ state: value }),
  }, title)));

  async function refresh(signal) {
    const got = await get(path, {
      ...values, offset, limit, sort: state.get('sort'), order: state.get('order'), filter: state.get('filter'), state: state.get('state'),
    }, signal);
    const now = performance.now();
    const seconds = (now - seenAt) / 1000;
    const rows = got.items.map((item) => {
      const old = seen.get(key(item));
      return h('tr', {}, columns.map(([, cell, o = {}], i) => {
        const content = cell(item, old && { item: old, seconds });
        return h(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, class: o.n ? (content === '0' ? 'n zero' : 'n') : null }, content);
      }));
    });
    seen = new Map(got.items.map((item) => [key(item), item]));
    seenAt = now;
    if (rows.length === 0) rows.push(h('tr', {}, h('td', { colspan: columns.length, class: 'empty' }, state.get('filter') || state.get('state') ? 'Nothing is selected.' : none)));
    keepFocus(body, () => body.replaceChildren(...rows));
    count.textContent = got.total === 0 ? '' : `${number(offset + 1)}–${number(offset + got.items.length)} of ${number(got.total)}`;
    previous.disabled = offset === 0;
    following.disabled = offset + limit >= got.total;
  }

  return {
    tools: h('div', { class: 'tools' }, search, chips),
    table: h('div', { class: 'card' }, h('div', { class: 'scroll' }, h('table', {}, h('thead', {}, head), body)), h('div', { class: 'pager' }, count, previous, following)),
    refresh,
  };
}

// keepFocus changes what is in an element and leaves the focus on the same row and control.
export function keepFocus(element, change) {
  const active = document.activeElement;
  if (!element.contains(active)) return change();
  const row = [...element.children].findIndex((r) => r.contains(active));
  const at = row < 0 ? -1 : [...element.children[row].querySelectorAll('a,button,input')].indexOf(active);
  change();
  if (at >= 0) element.children[row]?.querySelectorAll('a,button,input')[at]?.focus();
}

// perSecond is how fast a counter rises, undefined at the first look.
export function perSecond(name) {
  return (item, before) => before && Math.max(0, item[name] - before.item[name]) / before.seconds;
}
