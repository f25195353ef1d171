"""What Python applications do, with Qpid Proton: one line a feature.

usage: features.py HOST:PORT
"""

import sys
import traceback
import uuid

from proton import Array, Data, Message, Timeout, byte, char, float32, int32, short, symbol, timestamp, ulong
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import AtMostOnce, Container, Copy, DurableSubscription, Selector
from proton.utils import BlockingConnection, LinkDetached

ADDRESS = "amqp://" + sys.argv[1]
WAIT = 15


def connect(container=None, **options):
    c = Container()
    if container:
        c.container_id = container
    return BlockingConnection(ADDRESS, timeout=WAIT, container=c, **options)


def name():
    return "proton." + uuid.uuid4().hex[:12]


def expect(receiver, *bodies):
    for want in bodies:
        m = receiver.receive(timeout=WAIT)
        assert m.body == want, f"got {m.body!r}, want {want!r}"
        receiver.accept()


def nothing(receiver):
    try:
        m = receiver.receive(timeout=0.3)
    except Timeout:
        return
    raise AssertionError(f"got {m.body!r}, want nothing")


def bodies_of_every_type():
    c, q = connect(), name()
    out, into = c.create_sender(q), c.create_receiver(q)
    for body in ["é", b"\x00\x01", None, True, 7, ulong(1 << 63), int32(-3), byte(-1), short(300), 1.5, float32(0.25),
                 char("x"), symbol("sym"), timestamp(1700000000000), uuid.uuid4(), [1, "two", None], {"k": {"n": [1]}},
                 Array("sym", Data.INT, 1, 2, 3), "x" * 100000]:
        out.send(Message(body=body))
        got = into.receive(timeout=WAIT)
        into.accept()
        back = bytes(got.body) if isinstance(body, bytes) else got.body
        assert back == body and type(back) is type(body), f"{body!r} came back as {got.body!r}"
    c.close()


def properties_and_annotations():
    c, q = connect(), name()
    out, into = c.create_sender(q), c.create_receiver(q)
    for id in ["text", uuid.uuid4(), ulong(42), b"bytes"]:
        m = Message(body="x", id=id, correlation_id=id, subject="s", reply_to="answers", content_type="text/plain",
                    content_encoding="none", group_id="g", group_sequence=3, reply_to_group_id="r", priority=7, ttl=60,
                    durable=True, user_id=b"me", creation_time=1700000000,
                    properties={"i": int32(1), "l": 2, "s": "é", "b": True, "d": 1.5, "u": uuid.UUID(int=5)},
                    annotations={symbol("x-opt-mine"): "kept"})
        out.send(m)
        got = into.receive(timeout=WAIT)
        into.accept()
        for field in ["id", "correlation_id", "subject", "reply_to", "content_type", "content_encoding", "group_id",
                      "group_sequence", "reply_to_group_id", "priority", "durable", "user_id", "creation_time", "properties"]:
            assert getattr(got, field) == getattr(m, field), f"{field}: {getattr(got, field)!r}, want {getattr(m, field)!r}"
        assert got.annotations[symbol("x-opt-mine")] == "kept", got.annotations
        assert 0 < got.ttl <= 60, got.ttl
    c.close()


def selectors():
    c, q = connect(), name()
    out = c.create_sender(q)
    for i in range(4):
        out.send(Message(body=f"m{i}", properties={"n": i}))
    expect(c.create_receiver(q, options=Selector("n > 1")), "m2", "m3")
    c.close()


def browsing():
    c, q = connect(), name()
    out = c.create_sender(q)
    for i in range(3):
        out.send(Message(body=f"m{i}"))
    expect(c.create_receiver(q, name="browser", options=Copy()), "m0", "m1", "m2")
    expect(c.create_receiver(q, name="consumer"), "m0", "m1", "m2")
    c.close()


def release_and_reject():
    c, q = connect(), name()
    out, into = c.create_sender(q), c.create_receiver(q)
    out.send(Message(body="x", durable=True))
    into.receive(timeout=WAIT)
    into.release(delivered=False)
    assert into.receive(timeout=WAIT).delivery_count == 0
    into.release(delivered=True)  # modified, but not failed
    assert into.receive(timeout=WAIT).delivery_count == 0
    into.fetcher.unsettled[0].local.failed = True
    into.release(delivered=True)
    assert into.receive(timeout=WAIT).delivery_count == 1
    into.reject()
    dead = c.create_receiver("ActiveMQ.DLQ")
    expect(dead, "x")
    c.close()


def topics_and_durable_subscriptions():
    t = "topic://" + name()
    c = connect("durable-" + t)
    into = c.create_receiver(t, name="sub", options=DurableSubscription())
    into.link.detach()
    c.close()
    d = connect()
    live = d.create_receiver(t)
    d.create_sender(t).send(Message(body="x"))
    expect(live, "x")
    d.close()
    c = connect("durable-" + t)
    into = c.create_receiver(t, name="sub", options=DurableSubscription())
    expect(into, "x")
    into.close()
    c.close()


