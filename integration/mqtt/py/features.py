"""Exercises a broker with Python's paho-mqtt. usage: features.py HOST PORT tcp|ws

Prints a line for each feature: "ok NAME", or what went wrong.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT, TRANSPORT = sys.argv[1], int(sys.argv[2]), sys.argv[3]
WAIT = 10
V3, V311, V5 = mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5


class Client:
    """A client whose messages and answers wait in queues."""

    def __init__(self, version, name="", clean=True, expiry=0, will=None):
        options = {} if version == V5 else {"clean_session": clean}
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version, transport=TRANSPORT, **options)
        if TRANSPORT == "websockets":
            self.mqtt.ws_set_options(path="/")
        if will:
            self.mqtt.will_set(*will)
        self.connects, self.messages, self.answers = queue.Queue(), queue.Queue(), queue.Queue()
        self.mqtt.on_connect = lambda c, u, flags, code, props: self.connects.put((flags, code, props))
        self.mqtt.on_message = lambda c, u, message: self.messages.put(message)
        self.mqtt.on_subscribe = lambda c, u, mid, codes, props: self.answers.put(codes)
        self.mqtt.on_unsubscribe = lambda c, u, mid, codes, props: self.answers.put(codes)
        connect = {}
        if version == V5:
            props = Properties(PacketTypes.CONNECT)
            props.SessionExpiryInterval = expiry
            connect = {"clean_start": clean, "properties": props}
        self.mqtt.connect(HOST, PORT, **connect)
        self.mqtt.loop_start()
        self.flags, code, self.props = self.connects.get(timeout=WAIT)
        assert not code.is_failure, code

    def subscribe(self, *args, **kwargs):
        self.mqtt.subscribe(*args, **kwargs)
        return [c.value for c in self.answers.get(timeout=WAIT)]

    def publish(self, *args, **kwargs):
        self.mqtt.publish(*args, **kwargs).wait_for_publish(WAIT)

    def receive(self):
        return self.messages.get(timeout=WAIT)

    def nothing(self):
        # What was to come would have come before the answer to this.
        self.subscribe("nothing/at/all")
        assert self.messages.empty(), self.messages.get().payload

    def close(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def drop(self):
        self.mqtt.loop_stop()
        self.mqtt._sock_close()


def every_qos(version):
    s, p = Client(version, "s"), Client(version, "p")
    for qos in range(3):
        assert s.subscribe("qos/+", qos) == [qos]
        for sent in range(3):
            p.publish("qos/a", f"{sent}", sent)
            m = s.receive()
            assert (m.payload, m.qos, m.topic, m.retain) == (b"%d" % sent, min(sent, qos), "qos/a", False), m
    s.close()
    p.close()


def retained(version):
    p = Client(version, "p")
    p.publish("kept/a", "remember", 1, retain=True)
    s = Client(version, "s")
    s.subscribe("kept/#", 1)
    m = s.receive()
    assert m.payload == b"remember" and m.retain
    p.publish("kept/a", "", 1, retain=True)
    assert not s.receive().retain
    s.close()
    s = Client(version, "s")
    s.subscribe("kept/#", 1)
    s.nothing()
    s.close()
    p.close()


def session(version):
    name = f"session-{version}"
    s = Client(version, name, clean=False, expiry=100)
    assert not s.flags.session_present
    s.subscribe("session/#", 2)
    s.close()
    p = Client(version, "p")
    for qos in (1, 2):
        p.publish("session/a", f"{qos}", qos)
    s = Client(version, name, clean=False, expiry=100)
    assert version == V3 or s.flags.session_present
    assert [s.receive().payload for _ in range(2)] == [b"1", b"2"]
    s.nothing()
    s.close()
    Client(version, name).close()
    p.close()


def will(version):
    s = Client(version, "s")
    s.subscribe("will", 1)
    Client(version, "w", will=("will", "gone", 1)).drop()
    assert s.receive().payload == b"gone"
    Client(version, "w", will=("will", "gone", 1)).close()
    s.nothing()
    s.close()


def many(version):
    s, p = Client(version, "s"), Client(version, "p")
    s.subscribe("many", 2)
    for i in range(300):
        p.mqtt.publish("many", f"{i}", 2)
    assert [int(s.receive().payload) for _ in range(300)] == list(range(300))
    s.close()
    p.close()


def large(version):
    s, p = Client(version, "s"), Client(version, "p")
    s.subscribe("large", 1)
    body = bytes(range(256)) * 4096
    p.publish("large", body, 1)
    assert s.receive().payload == body
    s.close()
    p.close()


def properties(version):
    s, p = Client(version, "s"), Client(version, "p")
    s.subscribe("props", options=SubscribeOptions(qos=1))
    props = Properties(PacketTypes.PUBLISH)
    props.ContentType, props.ResponseTopic, props.CorrelationData = "text/plain", "re/ply", b"\x00\x01"
    props.PayloadFormatIndicator, props.MessageExpiryInterval = 1, 60
    props.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
    p.publish("props", "x", 1, properties=props)
    got = s.receive().properties
    assert got.ContentType == "text/plain" and got.ResponseTopic == "re/ply" and got.CorrelationData == b"\x00\x01"
    assert got.UserProperty == [("b", "1"), ("a", "2"), ("b", "3")] and 58 <= got.MessageExpiryInterval <= 60
    s.close()
    p.close()


def shared(version):
    a, b, p = Client(version, "a"), Client(version, "b"), Client(version, "p")
    for c in (a, b):
        c.subscribe("$share/g/shared", 1)
    for i in range(10):
        p.publish("shared", f"{i}", 1)
    got = [int(c.receive().payload) for c in (a, b) for _ in range(5)]
    assert sorted(got) == list(range(10)), got
    for c in (a, b, p):
        c.close()


def options(version):
    s = Client(version, "s")
    s.subscribe("own", options=SubscribeOptions(qos=1, noLocal=True))
    s.publish("own", "mine", 1)
    s.nothing()
    s.publish("later", "kept", 1, retain=True)
    s.subscribe("later", options=SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND, retainAsPublished=True))
    s.nothing()
    s.publish("later", "kept", 1, retain=True)
    assert s.receive().retain
    s.publish("later", "", 1, retain=True)
    s.close()


def assigned(version):
    c = Client(version)
    assert c.props.AssignedClientIdentifier
    c.close()


FEATURES = [(f, v) for f in (every_qos, retained, session, will, many, large) for v in (V3, V311, V5)]
FEATURES += [(f, V5) for f in (properties, shared, options, assigned)]

for feature, version in FEATURES:
    name = f"{feature.__name__} {version}"
    try:
        feature(version)
        print("ok", name, flush=True)
    except Exception as e:  # noqa: BLE001: whatever it was, the line says which feature
        print(name, repr(e), flush=True)
