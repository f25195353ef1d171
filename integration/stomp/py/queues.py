"""Tries what queues can do, with stomp.py and the HTTP API, one line for each feature.

usage: queues.py HOST PORT CONSOLE

The broker runs with the configuration queues.yaml.
"""

import json
import sys
import time
import urllib.request
import uuid

from client import WAIT, Client, run

API = f"http://{sys.argv[3]}/api/v1"


def api(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data=data, method=method)
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def fresh(prefix):
    return prefix + uuid.uuid4().hex[:8]


def until(what, condition):
    deadline = time.monotonic() + 2 * WAIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def waiting(queue):
    return api("GET", f"/queues/{queue}")["messages"]


def refused(**arguments):
    """A send that the broker answers with ERROR."""
    c = Client()
    c.conn.send(**arguments, headers={"persistent": "true", "receipt": "1"})
    error = c.listener.errors.get(timeout=WAIT)
    c.conn.disconnect()
    return error


def selector_without_head_of_line_blocking():
    q, p, c = fresh("q."), Client(), Client()
    for i in range(300):
        p.conn.send(f"/queue/{q}", str(i), headers={"kind": "other"})
    p.send(f"/queue/{q}", "wanted", kind="wanted")
    c.subscribe(f"/queue/{q}", selector="kind = 'wanted'")
    assert c.message().body == "wanted"
    until("the rest", lambda: waiting(q) == 300)
    p.close(), c.close()


def consumer_priority():
    q, low, high, p = fresh("q."), Client(), Client(), Client()
    low.subscribe(f"/queue/{q}", **{"activemq.priority": "1"})
    high.subscribe(f"/queue/{q}", **{"activemq.priority": "5"})
    for i in range(5):
        p.send(f"/queue/{q}", str(i))
    assert [high.message().body for _ in range(5)] == ["0", "1", "2", "3", "4"]
    low.nothing(0.1)
    low.close(), high.close(), p.close()


def exclusive_consumer():
    q, first, second, p = fresh("q."), Client(), Client(), Client()
    first.subscribe(f"/queue/{q}", **{"activemq.exclusive": "true"})
    second.subscribe(f"/queue/{q}", **{"activemq.exclusive": "true"})
    for i in range(4):
        p.send(f"/queue/{q}", str(i))
    assert [first.message().body for _ in range(4)] == ["0", "1", "2", "3"]
    second.nothing(0.1)
    first.close()
    p.send(f"/queue/{q}", "next")
    assert second.message().body == "next"
    second.close(), p.close()


def redelivery_with_back_off_and_a_dead_letter_queue_of_its_own():
    q, c = fresh("retried."), Client()
    c.subscribe(f"/queue/{q}", ack="client-individual")
    c.send(f"/queue/{q}", "again")
    times = []
    for _ in range(3):
        m = c.message()
        times.append(time.monotonic())
        c.settle(c.conn.nack, id=m.headers["ack"])
    assert times[1] - times[0] >= 0.045 and times[2] - times[1] >= 0.095, times
    c.subscribe(f"/queue/DLQ.{q}", id="2")
    m = c.message()
    assert m.headers["dlqOriginalDestination"] == f"queue://{q}" and m.headers["dlqDeliveryCount"] == "3", m.headers
    c.close()


def dead_letters_may_be_discarded():
    q, c = fresh("gone."), Client()
    c.subscribe(f"/queue/{q}", ack="client-individual")
    c.send(f"/queue/{q}", "bad")
    before = api("GET", "/broker")["deadLettered"]
    c.settle(c.conn.nack, id=c.message().headers["ack"], requeue="false")
    assert waiting(q) == 0 and api("GET", "/broker")["deadLettered"] == before
    c.close()


def expired_messages_become_dead_letters():
    q, c = fresh("retried."), Client()
    c.send(f"/queue/{q}", "late", expires=str(int(time.time() * 1000) + 50))
    time.sleep(0.1)
    c.subscribe(f"/queue/{q}")
    c.subscribe(f"/queue/DLQ.{q}", id="2")
    m = c.message()
    assert m.body == "late" and m.headers["dlqDeliveryFailureCause"] == "expired", m.headers
    c.close()


def length_limit():
    q, c = fresh("short."), Client()
    c.send(f"/queue/{q}", "1")
    c.send(f"/queue/{q}", "2")
    error = refused(destination=f"/queue/{q}", body="3")
    assert "maxMessages" in error.headers["message"] + error.body, error
    assert waiting(q) == 2
    c.close()


def byte_limit():
    q, c = fresh("small."), Client()
    c.send(f"/queue/{q}", "x" * 1000)
    error = refused(destination=f"/queue/{q}", body="x" * 1000)
    assert "maxBytes" in error.headers["message"] + error.body, error
    c.close()


def drop_oldest():
    q, c = fresh("latest."), Client()
    for i in range(4):
        c.send(f"/queue/{q}", str(i))
    c.subscribe(f"/queue/{q}")
    assert [c.message().body, c.message().body] == ["2", "3"]
    c.close()


def a_message_id_that_comes_again():
    q, c = fresh("once."), Client()
    for body in ("first", "second"):
        c.receipt(c.conn.send, destination=f"/queue/{q}", body=body, headers={"_AMQ_DUPL_ID": "17", "persistent": "true"})
    c.subscribe(f"/queue/{q}")
    assert c.message().body == "first"
    c.nothing(0.1)
    c.close()


