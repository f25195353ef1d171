"""Logs in with a TLS client certificate by Python's paho-mqtt.

usage: certificate.py HOST PORT CA CERTIFICATE KEY TOPIC OTHER

The certificate's user may use TOPIC and not OTHER. Prints a line for each
feature: "ok NAME", or what went wrong.
"""

import queue
import ssl
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

HOST, PORT, CA, CERTIFICATE, KEY, TOPIC, OTHER = sys.argv[1:]
WAIT = 30


def connect(version, **certificate):
    """Returns a client whose answers and messages wait in queues, and the code of CONNACK."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=version)
    client.tls_set(CA, **certificate)
    client.connects, client.answers, client.received = queue.Queue(), queue.Queue(), queue.Queue()
    client.on_connect = lambda c, u, flags, code, props: client.connects.put(code.value)
    client.on_disconnect = lambda c, u, flags, code, props: client.connects.put("the connection ended")
    client.on_subscribe = lambda c, u, mid, codes, props: client.answers.put([code.value for code in codes])
    client.on_message = lambda c, u, message: client.received.put(message.payload)
    client.connect(HOST, int(PORT))
    client.loop_start()
    code = client.connects.get(timeout=WAIT)
    if code != 0:
        client.loop_stop()
        raise ConnectionError(code)
    return client


def the_certificate_is_the_user(version):
    client = connect(version, certfile=CERTIFICATE, keyfile=KEY)
    client.subscribe([(TOPIC, 1), (OTHER, 1)])
    codes = client.answers.get(timeout=WAIT)
    assert codes == [1, 0x80], codes
    client.publish(TOPIC, b"mine", qos=1)
    assert client.received.get(timeout=WAIT) == b"mine"
    client.loop_stop()
    client.disconnect()


def without_a_certificate_nobody_gets_in(version):
    try:
        connect(version)
    except (ssl.SSLError, ConnectionError):
        return
    raise AssertionError("a client without certificate got in")


for name, feature in list(globals().items()):
    if callable(feature) and getattr(feature, "__module__", "") == "__main__" and name not in ("connect",):
        for version in (mqtt.MQTTv311, mqtt.MQTTv5):
            try:
                feature(version)
                print("ok", name, version)
            except Exception as e:  # each is a line of the report
                print(f"{name} {version}: {e!r}")
