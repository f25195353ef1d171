"""What the scripts that try features of the broker with stomp.py share."""

import queue
import sys
import traceback
import uuid

import stomp

HOST, PORT = sys.argv[1], int(sys.argv[2])
WAIT = 15  # seconds


class Listener(stomp.ConnectionListener):
    """Puts every frame of a kind into its own queue."""

    def __init__(self):
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()
        self.heartbeats = 0

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_heartbeat(self):
        self.heartbeats += 1


class Client:
    """A connection whose calls wait for the broker."""

    def __init__(self, kind=stomp.Connection12, headers=None, **options):
        self.conn = kind([(HOST, PORT)], **options)
        self.listener = Listener()
        self.conn.set_listener("", self.listener)
        self.conn.connect(wait=True, headers=headers or {})

    def receipt(self, call, **arguments):
        name = str(uuid.uuid4())
        headers = dict(arguments.pop("headers", {}))
        headers["receipt"] = name
        call(headers=headers, **arguments)
        got = self.listener.receipts.get(timeout=WAIT)
        assert got == name, f"receipt {got} instead of {name}"

    def settle(self, call, **arguments):
        """ack and nack, which take the receipt as an argument of its own."""
        name = str(uuid.uuid4())
        call(receipt=name, **arguments)
        got = self.listener.receipts.get(timeout=WAIT)
        assert got == name, f"receipt {got} instead of {name}"

    def send(self, destination, body, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers.setdefault("persistent", "true")
        self.receipt(self.conn.send, destination=destination, body=body, headers=headers)

    def subscribe(self, destination, id="1", ack="auto", **headers):
        self.receipt(self.conn.subscribe, destination=destination, id=id, ack=ack, headers=headers)

    def message(self):
        return self.listener.messages.get(timeout=WAIT)

    def nothing(self, seconds=0.3):
        try:
            frame = self.listener.messages.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError(f"unexpected message {frame.headers} {frame.body!r}")

    def close(self):
        self.conn.disconnect(receipt=str(uuid.uuid4()))


def name(kind):
    return f"/{kind}/py.{uuid.uuid4().hex[:8]}"


def run(features):
    """Tries each feature and prints a line for it."""
    for feature in features:
        try:
            feature()
            print("ok", feature.__name__, flush=True)
        except Exception as e:  # the line says why, the trace where
            traceback.print_exc()
            print("FAIL", f"{feature.__name__}: {type(e).__name__}: {e}".replace("\n", " "), flush=True)
