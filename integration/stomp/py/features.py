"""What scripts written for ActiveMQ do, with stomp.py: one line a feature.

usage: features.py HOST PORT
"""

import time
import uuid

import stomp

from client import WAIT, Client, name, run


def queue_with_receipts():
    q, c = name("queue"), Client()
    for i in range(10):
        c.send(q, f"body {i}", number=str(i))
    c.subscribe(q)
    for i in range(10):
        m = c.message()
        assert m.body == f"body {i}" and m.headers["number"] == str(i), m
        assert m.headers["destination"] == q and m.headers["persistent"] == "true", m
    c.close()


def topic():
    t, publisher, subscribers = name("topic"), Client(), [Client(), Client()]
    for s in subscribers:
        s.subscribe(t)
    publisher.send(t, "news")
    for s in subscribers:
        assert s.message().body == "news"
        s.close()
    publisher.close()


def topic_wildcards():
    t, c = name("topic"), Client()
    c.subscribe(t + ".>", id="all")
    c.send(t + ".a.b", "deep")
    m = c.message()
    assert m.body == "deep" and m.headers["subscription"] == "all" and m.headers["destination"] == t + ".a.b", m
    c.close()


def durable_subscription():
    t, owner = name("topic"), {"client-id": uuid.uuid4().hex}
    durable = {"activemq.subscriptionName": "durable"}
    c = Client(headers=owner)
    c.subscribe(t, **durable)
    c.close()
    p = Client()
    for i in range(5):
        p.send(t, f"offline {i}")
    c = Client(headers=owner)
    c.subscribe(t, **durable)
    for i in range(5):
        assert c.message().body == f"offline {i}"
    c.receipt(c.conn.unsubscribe, id="1", headers=durable)
    c.close()
    p.send(t, "lost")
    c = Client(headers=owner)
    c.subscribe(t, **durable)
    c.nothing()
    c.receipt(c.conn.unsubscribe, id="1", headers=durable)
    c.close()
    p.close()


def transaction_commit():
    q, c, reader = name("queue"), Client(), Client()
    reader.subscribe(q)
    tx = c.conn.begin()
    c.conn.send(q, "one", transaction=tx, headers={"persistent": "true"})
    c.conn.send(q, "two", transaction=tx, headers={"persistent": "true"})
    reader.nothing()
    c.receipt(c.conn.commit, transaction=tx)
    assert [reader.message().body, reader.message().body] == ["one", "two"]
    c.close()
    reader.close()


def transaction_abort():
    q, c, reader = name("queue"), Client(), Client()
    reader.subscribe(q)
    tx = c.conn.begin()
    c.conn.send(q, "never", transaction=tx, headers={"persistent": "true"})
    c.receipt(c.conn.abort, transaction=tx)
    c.send(q, "after")
    assert reader.message().body == "after"
    c.close()
    reader.close()


def transacted_acknowledgement():
    q, c = name("queue"), Client()
    c.send(q, "work")
    c.subscribe(q, ack="client-individual")
    m = c.message()
    tx = c.conn.begin()
    c.conn.ack(m.headers["ack"], transaction=tx)
    c.receipt(c.conn.abort, transaction=tx)
    tx = c.conn.begin()
    c.conn.ack(m.headers["ack"], transaction=tx)
    c.receipt(c.conn.commit, transaction=tx)
    c.close()
    c = Client()
    c.subscribe(q)
    c.nothing()
    c.close()


def acknowledge_client():
    q, c = name("queue"), Client()
    for i in range(4):
        c.send(q, str(i))
    c.subscribe(q, ack="client")
    got = [c.message() for _ in range(4)]
    c.settle(c.conn.ack, id=got[1].headers["ack"])  # and the one before it
    c.close()
    c = Client()
    c.subscribe(q)
    for body in ("2", "3"):
        m = c.message()
        assert m.body == body and m.headers.get("redelivered") == "true", m
    c.nothing()
    c.close()


def acknowledge_client_individual():
    q, c = name("queue"), Client()
    for i in range(3):
        c.send(q, str(i))
    c.subscribe(q, ack="client-individual")
    got = [c.message() for _ in range(3)]
    c.settle(c.conn.ack, id=got[1].headers["ack"])
    c.close()
    c = Client()
    c.subscribe(q)
    assert [c.message().body, c.message().body] == ["0", "2"]
    c.nothing()
    c.close()


def acknowledge_by_message_id_in_1_1():
    q, c = name("queue"), Client(stomp.Connection11)
    c.send(q, "a")
    c.send(q, "b")
    c.subscribe(q, ack="client-individual")
    first = c.message()
    c.message()
    c.settle(c.conn.ack, id=first.headers["message-id"], subscription="1")
    c.close()
    c = Client(stomp.Connection11)
    c.subscribe(q)
    assert c.message().body == "b"
    c.nothing()
    c.close()


def version_1_0():
    q, c = name("queue"), Client(stomp.Connection10)
    c.send(q, "old")
    c.conn.subscribe(destination=q, ack="client")
    m = c.message()
    assert m.body == "old", m
    c.settle(c.conn.ack, id=m.headers["message-id"])
    c.close()


def nack_dead_letters():
    q, c, dead = name("queue"), Client(), Client()
    dead.subscribe("/queue/ActiveMQ.DLQ", ack="client-individual")
    c.subscribe(q, ack="client-individual")
    c.send(q, "poison " + q)
    c.settle(c.conn.nack, id=c.message().headers["ack"])
    while True:
        m = dead.message()
        dead.settle(dead.conn.ack, id=m.headers["ack"])
        if m.body == "poison " + q:
            break
    c.nothing()
    c.close()
    dead.close()


