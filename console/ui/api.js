// The broker's HTTP API, as its description at /api/v1/openapi.yaml has it.

const base = '/api/v1';
const roles = ['none', 'read', 'operate', 'admin'];
const kept = 'entrepot-authorization'; // until the tab is closed

let caller = { name: '', role: 'none', users: false };

export const who = () => caller;

// may reports whether the caller has that role, or a higher one.
export const may = (role) => roles.indexOf(caller.role) >= roles.indexOf(role);

// Refused is an answer that says no; its message is the broker's.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function headers(more) {
  const authorization = sessionStorage.getItem(kept);
  return authorization ? { ...more, authorization } : more;
}

async function open(method, path, { body, type, signal } = {}) {
  let response;
  try {
    response = await fetch(base + path, { method, body, signal, headers: headers(type ? { 'content-type': type } : {}), credentials: 'omit' });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Refused(0, 'The broker does not answer. Is it running, and is this page still its own?');
  }
  if (response.ok) return response;
  let detail = `${response.status} ${response.statusText}`;
  try {
    detail = (await response.json()).detail || detail;
  } catch { /* not a problem document: the status has to do */ }
  if (response.status === 401) window.dispatchEvent(new CustomEvent('login', { detail }));
  throw new Refused(response.status, detail);
}

// element escapes a name as one element of a path.
export const element = encodeURIComponent;

export function query(values) {
  const q = new URLSearchParams(Object.entries(values).filter(([, v]) => v !== '' && v != null && v !== false));
  return q.size ? `?${q}` : '';
}

export async function get(path, values = {}, signal) {
  return (await open('GET', path + query(values), { signal })).json();
}

// send asks for a change and returns what it answers, if anything.
export async function send(method, path, body) {
  const r = await open(method, path, body === undefined ? {} : { body: JSON.stringify(body), type: 'application/json' });
  return r.status === 204 ? null : r.json();
}

// save downloads what is at a path as a file.
export async function save(path, name) {
  const url = URL.createObjectURL(await (await open('GET', path)).blob());
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export async function upload(path, file) {
  return (await open('POST', path, { body: file, type: 'application/x-ndjson' })).json();
}

// transfer moves, copies, retries or deletes messages in as many steps as it takes.
export async function transfer(queue, action, what) {
  const total = { done: 0, skipped: {} };
  let after;
  do {
    const step = await send('POST', `/queues/${element(queue)}/${action}`, { ...what, after });
    total.done += step.done;
    for (const s of step.skipped) total.skipped[s.reason] = (total.skipped[s.reason] ?? 0) + s.count;
    after = step.next;
  } while (after);
  const left = Object.entries(total.skipped).map(([reason, n]) => `${n} left: ${reason}`);
  return [`${total.done} done`, ...left].join(', ');
}

// rates yields what happened in each second until signal ends it.
export async function* rates(signal) {
  const reader = (await open('GET', '/rates', { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const e of events) {
      const data = e.split('\n').find((line) => line.startsWith('data: '));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

// identify finds out who asks.
export async function identify() {
  caller = await get('/caller');
  return caller;
}

export async function login(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  sessionStorage.setItem(kept, `Basic ${btoa(String.fromCharCode(...bytes))}`);
  try {
    return await identify();
  } catch (e) {
    sessionStorage.removeItem(kept);
    throw e;
  }
}

export function logout() {
  sessionStorage.removeItem(kept);
  location.reload();
}
