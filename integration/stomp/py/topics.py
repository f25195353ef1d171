"""Tries what destinations can do, with stomp.py, one line for each feature.

usage: topics.py HOST PORT

The broker runs with the configuration topics.yaml.
"""

import json
import time
import uuid

from client import WAIT, Client, name, run


def shared(durable):
    t, workers, p = name("topic"), [Client(), Client()], Client()
    headers = {"activemq.subscriptionName": "workers" + t.replace("/", "."), "activemq.shared": "true", "activemq.durable": durable}
    for w in workers:
        w.subscribe(t, **headers)
    for i in range(4):
        p.send(t, str(i))
    got = [[w.message().body, w.message().body] for w in workers]
    assert sorted(got[0] + got[1]) == ["0", "1", "2", "3"], got
    return t, workers, p, headers


def shared_subscription():
    t, workers, p, headers = shared("false")
    for w in workers:
        w.nothing(0.1)
        w.close()
    p.send(t, "nobody is there")
    c = Client()
    c.subscribe(t, **headers)
    c.nothing()
    c.close()
    p.close()


def shared_durable_subscription():
    t, workers, p, headers = shared("true")
    for w in workers:
        w.close()
    p.send(t, "kept")
    c = Client()
    c.subscribe(t, **headers)
    assert c.message().body == "kept"
    c.receipt(c.conn.unsubscribe, id="1", headers=headers)
    c.close()
    p.close()


def virtual_topic():
    t, c, p = "VirtualTopic." + uuid.uuid4().hex[:8], Client(), Client()
    for app in ("A", "B"):
        c.subscribe(f"/queue/Consumer.{app}.{t}", id=app)
    p.send("/topic/" + t, "to both")
    got = [c.message(), c.message()]
    assert {m.headers["destination"] for m in got} == {f"/queue/Consumer.A.{t}", f"/queue/Consumer.B.{t}"}, got
    assert all(m.headers["original-destination"] == "/topic/" + t for m in got), got
    c.close()
    p.close()


def composite_with_filter():
    c = Client()
    c.subscribe("/queue/composite.all", id="all")
    c.subscribe("/topic/composite.large", id="large")
    c.send("/queue/composite.in", "small", amount="10")
    m = c.message()
    assert m.body == "small" and m.headers["subscription"] == "all", m
    assert m.headers["original-destination"] == "/queue/composite.in", m
    c.send("/queue/composite.in", "large", amount="2000")
    assert {c.message().headers["subscription"], c.message().headers["subscription"]} == {"all", "large"}
    c.close()


def mirrored_queue():
    c = Client()
    c.subscribe("/topic/VirtualTopic.Mirror.mirrored.a", id="mirror")
    c.send("/queue/mirrored.a", "copied")
    assert c.message().body == "copied"
    c.subscribe("/queue/mirrored.a", id="queue")
    assert c.message().headers["subscription"] == "queue"
    c.close()


def recovered_messages():
    c, t = Client(), "/topic/recovered." + uuid.uuid4().hex[:8]
    for i in range(5):
        c.send(t, str(i))
    c.subscribe(t, **{"activemq.retroactive": "true"})
    assert [c.message().body for _ in range(3)] == ["2", "3", "4"]
    c.nothing()
    c.close()


def retained_message():
    c, t = Client(), name("topic")
    c.receipt(c.conn.send, destination=t, body="remembered", headers={"ActiveMQ.Retain": "true", "persistent": "true"})
    c.subscribe(t, **{"activemq.retroactive": "true"})
    m = c.message()
    assert m.body == "remembered" and m.headers["ActiveMQ.Retained"] == "true", m
    c.close()


def slow_consumer_gets_the_latest_of_each():
    c, p, t = Client(), Client(), "/topic/prices." + uuid.uuid4().hex[:8]
    c.subscribe(t, ack="client-individual", **{"activemq.prefetchSize": "1"})
    for i in range(20):
        p.send(t, str(i), symbol="AB"[i % 2], persistent="false")
    first = c.message()
    assert first.body == "0", first
    got = []
    for _ in range(2):
        c.conn.ack(first.headers["ack"])
        first = c.message()
        got.append(first.body)
    assert got == ["18", "19"], got
    c.close()
    p.close()


def destinations_that_are_made_on_purpose():
    c = Client()
    c.send("/queue/fixed.listed", "x")
    c.conn.send("/queue/fixed.other", "x")
    frame = c.listener.errors.get(timeout=WAIT)
    assert "autoCreate" in frame.headers["message"], frame.headers


def idle_queues_are_collected():
    w, c, q = Client(), Client(), "collected." + uuid.uuid4().hex[:8]
    w.subscribe("/topic/ActiveMQ.Advisory.Queue")
    c.subscribe("/queue/" + q)
    c.receipt(c.conn.unsubscribe, id="1")
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        event = json.loads(w.message().body)["DestinationInfo"]
        if event["destination"] == "queue://" + q and event["operationType"] == 1:
            break
    else:
        raise AssertionError("the queue stays")
    w.close()
    c.close()


def advisories():
    w, c, q = Client(), Client(), name("queue")
    w.subscribe("/topic/ActiveMQ.Advisory.Consumer.Queue." + q.split("/")[2])
    c.subscribe(q, selector="a = 1")
    m = w.message()
    assert m.headers["consumerCount"] == "1" and json.loads(m.body)["ConsumerInfo"]["selector"] == "a = 1", m
    c.close()
    m = w.message()
    assert m.headers["consumerCount"] == "0" and "RemoveInfo" in json.loads(m.body), m
    w.close()


def statistics():
    c, q = Client(), name("queue")
    c.send(q, "1")
    c.subscribe("/temp-queue/answers")
    c.send("/queue/ActiveMQ.Statistics.Destination." + q.split("/")[2], "", reply_to="/temp-queue/answers", correlation_id="7")
    m = c.message()
    answer = json.loads(m.body)
    assert m.headers["correlation-id"] == "7" and answer["size"] == 1 and answer["enqueueCount"] == 1, m
    c.close()


run([
    shared_subscription, shared_durable_subscription, virtual_topic, composite_with_filter, mirrored_queue, recovered_messages,
    retained_message, slow_consumer_gets_the_latest_of_each, destinations_that_are_made_on_purpose, idle_queues_are_collected,
    advisories, statistics,
])
