// What browser applications written for ActiveMQ do, with @stomp/stompjs: one
// line a feature. Runs in Node and in a page alike.

const WAIT = 15_000; // milliseconds

// Inbox is a queue whose readers wait.
class Inbox {
  items = [];
  readers = [];

  put(item) {
    const reader = this.readers.shift();
    if (reader) reader(item);
    else this.items.push(item);
  }

  get(what = 'message', wait = WAIT) {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.readers = this.readers.filter((r) => r !== read);
        reject(new Error(`no ${what} within ${wait} ms`));
      }, wait);
      const read = (item) => {
        clearTimeout(timer);
        resolve(item);
      };
      this.readers.push(read);
    });
  }

  async nothing(wait = 300) {
    let item;
    try {
      item = await this.get('message', wait);
    } catch {
      return;
    }
    throw new Error(`unexpected message ${JSON.stringify(item.headers)} ${item.body}`);
  }
}

function check(condition, what) {
  if (!condition) throw new Error(what);
}

function equal(got, want) {
  check(JSON.stringify(got) === JSON.stringify(want), `got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

let serial = 0;
const unique = () => `${Date.now().toString(36)}-${serial++}`;
const name = (kind) => `/${kind}/js.${unique()}`;

// run performs the features with a client made by connectWith(options) and
// gives a line for each to print.
export async function run(Client, connection, print) {
  // connect returns a connected client whose calls wait for the broker.
  async function connect(headers = {}, options = {}) {
    const client = new Client({ ...connection(), connectHeaders: headers, reconnectDelay: 0, heartbeatIncoming: 0, heartbeatOutgoing: 0, ...options });
    const errors = new Inbox();
    client.onStompError = (frame) => errors.put(frame);
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('not connected')), WAIT);
      client.onConnect = () => {
        clearTimeout(timer);
        resolve();
      };
      client.onWebSocketError = (e) => reject(new Error(`socket: ${e.message ?? e.type}`));
      client.activate();
    });
    const receipted = (call) =>
      new Promise((resolve, reject) => {
        const id = unique();
        const timer = setTimeout(() => reject(new Error(`no receipt ${id}`)), WAIT);
        client.watchForReceipt(id, () => {
          clearTimeout(timer);
          resolve();
        });
        call(id);
      });
    return {
      client,
      errors,
      receipted,
      send: (destination, body, headers = {}) =>
        receipted((receipt) => client.publish({ destination, body, headers: { persistent: 'true', receipt, ...headers } })),
      sendBytes: (destination, binaryBody) =>
        receipted((receipt) => client.publish({ destination, binaryBody, headers: { persistent: 'true', receipt } })),
      subscribe: async (destination, headers = {}) => {
        const inbox = new Inbox();
        await receipted((receipt) => {
          inbox.subscription = client.subscribe(destination, (m) => inbox.put(m), { receipt, ...headers });
        });
        return inbox;
      },
      close: () => client.deactivate(),
    };
  }

  const features = {
    async queue_with_receipts() {
      const q = name('queue');
      const c = await connect();
      for (let i = 0; i < 10; i++) await c.send(q, `body ${i}`, { number: `${i}` });
      const inbox = await c.subscribe(q);
      for (let i = 0; i < 10; i++) {
        const m = await inbox.get();
        equal([m.body, m.headers.number, m.headers.destination], [`body ${i}`, `${i}`, q]);
      }
      await c.close();
    },
    async topic() {
      const t = name('topic');
      const clients = [await connect(), await connect()];
      const inboxes = [await clients[0].subscribe(t), await clients[1].subscribe(t)];
      await clients[0].send(t, 'news');
      for (const inbox of inboxes) equal((await inbox.get()).body, 'news');
      for (const c of clients) await c.close();
    },
    async durable_subscription() {
      const t = name('topic');
      const owner = { 'client-id': unique() };
      const durable = { 'activemq.subscriptionName': 'd', id: 'd' };
      let c = await connect(owner);
      await c.subscribe(t, durable);
      await c.close();
      const p = await connect();
      for (const body of ['1', '2']) await p.send(t, body);
      c = await connect(owner);
      const inbox = await c.subscribe(t, durable);
      equal([(await inbox.get()).body, (await inbox.get()).body], ['1', '2']);
      await c.receipted((receipt) => c.client.unsubscribe('d', { ...durable, receipt }));
      await c.close();
      await p.close();
    },
    async transaction_commit() {
      const q = name('queue');
      const c = await connect();
      const inbox = await c.subscribe(q);
      const tx = c.client.begin();
      for (const body of ['1', '2']) c.client.publish({ destination: q, body, headers: { transaction: tx.id, persistent: 'true' } });
      await inbox.nothing();
      tx.commit();
      equal([(await inbox.get()).body, (await inbox.get()).body], ['1', '2']);
      await c.close();
    },
    async transaction_abort() {
      const q = name('queue');
      const c = await connect();
      const inbox = await c.subscribe(q);
      const tx = c.client.begin();
      c.client.publish({ destination: q, body: 'never', headers: { transaction: tx.id, persistent: 'true' } });
      tx.abort();
      await c.send(q, 'after');
      equal((await inbox.get()).body, 'after');
      await c.close();
    },
    async acknowledge_client() {
      const q = name('queue');
      let c = await connect();
      for (const body of ['0', '1', '2', '3']) await c.send(q, body);
      let inbox = await c.subscribe(q, { ack: 'client' });
      const got = [];
      for (let i = 0; i < 4; i++) got.push(await inbox.get());
      await c.receipted((receipt) => got[1].ack({ receipt })); // and the one before it
      await c.close();
      c = await connect();
      inbox = await c.subscribe(q);
      for (const body of ['2', '3']) {
        const m = await inbox.get();
        equal([m.body, m.headers.redelivered], [body, 'true']);
      }
      await inbox.nothing();
      await c.close();
    },
    async acknowledge_client_individual() {
      const q = name('queue');
      let c = await connect();
      for (const body of ['0', '1', '2']) await c.send(q, body);
      let inbox = await c.subscribe(q, { ack: 'client-individual' });
      const got = [];
      for (let i = 0; i < 3; i++) got.push(await inbox.get());
      await c.receipted((receipt) => got[1].ack({ receipt }));
      await c.close();
      c = await connect();
      inbox = await c.subscribe(q);
      equal([(await inbox.get()).body, (await inbox.get()).body], ['0', '2']);
      await inbox.nothing();
      await c.close();
    },
    async nack_dead_letters() {
      const q = name('queue');
      const c = await connect();
      const dead = await c.subscribe('/queue/ActiveMQ.DLQ', { ack: 'client-individual' });
      const inbox = await c.subscribe(q, { ack: 'client-individual' });
      await c.send(q, `poison ${q}`);
      const poison = await inbox.get();
      await c.receipted((receipt) => poison.nack({ receipt }));
      for (;;) {
        const m = await dead.get('dead letter');
        await c.receipted((receipt) => m.ack({ receipt }));
        if (m.body === `poison ${q}`) break;
      }
      await inbox.nothing();
      await c.close();
    },
    async browser() {
      const q = name('queue');
      const c = await connect();
      for (const body of ['0', '1', '2']) await c.send(q, body);
      const seen = await c.subscribe(q, { browser: 'true' });
      equal([(await seen.get()).body, (await seen.get()).body, (await seen.get()).body], ['0', '1', '2']);
      equal((await seen.get('end of browsing')).headers.browser, 'end');
      const inbox = await c.subscribe(q);
      equal([(await inbox.get()).body, (await inbox.get()).body, (await inbox.get()).body], ['0', '1', '2']);
      await c.close();
    },
    async temporary_queue_request_reply() {
      const q = name('queue');
      const [server, client] = [await connect(), await connect()];
      const requests = await server.subscribe(q);
      const replies = await client.subscribe('/temp-queue/reply');
      await client.send(q, 'question', { 'reply-to': '/temp-queue/reply', 'correlation-id': '7' });
      const m = await requests.get();
      check(m.headers['reply-to'].startsWith('/remote-temp-queue/'), m.headers['reply-to']);
      await server.send(m.headers['reply-to'], 'answer', { 'correlation-id': m.headers['correlation-id'] });
      const reply = await replies.get();
      equal([reply.body, reply.headers['correlation-id']], ['answer', '7']);
      await server.close();
      await client.close();
    },
    async binary_body() {
      const q = name('queue');
      const c = await connect();
      const bytes = new Uint8Array(1024).map((_, i) => i % 256);
      await c.sendBytes(q, bytes);
      const inbox = await c.subscribe(q);
      equal([...(await inbox.get()).binaryBody], [...bytes]);
      await c.close();
    },
    async unicode_and_escaped_headers() {
      const q = name('queue');
      const c = await connect();
      const value = 'colon : backslash \\ newline \n end';
      await c.send(q, 'grüße 漢字 🚀', { odd: value });
      const inbox = await c.subscribe(q);
      const m = await inbox.get();
      equal([m.body, m.headers.odd], ['grüße 漢字 🚀', value]);
      await c.close();
    },
    async large_body() {
      const q = name('queue');
      const c = await connect();
      const body = '0123456789abcdef'.repeat(5 << 16); // 5 MiB
      await c.send(q, body);
      const inbox = await c.subscribe(q);
      check((await inbox.get()).body === body, 'the body changed');
      await c.close();
    },
    async heartbeats() {
      let beats = 0;
      const c = await connect({}, {
        heartbeatIncoming: 200,
        heartbeatOutgoing: 200,
        debug: (line) => {
          if (line === '<<< PONG') beats++;
        },
      });
      const deadline = Date.now() + WAIT;
      while (beats < 5 && Date.now() < deadline) await new Promise((r) => setTimeout(r, 50));
      check(beats >= 5 && c.client.connected, `${beats} heart-beats`);
      await c.close();
    },
    async unknown_transaction_is_an_error() {
      const c = await connect();
      c.client.publish({ destination: name('queue'), body: 'x', headers: { transaction: 'nosuch' } });
      const frame = await c.errors.get('ERROR');
      check((frame.headers.message + frame.body).includes('nosuch'), frame.headers.message);
      await c.close();
    },
  };

  for (const [feature, perform] of Object.entries(features)) {
    try {
      await perform();
      print(`ok ${feature}`);
    } catch (e) {
      print(`FAIL ${feature}: ${e.message}`);
    }
  }
}