def pause_and_resume():
    q, c = fresh("q."), Client()
    api("POST", "/queues", {"name": q})
    api("POST", f"/queues/{q}/pause")
    c.subscribe(f"/queue/{q}")
    c.send(f"/queue/{q}", "1")
    c.nothing(0.2)
    api("POST", f"/queues/{q}/resume")
    assert c.message().body == "1"
    c.close()


def purge_move_and_copy():
    q, c = fresh("q."), Client()
    for i in range(4):
        c.send(f"/queue/{q}", str(i), n=str(i))
    assert api("POST", f"/queues/{q}/copy", {"to": q + ".copy", "create": True, "all": True})["done"] == 4
    assert api("POST", f"/queues/{q}/move", {"to": q + ".moved", "create": True, "selector": "n >= 2"})["done"] == 2
    assert api("POST", f"/queues/{q}/purge")["removed"] == 2
    c.subscribe(f"/queue/{q}.moved")
    assert [c.message().body, c.message().body] == ["2", "3"]
    assert waiting(q + ".copy") == 4
    c.close()


def retry_from_the_dead_letter_queue():
    q, c = fresh("q."), Client()
    c.subscribe(f"/queue/{q}", ack="client-individual")
    c.send(f"/queue/{q}", "retry me")
    c.settle(c.conn.nack, id=c.message().headers["ack"], requeue="false")
    until("the dead letter", lambda: waiting("ActiveMQ.DLQ") > 0)
    api("POST", "/queues/ActiveMQ.DLQ/retry", {"all": True})
    m = c.message()
    assert m.body == "retry me" and "dlqDeliveryFailureCause" not in m.headers, m.headers
    c.close()


def schedule_with_period_and_repeat():
    q, c = fresh("q."), Client()
    c.subscribe(f"/queue/{q}")
    c.send(f"/queue/{q}", "tick", AMQ_SCHEDULED_DELAY="1")
    c.receipt(c.conn.send, destination=f"/queue/{q}", body="tock",
              headers={"AMQ_SCHEDULED_DELAY": "50", "AMQ_SCHEDULED_PERIOD": "50", "AMQ_SCHEDULED_REPEAT": "2", "persistent": "true"})
    bodies = [c.message().body for _ in range(4)]
    assert sorted(bodies) == ["tick", "tock", "tock", "tock"], bodies
    c.close()


def schedules_are_listed_and_removed():
    q, c = fresh("q."), Client()
    c.receipt(c.conn.send, destination=f"/queue/{q}", body="yearly",
              headers={"AMQ_SCHEDULED_CRON": "0 0 1 1 *", "AMQ_SCHEDULED_TZ": "Europe/Berlin", "persistent": "true"})
    c.subscribe("/temp-queue/answers")
    manage = "/topic/ActiveMQ.Scheduler.Management"
    c.receipt(c.conn.send, destination=manage, body="", headers={"AMQ_SCHEDULER_ACTION": "BROWSE", "reply-to": "/temp-queue/answers"})
    m = c.message()
    while m.body != "yearly":
        m = c.message()
    c.receipt(c.conn.send, destination=manage, body="", headers={"AMQ_SCHEDULER_ACTION": "REMOVE", "scheduledJobId": m.headers["scheduledJobId"]})
    until("its end", lambda: api("GET", f"/schedules?destination={q}")["total"] == 0)
    c.close()


def maps_are_transformed():
    q, c = fresh("q."), Client(auto_content_length=False)  # with a length it is bytes, as in ActiveMQ
    body = '{"map":{"entry":{"string":["name","value"]}}}'
    c.receipt(c.conn.send, destination=f"/queue/{q}", body=body, headers={"transformation": "jms-map-json", "persistent": "true"})
    c.subscribe(f"/queue/{q}", transformation="jms-map-xml")
    m = c.message()
    assert "<string>name</string>" in m.body and "<string>value</string>" in m.body, m.body
    assert m.headers["transformation"] == "jms-map-xml", m.headers
    c.close()


def export_and_import():
    q, c = fresh("q."), Client()
    c.send(f"/queue/{q}", "carried", colour="red")
    with urllib.request.urlopen(f"{API}/queues/{q}/export", timeout=WAIT) as answer:
        lines = answer.read()
    request = urllib.request.Request(f"{API}/queues/{q}.copy/import?create", data=lines, method="POST")
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        assert json.loads(answer.read())["imported"] == 1
    c.subscribe(f"/queue/{q}.copy")
    m = c.message()
    assert m.body == "carried" and m.headers["colour"] == "red", m
    c.close()


run([
    selector_without_head_of_line_blocking, consumer_priority, exclusive_consumer,
    redelivery_with_back_off_and_a_dead_letter_queue_of_its_own, dead_letters_may_be_discarded, expired_messages_become_dead_letters,
    length_limit, byte_limit, drop_oldest, a_message_id_that_comes_again, pause_and_resume, purge_move_and_copy,
    retry_from_the_dead_letter_queue, schedule_with_period_and_repeat, schedules_are_listed_and_removed, maps_are_transformed,
    export_and_import,
])