def browser():
    q, c, b = name("queue"), Client(), Client()
    for i in range(3):
        c.send(q, str(i))
    b.subscribe(q, browser="true", ack="auto")
    assert [b.message().body for _ in range(3)] == ["0", "1", "2"]
    end = b.message()
    assert end.headers.get("browser") == "end", end
    b.close()
    c.subscribe(q)
    assert [c.message().body for _ in range(3)] == ["0", "1", "2"]
    c.close()


def temporary_queue_request_reply():
    q, server, client = name("queue"), Client(), Client()
    server.subscribe(q)
    client.subscribe("/temp-queue/reply", id="r")
    client.send(q, "question", reply_to="/temp-queue/reply", correlation_id="7")
    m = server.message()
    assert m.headers["reply-to"].startswith("/remote-temp-queue/"), m
    server.send(m.headers["reply-to"], "answer", correlation_id=m.headers["correlation-id"])
    reply = client.message()
    assert reply.body == "answer" and reply.headers["correlation-id"] == "7", reply
    assert reply.headers["destination"] == "/temp-queue/reply", reply
    server.close()
    client.close()


def heartbeats():
    c = Client(heartbeats=(200, 200))
    deadline = time.monotonic() + WAIT
    while c.listener.heartbeats < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert c.listener.heartbeats >= 5 and c.conn.is_connected(), c.listener.heartbeats
    c.close()


def binary_body():
    q, c = name("queue"), Client(auto_decode=False)
    body = bytes(range(256)) * 4
    c.send(q, body)
    c.subscribe(q)
    m = c.message()
    assert m.body == body and m.headers["content-length"] == str(len(body)), m.headers
    c.close()


def escaped_headers():
    q, c = name("queue"), Client()
    value = "colon : backslash \\ newline \n return \r end"
    c.send(q, "x", odd=value)
    c.subscribe(q)
    assert c.message().headers["odd"] == value
    c.close()


def large_body():
    q, c = name("queue"), Client()
    body = "0123456789abcdef" * (5 << 16)  # 5 MiB
    c.send(q, body)
    c.subscribe(q)
    assert c.message().body == body
    c.close()


def expiry():
    q, c = name("queue"), Client()
    c.send(q, "stale", expires=str(int(time.time() * 1000) - 1000))
    c.send(q, "fresh", expires=str(int(time.time() * 1000) + 60000))
    c.subscribe(q)
    assert c.message().body == "fresh"
    c.nothing()
    c.close()


def selector():
    q, c = name("queue"), Client()
    for i in range(5):
        c.send(q, str(i), price=str(i * 10))
    c.subscribe(q, selector="price > 15 AND price <= 30")
    assert [c.message().body, c.message().body] == ["2", "3"]
    c.nothing()
    c.close()


def delayed_message():
    q, c = name("queue"), Client()
    c.subscribe(q)
    began = time.monotonic()
    c.receipt(c.conn.send, destination=q, body="later", headers={"AMQ_SCHEDULED_DELAY": "700", "persistent": "true"})
    assert c.message().body == "later"
    assert 0.6 < time.monotonic() - began < 5, time.monotonic() - began
    c.close()


def unknown_transaction_is_an_error():
    c = Client()
    c.conn.send(name("queue"), "x", headers={"transaction": "nosuch"})
    frame = c.listener.errors.get(timeout=WAIT)
    assert "nosuch" in frame.headers["message"] + frame.body, frame


def message_groups():
    q, p = name("queue"), Client()
    one, two = Client(), Client()
    one.subscribe(q, ack="client-individual")
    two.subscribe(q, ack="client-individual")
    for body, seq in [("a1", "1"), ("a2", "2"), ("end", "-1"), ("b1", "3")]:
        p.send(q, body, JMSXGroupID="g", JMSXGroupSeq=seq)
    for body in ["a1", "a2", "end"]:
        m = one.message()
        assert m.body == body and m.headers["JMSXGroupID"] == "g", m
        assert ("JMSXGroupFirstForConsumer" in m.headers) == (body == "a1"), m
    m = two.message()
    assert m.body == "b1" and m.headers["JMSXGroupFirstForConsumer"] == "true", m
    for c in [one, two, p]:
        c.close()


def nack_with_a_reason():
    q, c = name("queue"), Client()
    c.subscribe(q, ack="client-individual")
    c.subscribe("/queue/ActiveMQ.DLQ", id="dlq", selector=f"dlqOriginalDestination = 'queue://{q[len('/queue/'):]}'")
    c.send(q, "bad")
    c.conn.nack(c.message().headers["ack"], **{"dlq-reason": "no such order"})
    m = c.message()
    assert m.body == "bad" and m.headers["dlqDeliveryFailureCause"] == "no such order", m
    c.close()


FEATURES = [
    queue_with_receipts, topic, topic_wildcards, durable_subscription, transaction_commit, transaction_abort,
    transacted_acknowledgement, acknowledge_client, acknowledge_client_individual, acknowledge_by_message_id_in_1_1,
    version_1_0, nack_dead_letters, browser, temporary_queue_request_reply, heartbeats, binary_body, escaped_headers,
    large_body, expiry, selector, delayed_message, unknown_transaction_is_an_error, message_groups, nack_with_a_reason,
]

run(FEATURES)
