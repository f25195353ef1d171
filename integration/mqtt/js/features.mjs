// Exercises a broker with MQTT.js, in Node and in a page.

const wait = 30_000;

let mqtt; // the library
let url; // the broker's

// open connects a client whose messages wait in a list.
async function open(version, options = {}) {
  const client = mqtt.connect(url, {
    protocolVersion: version, protocolId: version === 3 ? 'MQIsdp' : 'MQTT', reconnectPeriod: 0, connectTimeout: wait,
    clientId: `js-${Math.random().toString(16).slice(2)}`, ...options,
  });
  const messages = [];
  const waiting = [];
  client.on('message', (topic, payload, packet) => {
    const m = { ...packet, topic, body: payload.toString() };
    if (waiting.length > 0) waiting.shift()(m);
    else messages.push(m);
  });
  client.receive = () => new Promise((resolve, reject) => {
    if (messages.length > 0) return resolve(messages.shift());
    const timer = setTimeout(() => reject(new Error('no message came')), wait);
    waiting.push((m) => { clearTimeout(timer); resolve(m); });
  });
  await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject));
  client.nothing = async () => {
    await client.subscribeAsync('nothing/at/all');
    if (messages.length > 0) throw new Error(`got ${messages[0].body}`);
  };
  return client;
}

// bytes makes what Node and the library's own polyfill take for a Buffer.
const bytes = (text) => (globalThis.Buffer ? Buffer.from(text) : new TextEncoder().encode(text));

function same(got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

const features = {
  async everyQoS(v) {
    const s = await open(v);
    const p = await open(v);
    for (const qos of [0, 1, 2]) {
      await s.subscribeAsync('js/+', { qos });
      for (const sent of [0, 1, 2]) {
        await p.publishAsync('js/a', `${sent}`, { qos: sent });
        const m = await s.receive();
        same([m.body, m.qos, m.topic], [`${sent}`, Math.min(sent, qos), 'js/a']);
      }
    }
    await s.endAsync();
    await p.endAsync();
  },
  async retained(v) {
    const p = await open(v);
    await p.publishAsync('js/kept', 'remember', { qos: 1, retain: true });
    const s = await open(v);
    await s.subscribeAsync('js/kept', { qos: 1 });
    const m = await s.receive();
    same([m.body, m.retain], ['remember', true]);
    await p.publishAsync('js/kept', '', { qos: 1, retain: true });
    await s.endAsync();
    await p.endAsync();
  },
  async session(v) {
    const options = { clientId: `js-session-${v}`, clean: false, properties: v === 5 ? { sessionExpiryInterval: 100 } : undefined };
    const first = await open(v, options);
    await first.subscribeAsync('js/session', { qos: 2 });
    await first.endAsync();
    const p = await open(v);
    for (const qos of [1, 2]) await p.publishAsync('js/session', `${qos}`, { qos });
    const second = await open(v, options);
    same([(await second.receive()).body, (await second.receive()).body], ['1', '2']);
    await second.endAsync();
    await (await open(v, { ...options, clean: true, properties: undefined })).endAsync();
    await p.endAsync();
  },
  async will(v) {
    const s = await open(v);
    await s.subscribeAsync('js/will', { qos: 1 });
    const w = await open(v, { will: { topic: 'js/will', payload: 'gone', qos: 1 } });
    w.stream.destroy();
    same((await s.receive()).body, 'gone');
    await s.endAsync();
  },
  async many(v) {
    const s = await open(v);
    const p = await open(v);
    await s.subscribeAsync('js/many', { qos: 2 });
    const sent = [...Array(200).keys()].map((i) => p.publishAsync('js/many', `${i}`, { qos: 2 }));
    for (let i = 0; i < 200; i++) same((await s.receive()).body, `${i}`);
    await Promise.all(sent);
    await s.endAsync();
    await p.endAsync();
  },
};

const only5 = {
  async properties() {
    const s = await open(5);
    const p = await open(5);
    await s.subscribeAsync('js/props', { qos: 1, properties: { subscriptionIdentifier: 7 } });
    const properties = { contentType: 'text/plain', responseTopic: 're/ply', correlationData: bytes('c'), userProperties: { k: ['1', '2'] } };
    await p.publishAsync('js/props', 'x', { qos: 1, properties });
    const got = (await s.receive()).properties;
    same([got.contentType, got.responseTopic, `${got.correlationData}`, got.userProperties, got.subscriptionIdentifier],
      ['text/plain', 're/ply', 'c', { k: ['1', '2'] }, 7]);
    await s.endAsync();
    await p.endAsync();
  },
  async topicAliases() {
    const s = await open(5, { properties: { topicAliasMaximum: 10 } });
    const p = await open(5, { autoAssignTopicAlias: true });
    await s.subscribeAsync('js/alias/#');
    for (const i of [1, 2, 3]) {
      await p.publishAsync('js/alias/a', `${i}`);
      const m = await s.receive();
      same([m.body, m.topic], [`${i}`, 'js/alias/a']);
    }
    await s.endAsync();
    await p.endAsync();
  },
};

async function one(name, feature, report) {
  try {
    await feature();
    report(`ok ${name}`);
  } catch (e) {
    report(`${name}: ${e.message}`);
  }
}

// run reports a line for each feature: "ok NAME", or what went wrong.
export async function run(library, address, report) {
  mqtt = library;
  url = address;
  for (const v of [3, 4, 5]) {
    for (const [name, feature] of Object.entries(features)) await one(`${name} ${v}`, () => feature(v), report);
  }
  for (const [name, feature] of Object.entries(only5)) await one(name, feature, report);
}