def dynamic_queues():
    c, q = connect(), name()
    server = c.create_receiver(q)
    answers = c.create_receiver(None, dynamic=True)
    c.create_sender(q).send(Message(body="ask", reply_to=answers.link.remote_source.address, correlation_id="1"))
    request = server.receive(timeout=WAIT)
    server.accept()
    c.create_sender(None).send(Message(body="answer", address=request.reply_to, correlation_id=request.correlation_id))
    m = answers.receive(timeout=WAIT)
    assert m.body == "answer" and m.correlation_id == "1"
    c.close()


def presettled():
    c, q = connect(), name()
    out = c.create_sender(q, options=AtMostOnce())
    into = c.create_receiver(q, options=AtMostOnce())
    for i in range(10):
        out.link.send(Message(body=i))
    c.wait(lambda: True)
    for i in range(10):
        assert into.receive(timeout=WAIT).body == i
    c.close()


def errors_have_conditions():
    c = connect()
    try:
        c.create_receiver(name(), options=Selector("n = = 1"))
        raise AssertionError("a selector that makes no sense was taken")
    except LinkDetached as e:
        assert e.condition == "amqp:invalid-field", e.condition
    c.close()


class Transactions(MessagingHandler, TransactionHandler):
    """Sends batches in transactions, every other one rolled back."""

    def __init__(self, queue):
        super().__init__(auto_accept=False, prefetch=0)
        self.queue, self.round, self.sent, self.transaction, self.error = queue, 0, 0, None, None

    def on_start(self, event):
        self.container = event.container
        self.conn = event.container.connect(ADDRESS)
        self.sender = event.container.create_sender(self.conn, self.queue)
        self.container.declare_transaction(self.conn, handler=self)

    def on_transaction_declared(self, event):
        self.transaction, self.sent = event.transaction, 0
        self.send()

    def on_sendable(self, event):
        self.send()

    def send(self):
        while self.transaction and self.sender.credit and self.sent < 3:
            self.transaction.send(self.sender, Message(body=f"{self.round}.{self.sent}"))
            self.sent += 1
        if self.transaction and self.sent == 3:
            t, self.transaction = self.transaction, None
            t.commit() if self.round % 2 == 0 else t.abort()

    def again(self):
        self.round += 1
        if self.round < 6:
            self.container.declare_transaction(self.conn, handler=self)
        else:
            self.conn.close()

    def on_transaction_committed(self, event):
        self.again()

    def on_transaction_aborted(self, event):
        self.again()

    def on_transaction_commit_failed(self, event):
        self.error = "commit failed"
        self.conn.close()


def transactions():
    q = name()
    t = Transactions(q)
    Container(t).run()
    assert t.error is None and t.round == 6, (t.error, t.round)
    c = connect()
    into = c.create_receiver(q)
    expect(into, *[f"{r}.{i}" for r in (0, 2, 4) for i in range(3)])
    nothing(into)
    c.close()


class Consumes(MessagingHandler, TransactionHandler):
    """Accepts messages in transactions; the first one is rolled back."""

    def __init__(self, queue, count):
        super().__init__(auto_accept=False, prefetch=0)
        self.queue, self.count, self.got, self.transaction, self.rounds = queue, count, [], None, 0

    def on_start(self, event):
        self.container = event.container
        self.conn = event.container.connect(ADDRESS)
        self.receiver = event.container.create_receiver(self.conn, self.queue)
        self.container.declare_transaction(self.conn, handler=self)

    def on_transaction_declared(self, event):
        self.transaction = event.transaction
        self.receiver.flow(self.count)

    def on_message(self, event):
        self.got.append(event.message.body)
        self.transaction.accept(event.delivery)
        if len(self.got) % self.count == 0:
            t, self.transaction = self.transaction, None
            self.rounds += 1
            t.abort() if self.rounds == 1 else t.commit()

    def on_transaction_aborted(self, event):
        self.container.declare_transaction(self.conn, handler=self)

    def on_transaction_committed(self, event):
        self.conn.close()


def transactional_acknowledgements():
    c, q = connect(), name()
    out = c.create_sender(q)
    for i in range(3):
        out.send(Message(body=i))
    t = Consumes(q, 3)
    Container(t).run()
    assert sorted(t.got[:3]) == [0, 1, 2] and sorted(t.got[3:]) == [0, 1, 2], t.got
    nothing(c.create_receiver(q))
    c.close()


failed = False
for feature in [bodies_of_every_type, properties_and_annotations, selectors, browsing, release_and_reject,
                topics_and_durable_subscriptions, dynamic_queues, presettled, errors_have_conditions, transactions,
                transactional_acknowledgements]:
    try:
        feature()
        print("ok", feature.__name__.replace("_", " "))
    except Exception as e:
        failed = True
        print("FAILED", feature.__name__, type(e).__name__, e)
        traceback.print_exc()
    sys.stdout.flush()
sys.exit(1 if failed else 0)
