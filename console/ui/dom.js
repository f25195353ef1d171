// Elements and numbers. Text from the broker becomes text nodes only, never markup.

const SVG = 'http://www.w3.org/2000/svg';

// h makes an element. Properties that start with "on" are listeners; false and
// null leave an attribute out, as they leave out a child.
export function h(tag, properties = {}, ...children) {
  const e = ['svg', 'path', 'polyline', 'line', 'text', 'g'].includes(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, '');
    else if (value !== false && value != null) e.setAttribute(name, value);
  }
  e.append(...children.flat(3).filter((c) => c != null && c !== false));
  return e;
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const number = (n) => whole.format(n ?? 0);

// rate writes what happened in a second.
export function rate(n) {
  if (n == null) return '–';
  return n > 0 && n < 10 ? exact.format(n) : whole.format(n);
}

export function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; bytes >= 1024 && i < units.length - 1; i++) bytes /= 1024;
  return `${i === 0 ? whole.format(bytes) : exact.format(bytes)} ${units[i]}`;
}

export function time(value) {
  if (!value) return '–';
  const at = new Date(value);
  const sameDay = at.toDateString() === new Date().toDateString();
  return sameDay ? at.toLocaleTimeString('en-GB') : `${at.toISOString().slice(0, 10)} ${at.toLocaleTimeString('en-GB')}`;
}

export function duration(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([n]) => seconds >= n);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).map(([n, unit]) => {
    const count = Math.floor(seconds / n);
    seconds -= count * n;
    return count ? `${count} ${unit}` : '';
  }).filter(Boolean).join(' ');
}

// toast says what has happened, for a while; errors stay until they are closed.
export function toast(text, bad = false) {
  const t = h('div', { class: bad ? 'toast bad' : 'toast', role: bad ? 'alert' : null }, h('span', {}, text),
    h('button', { class: 'plain', 'aria-label': 'Close', onclick: () => t.remove() }, '×'));
  document.getElementById('toasts').append(t);
  if (!bad) setTimeout(() => t.remove(), 5000);
}

// dialog asks something. fields are elements of a form; done gets the form's
// data, and an error that it throws is shown in the dialog, which stays open.
export function dialog({ title, text, fields = [], action, danger = false, wide = false, done }) {
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const submit = action && h('button', { class: danger ? 'danger' : 'primary', type: 'submit' }, action);
  const form = h('form', { method: 'dialog' },
    h('h2', {}, title), text && h('p', {}, text), fields, problem,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => d.close() }, action ? 'Cancel' : 'Close'), submit));
  const d = h('dialog', { class: wide ? 'wide' : null, onclose: () => d.remove() }, form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await done(Object.fromEntries(new FormData(form)));
      d.close();
    } catch (e) {
      problem.textContent = e.message;
      problem.hidden = false;
    }
    submit.disabled = false;
  });
  document.body.append(d);
  d.showModal();
  return d;
}

export function field(label, input, hint) {
  return h('label', { class: 'field' }, h('span', {}, label), input, hint && h('small', {}, hint));
}

// typed asks to type a name before something is removed for good.
export function typed({ title, text, name, action, done }) {
  return dialog({
    title, text, action, danger: true,
    fields: [field(`Type ${name} to confirm`, h('input', { name: 'typed', autocomplete: 'off', spellcheck: 'false', required: true, autofocus: true }))],
    done: (form) => {
      if (form.typed !== name) throw new Error('That is not its name.');
      return done();
    },
  });
}
