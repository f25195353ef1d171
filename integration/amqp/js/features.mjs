// What JavaScript applications do, with rhea over TCP or WebSocket: one line a feature.
//
// usage: features.mjs HOST:PORT | ws://HOST:PORT
import rhea from "rhea";
import WebSocket from "ws";

const address = process.argv[2];
const wait = 15000;
let names = 0;

const name = () => `rhea.${process.pid}.${names++}`;

function options(id) {
  const container = rhea.create_container(id ? { id } : {});
  const common = { reconnect: false, username: "anonymous" };
  if (address.startsWith("ws")) {
    const ws = container.websocket_connect(WebSocket);
    return { container, options: { ...common, connection_details: ws(address, ["amqp"], {}) } };
  }
  const [host, port] = address.split(":");
  return { container, options: { ...common, host, port: Number(port) } };
}

// on resolves with the next event of that name, and fails on an error before it.
function on(emitter, event, errors = []) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} in time`)), wait);
    const end = (f) => (x) => { clearTimeout(timer); f(x); };
    emitter.once(event, end(resolve));
    for (const e of errors) emitter.once(e, end((c) => reject(new Error(`${e}: ${c.receiver?.error || c.sender?.error || c.connection?.error}`))));
  });
}

async function connect(id) {
  const { container, options: o } = options(id);
  const connection = container.connect(o);
  await on(connection, "connection_open", ["connection_error", "disconnected"]);
  return connection;
}

async function sender(c, target) {
  const s = c.open_sender(target);
  await on(s, "sendable", ["sender_error"]);
  return s;
}

async function send(s, message) {
  const done = on(s, "accepted", ["rejected"]);
  s.send(message);
  await done;
}

// inbox keeps what a receiver gets, in its order.
function inbox(receiver) {
  const got = [], waiting = [];
  receiver.on("message", (context) => {
    const w = waiting.shift();
    if (w) w(context); else got.push(context);
  });
  return {
    next: () => got.length ? Promise.resolve(got.shift()) : new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no message in time")), wait);
      waiting.push((x) => { clearTimeout(timer); resolve(x); });
    }),
    empty: () => got.length === 0,
  };
}

function equal(got, want, what = "") {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what} got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

async function closed(c) {
  const end = on(c, "connection_close");
  c.close();
  await end;
}

const features = {
  async "bodies"() {
    const c = await connect(), q = name();
    const s = await sender(c, q), box = inbox(c.open_receiver(q));
    const data = rhea.message.data_section(Buffer.from([0, 1, 2]));
    const many = rhea.message.data_sections([Buffer.from("a"), Buffer.from("b")]);
    const sequence = rhea.message.sequence_section([1, "x"]);
    for (const body of ["text", 7, true, null, { k: [1, 2] }, [1, "two"]]) {
      await send(s, { body });
      equal((await box.next()).message.body, body);
    }
    await send(s, { body: data });
    equal((await box.next()).message.body.content.toString("hex"), "000102", "data");
    await send(s, { body: many });
    equal((await box.next()).message.body.content.map(String), ["a", "b"], "several data sections");
    await send(s, { body: sequence });
    equal((await box.next()).message.body.content, [1, "x"], "sequence");
    await closed(c);
  },
  async "properties"() {
    const c = await connect(), q = name();
    const s = await sender(c, q), box = inbox(c.open_receiver(q));
    await send(s, {
      body: "x", message_id: "id", correlation_id: 5, subject: "s", reply_to: "r", durable: true, priority: 8, ttl: 60000,
      group_id: "g", application_properties: { colour: "red", n: 3 }, message_annotations: { "x-opt-mine": "kept" },
    });
    const m = (await box.next()).message;
    equal([m.message_id, m.correlation_id, m.subject, m.reply_to, m.durable, m.priority, m.group_id], ["id", 5, "s", "r", true, 8, "g"]);
    equal([m.application_properties, m.message_annotations["x-opt-mine"]], [{ colour: "red", n: 3 }, "kept"]);
    await closed(c);
  },
  async "selectors"() {
    const c = await connect(), q = name();
    const s = await sender(c, q);
    for (const colour of ["red", "blue"]) await send(s, { body: colour, application_properties: { colour } });
    const box = inbox(c.open_receiver({ source: { address: q, filter: rhea.filter.selector("colour = 'blue'") } }));
    equal((await box.next()).message.body, "blue");
    await closed(c);
  },
  async "credit and drain"() {
    const c = await connect(), q = name();
    const s = await sender(c, q);
    for (let i = 0; i < 5; i++) await send(s, { body: i });
    const r = c.open_receiver({ source: q, credit_window: 0 });
    const box = inbox(r);
    await on(r, "receiver_open");
    r.add_credit(2);
    equal([(await box.next()).message.body, (await box.next()).message.body], [0, 1]);
    const drained = on(r, "receiver_drained");
    r.drain_credit();
    r.add_credit(10);
    r.drain_credit();
    await drained;
    equal([(await box.next()).message.body, (await box.next()).message.body, (await box.next()).message.body], [2, 3, 4]);
    if (!box.empty()) throw new Error("more came");
    await closed(c);
  },
  async "outcomes"() {
    const c = await connect(), q = name();
    const s = await sender(c, q);
    const r = c.open_receiver({ source: q, autoaccept: false });
    const box = inbox(r);
    await send(s, { body: "x", durable: true });
    (await box.next()).delivery.release();
    const again = await box.next();
    equal(again.message.delivery_count || 0, 0);
    again.delivery.modified({ delivery_failed: true });
    const third = await box.next();
    equal(third.message.delivery_count, 1);
    third.delivery.reject({ condition: "app:no", description: "bad" });
    const dead = await inbox(c.open_receiver("ActiveMQ.DLQ")).next();
    equal(dead.message.message_annotations["x-opt-dlqDeliveryFailureCause"], "rejected by the consumer: app:no: bad");
    await closed(c);
  },
  async "topics and durable subscriptions"() {
    const t = "topic://" + name(), id = name();
    const source = { address: t, durable: 2, expiry_policy: "never" };
    let c = await connect(id);
    let r = c.open_receiver({ name: "sub", source });
    await on(r, "receiver_open");
    const detached = on(r, "receiver_detach", ["receiver_close"]).catch(() => {});
    r.detach();
    await closed(c);
    await detached;
    c = await connect();
    await send(await sender(c, t), { body: "while away" });
    await closed(c);
    c = await connect(id);
    r = c.open_receiver({ name: "sub", source });
    equal((await inbox(r).next()).message.body, "while away");
    const end = on(r, "receiver_close");
    r.close();
    await end;
    await closed(c);
  },
  async "request and reply with a dynamic queue"() {
    const c = await connect(), q = name();
    const server = c.open_receiver(q);
    const anonymous = await sender(c, { });
    server.on("message", ({ message }) => anonymous.send({ to: message.reply_to, correlation_id: message.correlation_id, body: `re: ${message.body}` }));
    const r = c.open_receiver({ source: { dynamic: true } });
    const box = inbox(r);
    await on(r, "receiver_open");
    await send(await sender(c, q), { body: "ask", reply_to: r.source.address, correlation_id: 9 });
    const { message } = await box.next();
    equal([message.body, message.correlation_id], ["re: ask", 9]);
    await closed(c);
  },
  async "large messages"() {
    const c = await connect(), q = name();
    const s = await sender(c, q), box = inbox(c.open_receiver(q));
    const body = "0123456789".repeat(200000);
    await send(s, { body });
    equal((await box.next()).message.body === body, true);
    await closed(c);
  },
  async "pre-settled"() {
    const c = await connect(), q = name();
    const box = inbox(c.open_receiver({ source: q, snd_settle_mode: 1 }));
    const s = c.open_sender({ target: q, snd_settle_mode: 1 });
    await on(s, "sendable");
    for (let i = 0; i < 20; i++) s.send({ body: i });
    for (let i = 0; i < 20; i++) equal((await box.next()).message.body, i);
    await closed(c);
  },
  async "errors"() {
    const c = await connect();
    const r = c.open_receiver({ source: { address: "q", filter: rhea.filter.selector("= 1") } });
    await on(r, "receiver_error");
    equal(r.error.condition, "amqp:invalid-field");
    await closed(c);
  },
};

let failed = false;
for (const [feature, run] of Object.entries(features)) {
  try {
    await run();
    console.log(`ok ${feature}`);
  } catch (e) {
    failed = true;
    console.log(`FAILED ${feature}: ${e.message}`);
    console.error(e);
  }
}
process.exit(failed ? 1 : 0);
