"""An application with stomp.py, which knows of failover only to connect again.

    load.py produce|consume QUEUE HOST:PORT...

It prints a line for each thing that it does or sees:

    NANOSECONDS EVENT CONNECTION COUNT REDELIVERED CORRUPT

by the monotonic clock, which all processes of a machine have in common: what is
about to be done is stamped before its first byte is written, what was seen after
it was read. It ends when its standard input does.
"""

import itertools
import queue
import sys
import threading
import time

import stomp

ROLE, QUEUE = sys.argv[1], sys.argv[2]
NODES = [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in sys.argv[3:])]
PATIENCE = 3  # seconds without an answer
BEAT = 1000  # milliseconds

ended = threading.Event()
printing = threading.Lock()


def tell(event, connection, count=0, redelivered=False, corrupt=False):
    with printing:
        print(time.monotonic_ns(), event, connection, count, int(redelivered), int(corrupt), flush=True)


def body(count):
    return f"{QUEUE}-{count};" * 20


class Client(stomp.ConnectionListener):
    """One connection, and what came over it."""

    def __init__(self, number):
        self.number = number
        self.answers = queue.Queue()  # None: it is over
        self.conn = stomp.Connection12(
            NODES[number % len(NODES):] + NODES[:number % len(NODES)],
            heartbeats=(BEAT, BEAT), reconnect_attempts_max=1, timeout=PATIENCE * 2,
        )
        self.conn.set_listener("load", self)

    def open(self):
        self.conn.connect()
        return self.answer("connected")

    def answer(self, wanted):
        try:
            return self.answers.get(timeout=PATIENCE) == wanted
        except queue.Empty:
            return False

    def close(self):
        self.conn.transport.disconnect_socket()

    def on_connected(self, frame):
        self.answers.put("connected")

    def on_receipt(self, frame):
        name = frame.headers["receipt-id"]
        if name.startswith("ack-"):
            tell("acked", self.number, int(name[4:]))
        else:
            self.answers.put(name)

    def on_error(self, frame):
        self.answers.put(None)

    def on_disconnected(self):
        self.answers.put(None)

    def on_heartbeat_timeout(self):
        self.answers.put(None)

    def on_message(self, frame):
        count = int(frame.headers["count"])
        tell("received", self.number, count, frame.headers.get("redelivered") == "true", frame.body != body(count))
        tell("acks", self.number, count)
        try:
            self.conn.ack(frame.headers["ack"], receipt=f"ack-{count}")
        except (stomp.exception.StompException, OSError):
            self.answers.put(None)


def produce(client, counts):
    for count in counts:
        tell("sends", client.number, count)
        client.conn.send(
            f"/queue/{QUEUE}", body(count), persistent="true", receipt=str(count), producer=QUEUE, count=str(count))
        if not client.answer(str(count)):
            return  # nobody knows whether it arrived: it isn't sent again
        tell("sent", client.number, count)
        if ended.is_set():
            return
        time.sleep(0.005)


def consume(client):
    client.conn.subscribe(f"/queue/{QUEUE}", id="s", ack="client-individual", receipt="subscribed")
    if not client.answer("subscribed"):
        return
    while not ended.is_set():
        try:
            if client.answers.get(timeout=0.1) is None:
                return
        except queue.Empty:
            pass


def run():
    counts = itertools.count(1)
    for number in itertools.count(1):
        if ended.is_set():
            return
        client = Client(number)
        try:
            if client.open():
                if ROLE == "produce":
                    produce(client, counts)
                else:
                    consume(client)
        except (stomp.exception.StompException, OSError):
            pass  # the next connection
        finally:
            client.close()
        time.sleep(0.02)


worker = threading.Thread(target=run)
worker.start()
sys.stdin.read()
ended.set()
worker.join()
