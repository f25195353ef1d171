"""Sends transactions of three messages until the connection ends, every third rolled back.

usage: transact.py HOST:PORT QUEUE FIRST

Prints "begun N", then "committed N" or "aborted N" when the broker has said so.
"""

import sys

from proton import Message
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container

ADDRESS, QUEUE, FIRST = "amqp://" + sys.argv[1], sys.argv[2], int(sys.argv[3])


class Transact(MessagingHandler, TransactionHandler):
    def __init__(self):
        super().__init__()
        self.number, self.sent, self.transaction = FIRST, 0, None

    def say(self, what):
        print(what, self.number, flush=True)

    def on_start(self, event):
        self.container = event.container
        self.conn = event.container.connect(ADDRESS, reconnect=False)
        self.sender = event.container.create_sender(self.conn, QUEUE)
        self.declare()

    def declare(self):
        self.container.declare_transaction(self.conn, handler=self)

    def on_transaction_declared(self, event):
        self.transaction, self.sent = event.transaction, 0
        self.say("begun")
        self.send()

    def on_sendable(self, event):
        self.send()

    def send(self):
        while self.transaction and self.sender.credit and self.sent < 3:
            self.transaction.send(self.sender, Message(body=f"{self.number}.{self.sent}", durable=True))
            self.sent += 1
        if self.transaction and self.sent == 3:
            t, self.transaction = self.transaction, None
            if self.number % 3 == 0:
                t.abort()
            else:
                t.commit()

    def on_transaction_committed(self, event):
        self.say("committed")
        self.number += 1
        self.declare()

    def on_transaction_aborted(self, event):
        self.say("aborted")
        self.number += 1
        self.declare()

    def on_transport_error(self, event):
        self.container.stop()

    def on_disconnected(self, event):
        self.container.stop()


Container(Transact()).run()
